"""A PBX over TCP: our connection to it and those that it opens, and what happens when they end."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import structlog

from agent.config import AgentConfig
from agent.edges.doctor.pbx import checks
from agent.edges.sip import pbx_link
from runtime.config import parse
from telephony.sip.stream import KEEP_ALIVE
from tests.acceptance.peers.waiting import until
from tests.agent.conftest import House
from tests.agent.scripted_pbx import Address, free_port, header, response, status_of
from tests.agent.stream_phone import StreamPbx, StreamPhone


@pytest.fixture
async def pbx(house: House) -> AsyncIterator[StreamPbx]:
    """A PBX that the agent speaks to by TCP; phones come by UDP."""
    pbx = StreamPbx(house.pbx)
    await pbx.open()
    house.sip["pbx"] = f"tcp:127.0.0.1:{pbx.address[1]}"
    house.listen.append(f"tcp:127.0.0.1:{free_port()}")
    yield pbx
    await pbx.close()


def door(house: House) -> Address:
    """Where the PBX connects to the agent."""
    return "127.0.0.1", int(house.listen[1].rpartition(":")[2])


async def test_one_connection_carries_everything_to_the_pbx(house: House, pbx: StreamPbx) -> None:
    async with house.running():
        for user in ("202", "203", "204"):
            assert await house.register(user) == 200
        (request,) = house.pbx.requests[-1:]
        assert b"\r\nVia: SIP/2.0/TCP 127.0.0.1:%d;rport;branch=" % door(house)[1] in request
        assert header(request, b"Path").endswith(b"@127.0.0.1:%d;transport=tcp;lr>" % door(house)[1])
        assert pbx.connections.qsize() == 1


async def test_a_restarted_pbx_gets_what_was_sent_meanwhile(
    house: House, pbx: StreamPbx, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pbx_link, "FIRST_DELAY_S", 0.05)
    async with house.running():
        assert await house.register("202") == 200
        await pbx.close()
        (await pbx.connections.get()).transport.abort()
        phone = await house.phone()
        with structlog.testing.capture_logs() as logs:
            phone.register(house.guard, "202")
            failed = "pbx.connection_failed"
            await asyncio.to_thread(until, lambda: failed in [line["event"] for line in logs])
        await pbx.open(pbx.address[1])
        assert status_of(await phone.answer()) == 200
        assert pbx.connections.qsize() == 1


async def test_the_connection_is_kept_alive(
    house: House, pbx: StreamPbx, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pbx_link, "KEEP_ALIVE_S", 0.1)
    async with house.running():
        assert await house.register("202") == 200
        pbx.heard.clear()
        async with asyncio.timeout(5):
            for _ in range(5):
                while (await house.pbx.received.get())[0] != KEEP_ALIVE:
                    pass
        assert set(pbx.heard) == {KEEP_ALIVE}, "two pongs in a row are no ping to answer"


async def test_the_pbx_calls_by_a_connection_of_its_own(house: House, pbx: StreamPbx) -> None:
    async with house.running():
        phone = await house.phone()
        assert await phone.registered(house.guard, "202") == 200
        line = await StreamPhone.open(door(house))
        line.send(invitation(header(house.pbx.requests[-1], b"Path"), line.address))
        request = await phone.answer()
        assert request.startswith(b"MESSAGE sip:202@phone")
        phone.transport.sendto(response(request, "200 OK"), house.guard)
        assert status_of(await line.message()) == 200
        await line.close()


async def test_an_answer_for_a_connection_of_the_pbx_that_is_gone_goes_by_ours(
    house: House, pbx: StreamPbx
) -> None:
    """RFC 3261 18.2.2."""
    async with house.running():
        phone = await house.phone()
        assert await phone.registered(house.guard, "202") == 200
        line = await StreamPhone.open(door(house))
        line.send(invitation(header(house.pbx.requests[-1], b"Path"), line.address))
        request = await phone.answer()
        await line.reset()
        phone.transport.sendto(response(request, "200 OK"), house.guard)
        async with asyncio.timeout(5):
            while not (answer := (await house.pbx.received.get())[0]).startswith(b"SIP/2.0 200"):
                pass
        assert header(answer, b"CSeq") == b"1 MESSAGE"


async def test_doctor_asks_the_pbx_over_tcp(house: House, pbx: StreamPbx) -> None:
    (entry,) = parse(house.config_text(), "agent.yaml", AgentConfig).pbxs
    found = (await asyncio.to_thread(lambda: list(checks(entry, "not running"))))[0]
    assert (found.state, found.detail) == ("ok", f"{house.sip['pbx']} answered 200 OK")
    assert b"\r\nVia: SIP/2.0/TCP 127.0.0.1:" in house.pbx.requests[-1]


async def test_phones_take_no_connection_from_the_pbx(house: House, pbx: StreamPbx) -> None:
    house.sip["connections"] = {"total": 2, "per_source": 2}
    async with house.running():
        many = [await StreamPhone.open(door(house), host="127.0.0.9") for _ in range(3)]
        assert await many[2].ended() == b""
        lines = [await StreamPhone.open(door(house)) for _ in range(3)]
        lines[2].send(invitation(b"<sip:x@127.0.0.1:5060>", lines[2].address))
        assert status_of(await lines[2].message()) == 404, "it is heard; nobody is meant"
        for each in many + lines:
            await each.close()


async def test_what_nobody_can_take_is_lost_and_counted(house: House, pbx: StreamPbx) -> None:
    await pbx.close()
    async with house.running() as main:
        (edge,) = main.edges.values()
        phone = await house.phone()
        for _ in range(pbx_link.QUEUE_LIMIT + 7):
            edge.send(house.lyon.entry.sip.pbx_flow, b"x")
        assert edge.lost == 7
        assert phone.received.empty()


def invitation(route: bytes, sender: Address) -> bytes:
    """A request of the PBX for the phone behind this Path."""
    return (
        b"MESSAGE sip:202@phone SIP/2.0\r\nVia: SIP/2.0/TCP %b:%d;branch=z9hG4bKx\r\nRoute: %b\r\n"
        b"Max-Forwards: 70\r\nFrom: <sip:pbx@pbx.test>;tag=1\r\nTo: <sip:202@phone>\r\n"
        b"Call-ID: 1\r\nCSeq: 1 MESSAGE\r\nContent-Length: 0\r\n\r\n" % (sender[0].encode(), sender[1], route)
    )
