"""Another order of `listen` after a restart: what was stored of ways by the old one does no harm."""

import asyncio

from tests.agent.conftest import House
from tests.agent.scripted_pbx import free_port

NAT = "<sip:202@192.0.2.55:5060>"
KEEP_ALIVE = b"\r\n"


async def test_a_stored_way_of_another_family_stops_no_timer(house: House) -> None:
    house.sip["nat_keep_alive_s"] = 1
    house.listen.append(f"udp:[::1]:{free_port()}")
    async with house.running():
        before = await house.phone("127.0.0.2")
        before.register(house.guard, "202", contact=NAT)
        await before.answer()
    house.listen.reverse()
    async with house.running() as main:
        after = await house.phone("127.0.0.3")
        after.register(house.guard, "203", contact=NAT)
        await after.answer()
        async with asyncio.timeout(5):
            for _ in range(2):  # the old way had its turn before the second one
                while (await after.received.get())[0] != KEEP_ALIVE:
                    pass
        assert main.edges["lyon"].lost >= 1
