"""A phone whose calls are refused still reaches help, however the number is dialled.

Real programs in every test: licence-master, pbx-agent, Kamailio that trusts by IP, so that a phone without a
licence is registered all the same; the phones are those of the demonstration.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from demo.phone import Phone
from tests.acceptance.house import House
from tests.acceptance.peers.network import Network
from tests.acceptance.site import SIP, Site

pytestmark = pytest.mark.real("kamailio")

FRANCE = {"country": "FR", "trunk_prefix": "0", "emergency": ["3333"]}
REFUSED = (403, "No free licence")


@asynccontextmanager
async def answering(site: Site, number: str) -> AsyncIterator[Phone]:
    """Somebody who is registered at the PBX itself by this number, and picks up."""
    sock = site.network.udp(site.network.address())
    pbx = (site.registrar.host, SIP)
    phone = Phone(number, sock.getsockname(), pbx, pbx)
    await asyncio.get_running_loop().create_datagram_endpoint(lambda: phone, sock=sock)
    try:
        assert (await phone.register()).status == 200
        yield phone
    finally:
        phone.close()


async def called(phone: Phone, number: str) -> tuple[int, str]:
    """The answer to a call, which is hung up."""
    outcome = await phone.dial(number)
    if phone.call is not None:
        await phone.hang_up()
    return outcome.status, outcome.reason


async def test_a_surplus_phone_calls_112_with_and_without_prefix_and_not_113(network: Network) -> None:
    house = House(network, {"PBX-Port13": 1}, {"hq": "gateway"}).build()
    site = house.site("hq", digest=False, sip=FRANCE)
    async with AsyncExitStack() as stack:
        licensed, surplus = [await stack.enter_async_context(site.handset(user)) for user in ("1001", "1002")]
        assert (await licensed.register()).status == 200
        await asyncio.to_thread(site.wait_counts, used=1, surplus=0)
        assert (await surplus.register()).status == 200
        await asyncio.to_thread(site.wait_counts, used=1, surplus=1)
        for number in ("112", "0112", "17", "3333", "113", "0113", "1003"):
            await stack.enter_async_context(answering(site, number))
        for number in ("112", "0112", "17", "3333"):
            assert await called(surplus, number) == (200, "OK"), number
        for number in ("113", "0113", "1003", "1001"):
            assert await called(surplus, number) == REFUSED, number
        assert await called(licensed, "113") == (200, "OK")


async def test_a_phone_that_may_not_register_calls_112(network: Network) -> None:
    """And an extension that has an emergency number is reached like it: help is never blocked."""
    house = House(network, {"PBX-Port13": 1}, {"hq": "gateway"}).build()
    site = house.site("hq", digest=False, sip={**FRANCE, "country": "DE"})
    async with AsyncExitStack() as stack:
        licensed, refused = [await stack.enter_async_context(site.handset(user)) for user in ("1001", "1002")]
        extension = await stack.enter_async_context(site.handset("110"))
        assert (await licensed.register()).status == 200
        await asyncio.to_thread(site.wait_counts, used=1, surplus=0)
        challenged = await refused._send_register(60, None)
        assert challenged.status == 200, "this PBX asks nobody"
        assert (await extension.register()).status == 200
        await asyncio.to_thread(site.wait_counts, used=1, surplus=2)
        await stack.enter_async_context(answering(site, "112"))
        assert await called(refused, "112") == (200, "OK")
        assert await called(refused, "110") == (200, "OK")
        assert await called(refused, "1001") == REFUSED
