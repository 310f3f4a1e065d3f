"""Calls over a line through a running agent: what is on disk when messages leave, and after a restart."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest

from telephony.pbx.picture import Ongoing
from tests.agent.conftest import House
from tests.agent.scripted_pbx import Phone, header, status_of

LINES = '    calls: {lines: [{aor: ["gw1"], interface: ""}]}\n'


def stored(data: Path) -> tuple[int, int]:
    """How many calls and how many uses are on disk, read as another process would."""
    with sqlite3.connect(f"file:{data}/lyon/agent.db?mode=ro", uri=True) as reader:
        rows = [reader.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in ("call", "use")]
    reader.close()
    return rows[0], rows[1]


class Gateway:
    """A registered gateway that calls and hangs up."""

    def __init__(self, house: House, phone: Phone) -> None:
        self._house = house
        self._phone = phone

    async def request(self, method: str, call: str, cseq: int = 1, to: str = "202", tag: str = "") -> bytes:
        """Send a request and return the final answer."""
        host, port = self._phone.address
        lines = [
            f"{method} sip:{to}@pbx.test SIP/2.0",
            f"Via: SIP/2.0/UDP {host}:{port};rport;branch=z9hG4bK{method}{call}{cseq}",
            "Max-Forwards: 70",
            f"From: <sip:gw1@pbx.test>;tag={call}",
            f"To: <sip:{to}@pbx.test>{tag}",
            f"Call-ID: {call}",
            f"CSeq: {cseq} {method}",
            f"Contact: <sip:gw1@{host}:{port}>",
            "Content-Length: 0",
            "",
            "",
        ]
        self._phone.transport.sendto("\r\n".join(lines).encode(), self._house.guard)
        return await self._phone.answer()

    async def call(self, call: str, to: str = "202") -> bytes:
        """Call somebody."""
        return await self.request("INVITE", call, to=to)

    async def hang_up(self, call: str) -> int:
        """End a call."""
        return status_of(await self.request("BYE", call, 2, tag=";tag=pbx"))


def channels(house: House) -> dict[str, int]:
    """The class that calls draw from this master."""
    counts: dict[str, int] = house.status()["classes"]["isdn_call"]
    return counts


@pytest.fixture
def gateways(house: House) -> "Opened":
    house.further = LINES
    return Opened(house)


class Opened:
    """Starts the agent as often as one likes; the gateway stays registered."""

    def __init__(self, house: House) -> None:
        self.house = house

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Gateway]:
        """A started agent and its gateway."""
        async with self.house.running():
            phone = await self.house.phone()
            assert await phone.registered(self.house.guard, "gw1") == 200
            yield Gateway(self.house, phone)


async def test_what_the_other_side_hears_of_a_call_is_on_disk(gateways: Opened) -> None:
    """At the PBX when the INVITE comes, at the gateway when it is answered, and when the BYE is."""
    house, seen = gateways.house, []
    house.pbx.on_request = lambda data: seen.append((data.split(b" ")[0], stored(house.data)))
    async with gateways.running() as gateway:
        phone = await house.phone()

        async def turned() -> None:
            phone.transport.sendto(b"\r\n\r\n", house.guard)
            assert (await phone.received.get())[0] == b"\r\n"

        assert status_of(await gateway.call("c0")) == 200
        assert await gateway.hang_up("c0") == 200  # from here on a channel is there, and no sync is needed
        seen.clear()
        with closing(sqlite3.connect(house.data / "lyon" / "agent.db", isolation_level=None)) as busy:
            busy.execute("BEGIN IMMEDIATE")  # the disk is slow
            calling = asyncio.create_task(gateway.call("c1"))
            while not channels(house)["used"]:  # it is decided
                await turned()
            for _ in range(2):  # what left at once has arrived
                await turned()
            assert not seen
            busy.execute("ROLLBACK")
        assert status_of(await calling) == 200
        assert stored(house.data) == (1, 1)
        assert await gateway.hang_up("c1") == 200
        assert stored(house.data) == (0, 0)
        assert seen == [(b"INVITE", (1, 1)), (b"BYE", (1, 1))]
        assert channels(house)["used"] == 0


async def test_the_call_too_many_is_refused_and_an_emergency_call_is_not(gateways: Opened) -> None:
    house = gateways.house
    house.master.capacity = 1
    async with gateways.running() as gateway:
        assert status_of(await gateway.call("c1")) == 200
        refused = await gateway.call("c2")
        assert status_of(refused) == 403
        assert header(refused, b"Warning").startswith(b'399 lyon "no_free_licence: ')
        assert status_of(await gateway.call("c3", to="112")) == 200
        counts = channels(house)
        assert (counts["used"], counts["surplus"], counts["refused"]) == (1, 1, 1)
        assert house.status()["rejections"] == {"refused": 1}


async def test_calls_go_on_across_a_restart_and_end_there(gateways: Opened) -> None:
    async with gateways.running() as gateway:
        for call in ("c1", "c2"):
            assert status_of(await gateway.call(call)) == 200
    gateways.house.further = ""  # no line is configured any more: what goes on ends as it does
    async with gateways.running() as gateway:
        assert channels(gateways.house)["used"] == 2
        assert await gateway.hang_up("c1") == 200
        assert channels(gateways.house)["used"] == 1
        assert status_of(await gateway.call("c3")) == 200
        assert channels(gateways.house)["used"] == 1
        assert await gateway.hang_up("c2") == 200
        assert stored(gateways.house.data) == (0, 0)


async def test_a_call_that_the_pbx_does_not_know_is_over(gateways: Opened) -> None:
    async with gateways.running() as gateway:
        for call in ("c1", "c2"):
            assert status_of(await gateway.call(call)) == 200
        site = gateways.house.lyon.site
        assert (
            site.counting.snapshot(Ongoing(frozenset({b"c2"})), gateways.house.main.clock.monotonic_ms() + 1)
            == 1
        )
        assert channels(gateways.house)["used"] == 1
        await gateways.house.written()
        assert stored(gateways.house.data) == (1, 1)
