"""Floods, emergency calls and a disk that is behind: what a whole agent still does, over real UDP."""

import asyncio
import socket
import sqlite3
from collections.abc import Sequence
from contextlib import closing

import pytest

from agent import main
from agent.edges.sip import sieve, udp
from agent.endpoint import Endpoint
from agent.store import journal
from runtime.store import Statement
from telephony.address import Flow
from telephony.meter import USUAL
from tests.agent.conftest import House
from tests.agent.scripted_pbx import Address, free_port, status_of

READ_LAST = USUAL + 40  # more than goes on at once, and no more than the PBX's buffer holds
FLOODER, PHONE = "127.66.0.1", "127.66.0.2"


def invite(number: str, host: str) -> bytes:
    """A call that begins at a phone."""
    return (
        f"INVITE sip:{number}@pbx.test SIP/2.0\r\n"
        f"Via: SIP/2.0/UDP {host}:5060;rport;branch=z9hG4bK{number}\r\n"
        f"Max-Forwards: 70\r\nFrom: <sip:202@pbx.test>;tag=1\r\nTo: <sip:{number}@pbx.test>\r\n"
        f"Call-ID: call-{number}@{host}\r\nCSeq: 1 INVITE\r\nContact: <sip:202@{host}:5060>\r\n"
        "Content-Length: 0\r\n\r\n"
    ).encode()


def flood(guard: Address, count: int) -> None:
    """So many datagrams from one address, all in the kernel's buffer before the agent reads the first."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as flooder:
        flooder.bind((FLOODER, 0))
        for _ in range(count):
            flooder.sendto(b"garbage", guard)


async def heard_by_pbx(house: House, start: bytes) -> bool:
    """Whether the next requests that reach the PBX hold one that begins so; five seconds are given."""
    async with asyncio.timeout(5):
        while not any(request.startswith(start) for request in house.pbx.requests):
            await house.pbx.received.get()
    return True


async def test_a_flood_is_refused_unread_and_told(house: House) -> None:
    house.sip["limits"] = {"messages_per_s": 10, "burst": 20}
    async with house.running() as main:
        flood(house.guard, 500)
        phone = await house.phone(PHONE)
        assert await phone.registered(house.guard, "202") == 200
        assert house.lyon.site.outbound.rejections["malformed"] in range(20, 30)
        assert house.status()["rejections"]["over_limit"] > 400
        assert house.status()["alarms"] == []
        house.lyon.floods.look(main.edges["lyon"], main.clock.monotonic_ms())
        (alarm,) = house.status()["alarms"]
        assert (alarm["code"], FLOODER in alarm["hint"]) == ("flood", True)


async def test_an_inherited_filter_is_taken_off(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """systemd keeps the socket and its filter while the agent restarts; the new agent shut nobody out."""
    made: list[socket.socket] = []
    bound = udp._bound

    def inherited(endpoint: Endpoint) -> socket.socket:
        made.append(bound(endpoint))
        sieve.attach(made[-1], [PHONE])
        return made[-1]

    monkeypatch.setattr(udp, "_bound", inherited)
    async with house.running():
        phone = await house.phone(PHONE)
        assert await phone.registered(house.guard, "202") == 200
    assert made


def test_phones_that_are_off_do_not_fill_the_socket() -> None:
    """A datagram to a neighbour without ARP answer counts for 3 s; 167 of them filled a usual buffer."""
    usual = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with usual, udp._bound(Endpoint.parse(f"udp:127.0.0.1:{free_port()}")) as ours:
        sizes = [sock.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) for sock in (usual, ours)]
    assert sizes[1] >= 2 * sizes[0]


async def test_trusted_sources_and_the_pbx_have_no_limit(house: House) -> None:
    house.sip["limits"] = {"messages_per_s": 1, "burst": 2, "trusted": [FLOODER]}
    async with house.running():
        flood(house.guard, 500)
        for user in ("202", "203", "204"):
            assert await house.register(user) == 200  # from the address of the PBX
        assert house.lyon.site.outbound.rejections["malformed"] == 500
        assert "over_limit" not in house.status()["rejections"]


async def test_an_emergency_call_of_a_source_over_its_limit_passes(house: House) -> None:
    house.sip["limits"] = {"messages_per_s": 1, "burst": 2}
    async with house.running():
        phone = await house.phone(FLOODER)
        flood(house.guard, 100)
        phone.transport.sendto(invite("203", FLOODER), house.guard)
        for _ in range(50):
            phone.transport.sendto(invite("112", FLOODER), house.guard)
        assert await heard_by_pbx(house, b"INVITE sip:112@")
        helpers = await house.phone(PHONE)
        assert await helpers.registered(house.guard, "202") == 200
        assert not any(request.startswith(b"INVITE sip:203@") for request in house.pbx.requests)
        calls = sum(request.startswith(b"INVITE sip:112@") for request in house.pbx.requests)
        assert calls <= 20, "they too have a limit"


async def test_calls_pass_while_the_disk_is_behind(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    async with house.running():
        phone = await house.phone()
        assert await phone.registered(house.guard, "202") == 200
        await house.written()
        with monkeypatch.context() as behind:
            behind.setattr(journal, "FULL_AT", 0)
            phone.register(house.guard, "203")
            phone.transport.sendto(b"\r\n\r\n", house.guard)
            phone.transport.sendto(invite("112", "127.0.0.1"), house.guard)
            phone.transport.sendto(invite("204", "127.0.0.1"), house.guard)
            assert await heard_by_pbx(house, b"INVITE sip:112@")
            assert await heard_by_pbx(house, b"INVITE sip:204@")
            assert (await phone.answer(), status_of(await phone.answer())) == (b"\r\n", 200)
            assert house.status()["rejections"]["store_busy"] == 1
            assert not any(b"203@pbx.test" in request for request in house.pbx.requests)
        assert await phone.registered(house.guard, "203") == 200


async def test_calls_do_not_wait_for_a_registration_on_its_way_to_the_disk(house: House) -> None:
    """A first REGISTER waits for its note, a first 200 for its record (decisions 0010, 0011), a call not."""
    async with house.running():
        phone = await house.phone()
        assert await phone.registered(house.guard, "202") == 200
        await house.sync()
        assert house.seats()["spare"] > 0
        with closing(sqlite3.connect(house.data / "lyon" / "agent.db", isolation_level=None)) as disk:
            disk.execute("BEGIN IMMEDIATE")
            phone.register(house.guard, "203")
            for number in ("112", "204"):
                phone.transport.sendto(invite(number, "127.0.0.1"), house.guard)
                assert await heard_by_pbx(house, f"INVITE sip:{number}@".encode())
            assert house.seats()["reserved"] == 1
            assert not any(b"203@pbx.test" in request for request in house.pbx.requests)
            disk.execute("ROLLBACK")
        answers = [status_of(await phone.answer()) for _ in range(3)]
        assert answers == [200, 200, 200]


async def test_first_bindings_of_one_turn_share_a_commit(house: House) -> None:
    """Twenty answers of the PBX come together: the last phone waits for one commit, not for twenty."""
    house.pbx.silent = True
    async with house.running():
        await house.lyon.site.bypass(3_600)  # else most of them wait for units
        phones = [await house.phone() for _ in range(20)]
        for number, phone in enumerate(phones):
            phone.register(house.guard, f"3{number:02}")
        async with asyncio.timeout(10):
            while len(house.pbx.requests) < 20:
                await house.pbx.received.get()
        commits: list[int] = []
        write = house.lyon.journal._database.write

        async def counted(statements: Sequence[Statement]) -> None:
            commits.append(len(statements))
            await write(statements)

        house.lyon.journal._database.write = counted  # type: ignore[method-assign]
        for request in house.pbx.requests:
            house.pbx.transport.sendto(house.pbx.answer(request), house.guard)
        assert {status_of(await phone.answer()) for phone in phones} == {200}
        assert len(commits) < 10


async def test_a_stop_answers_what_it_has_read_of_a_burst(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A busy site never gets idle: what it read last still waits its turn when it reads no more."""
    house.pbx.silent = True
    monkeypatch.setattr(main, "DRAIN_LOOKS", 100)
    flow = Flow(0, "127.0.0.9", 40_000)
    message = (
        "OPTIONS sip:{0}@pbx.test SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.9;branch=z9hG4bK{0}\r\n"
        "Max-Forwards: 70\r\nFrom: <sip:x@pbx.test>;tag=1\r\nTo: <sip:x@pbx.test>\r\n"
        "Call-ID: {0}\r\nCSeq: 1 OPTIONS\r\n\r\n"
    )
    async with house.running() as running:
        edge = running.edges["lyon"]
        pause = edge.pause

        def read_last() -> None:
            burst = [(message.format(number).encode(), flow) for number in range(READ_LAST)]
            house.lyon.site.intake.turn(burst, running.clock.monotonic_ms())
            pause()

        monkeypatch.setattr(edge, "pause", read_last)
        phone = await house.phone()
        phone.register(house.guard, "202")
        await house.pbx.received.get()
    async with asyncio.timeout(5):
        while len([heard for heard in house.pbx.requests if heard.startswith(b"OPTIONS")]) < READ_LAST:
            await house.pbx.received.get()
