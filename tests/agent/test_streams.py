"""The stream edge against real sockets: registrations, calls back, limits, deadlines, slow readers."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from agent.store import journal
from telephony.sip.stream import KEEP_ALIVE
from tests.agent.conftest import House
from tests.agent.scripted_pbx import Address, free_port, header, status_of
from tests.agent.stream_phone import StreamPhone

LIMITS = {"handshake_s": 1, "message_s": 1, "idle_s": 2, "registered_idle_s": 60, "per_source": 3, "total": 5}


@pytest.fixture
def tcp(house: House) -> Address:
    """A TCP listener of the agent."""
    return listener(house, "tcp")


def listener(house: House, transport: str) -> Address:
    """One more listener of the agent."""
    port = free_port()
    house.listen.append(f"{transport}:127.0.0.1:{port}")
    return "127.0.0.1", port


def path_of(house: House) -> bytes:
    """The Path in the last REGISTER that reached the PBX."""
    return header(house.pbx.requests[-1], b"Path")


def call(house: House, route: bytes, *, call_id: str = "1", size: int = 0) -> None:
    """The PBX sends a request along this route, by UDP."""
    host, port = house.pbx.address
    lines = [
        "MESSAGE sip:202@phone SIP/2.0",
        f"Via: SIP/2.0/UDP {host}:{port};branch=z9hG4bK{call_id}",
        f"Route: {route.decode()}",
        "Max-Forwards: 70",
        "From: <sip:pbx@pbx.test>;tag=1",
        "To: <sip:202@phone>",
        f"Call-ID: {call_id}",
        "CSeq: 1 MESSAGE",
        f"Content-Length: {size}",
        "",
        "x" * size,
    ]
    house.pbx.transport.sendto("\r\n".join(lines).encode(), house.guard)


async def answer_at_pbx(house: House) -> bytes:
    """The next response that the PBX gets."""
    async with asyncio.timeout(5):
        while True:
            data, _ = await house.pbx.received.get()
            if data.startswith(b"SIP/2.0"):
                return data


def rejected(house: House) -> int:
    """How many connections were refused or cut."""
    return house.lyon.site.outbound.rejections["connection"]


Dial = Callable[..., Awaitable[StreamPhone]]


@pytest.fixture
async def dial() -> AsyncIterator[Dial]:
    """Connects to a listener; every connection is closed at the end."""
    phones: list[StreamPhone] = []

    async def connect(guard: Address, **options: Any) -> StreamPhone:
        phones.append(await StreamPhone.open(guard, **options))
        return phones[-1]

    yield connect
    for phone in phones:
        await phone.close()


async def test_a_phone_registers_and_is_called_through_its_connection(
    house: House, tcp: Address, dial: Dial
) -> None:
    async with house.running():
        phone = await dial(tcp)
        assert await phone.registered("202") == 200
        assert house.pbx.requests[-1].count(b"\r\nVia: SIP/2.0/UDP 127.0.0.1") == 1
        call(house, path_of(house))
        request = await phone.message()
        assert request.startswith(b"MESSAGE sip:202@phone")
        assert b"\r\nVia: SIP/2.0/TCP 127.0.0.1:%d;rport;branch=" % tcp[1] in request
        head = request.replace(b"MESSAGE sip:202@phone SIP/2.0", b"SIP/2.0 200 OK", 1)
        phone.send(head)
        answer = await answer_at_pbx(house)
        assert (status_of(answer), answer.count(b"\r\nVia: ")) == (200, 1)


async def test_what_arrives_byte_by_byte_or_at_once_is_understood(
    house: House, tcp: Address, dial: Dial
) -> None:
    async with house.running():
        phone = await dial(tcp)
        phone.writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in phone.wish("202"):
            phone.send(bytes([byte]))
            await asyncio.sleep(0)
        phone.send(KEEP_ALIVE + phone.wish("203") + phone.wish("204")[:50])
        heard = [await phone.message() for _ in range(2)]
        assert [status_of(answer) for answer in heard] == [200, 200]


async def test_nobody_gets_what_was_meant_for_a_connection_that_is_gone(
    house: House, tcp: Address, dial: Dial
) -> None:
    async with house.running():
        phone = await dial(tcp)
        assert await phone.registered("202") == 200
        route, (_, port) = path_of(house), phone.address
        await phone.reset()
        call(house, route)
        assert status_of(await answer_at_pbx(house)) == 430
        other = await dial(tcp, port=port)
        call(house, route, call_id="2")
        assert status_of(await answer_at_pbx(house)) == 430
        assert await other.registered("202") == 200
        call(house, path_of(house), call_id="3")
        assert (await other.message()).startswith(b"MESSAGE")


async def test_not_even_after_a_restart(house: House, tcp: Address, dial: Dial) -> None:
    """The same phone from the same port, and a path from before: the numbers of connections differ."""
    async with house.running():
        phone = await dial(tcp)
        assert await phone.registered("202") == 200
        route, (_, port) = path_of(house), phone.address
    assert await phone.ended() == b""
    await phone.close()
    async with house.running():
        again = await dial(tcp, port=port)
        call(house, route)
        assert status_of(await answer_at_pbx(house)) == 430
        assert await again.registered("202") == 200
        assert path_of(house) != route


async def test_a_broken_message_is_answered_and_ends_the_connection(
    house: House, tcp: Address, dial: Dial
) -> None:
    async with house.running():
        phone = await dial(tcp)
        phone.send(phone.wish("202").replace(b"Content-Length: 0", b"Content-Length: no"))
        assert (await phone.ended()).startswith(b"SIP/2.0 400 Content-Length is not a number\r\n")
        assert house.lyon.site.outbound.rejections["malformed"] == 1


async def test_deadlines(house: House, tcp: Address, dial: Dial) -> None:
    """Silent, unfinished and half-shaken connections end in their time; one with a registration stands."""
    house.sip["connections"] = {**LIMITS, "per_source": 100, "total": 100}
    ws = listener(house, "ws")
    async with house.running():
        loop = asyncio.get_running_loop()
        begun = loop.time()
        silent, registered, unfinished = [await dial(tcp) for _ in range(3)]
        browser = await dial(ws)
        browser.send(b"GET / HTTP/1.1\r\nHost: x\r\n")
        assert await registered.registered("202") == 200
        later = await dial(tcp)

        async def drip() -> None:
            for _ in range(100):
                unfinished.send(b"X")
                await asyncio.sleep(0.1)

        async def ended_after(phone: StreamPhone) -> float:
            await phone.ended()
            return loop.time() - begun

        dripping = asyncio.create_task(drip())
        times = await asyncio.gather(*map(ended_after, (unfinished, browser, silent, later)))
        dripping.cancel()
        assert 0.9 < times[0] < 2.9
        assert 0.9 < times[1] < 2.9
        assert 1.9 < times[2] < 3.9
        assert rejected(house) == 4
        registered.send(KEEP_ALIVE)
        assert await registered.registered("202") == 200


async def test_limits_in_all_and_for_each_source(house: House, tcp: Address, dial: Dial) -> None:
    house.sip["connections"] = {**LIMITS, "idle_s": 60}
    async with house.running():
        first = [await dial(tcp) for _ in range(3)]
        assert await (await dial(tcp)).ended() == b"", "the fourth of 127.0.0.1"
        others = [await dial(tcp, host=f"127.0.0.{n}") for n in (2, 3)]
        assert await (await dial(tcp, host="127.0.0.4")).ended() == b"", "the sixth in all"
        assert rejected(house) == 2
        for user, phone in enumerate([*first, *others], start=202):
            assert await phone.registered(str(user)) == 200
        await first[0].close()
        place = await dial(tcp)
        assert await place.registered("210") == 200


async def test_a_flood_of_connections_leaves_no_trace(house: House, tcp: Address, dial: Dial) -> None:
    house.sip["connections"] = {"per_source": 20, "total": 50, "new_per_s": 100_000}
    async with house.running():
        for _ in range(10):
            many = await asyncio.gather(*[dial(tcp, host="127.0.0.9") for _ in range(100)])
            await asyncio.gather(*[phone.close() for phone in many])
        phone = await dial(tcp)
        assert await phone.registered("202") == 200
        again = await dial(tcp, host="127.0.0.9")
        assert await again.registered("203") == 200


async def test_a_source_opens_only_so_many_connections_a_second(
    house: House, tcp: Address, dial: Dial
) -> None:
    house.sip["connections"] = {"per_source": 5, "new_per_s": 1}
    async with house.running():
        for _ in range(5):
            await (await dial(tcp, host="127.0.0.9")).close()
        assert await (await dial(tcp, host="127.0.0.9")).ended() == b""
        assert rejected(house) == 1
        phone = await dial(tcp)
        assert await phone.registered("202") == 200


async def test_what_its_source_may_not_send_yet_waits_and_is_not_lost(
    house: House, tcp: Address, dial: Dial
) -> None:
    house.sip["limits"] = {"messages_per_s": 20, "burst": 5}
    async with house.running():
        phone, other = await dial(tcp, host="127.0.0.9"), await dial(tcp)
        started = asyncio.get_running_loop().time()
        phone.send(b"".join(phone.wish("202") for _ in range(15)))
        assert await other.registered("203") == 200
        answers = [await phone.message() for _ in range(15)]
        assert {status_of(answer) for answer in answers} == {200}
        # The first one waits for the disk (decision 0010), the others do not.
        numbers = {header(answer, b"CSeq") for answer in answers}
        assert numbers == {b"%d REGISTER" % (number + 1) for number in range(15)}
        assert asyncio.get_running_loop().time() - started > 0.3
        assert 0 < house.lyon.site.intake.meter.refused <= 15, "each that waited is counted once"


async def test_what_the_disk_cannot_take_yet_waits_and_is_not_lost(
    house: House, tcp: Address, dial: Dial, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Calls pass meanwhile, as over UDP."""
    async with house.running():
        phone = await dial(tcp)
        assert await phone.registered("202") == 200
        await house.written()
        with monkeypatch.context() as behind:
            behind.setattr(journal, "FULL_AT", 0)
            phone.send(phone.wish("203"))
            call(house, path_of(house))
            assert (await phone.message()).startswith(b"MESSAGE")
            call(house, path_of(house), call_id="2")
            assert (await phone.message()).startswith(b"MESSAGE")
            assert not any(b"203@pbx.test" in request for request in house.pbx.requests)
        assert status_of(await phone.message()) == 200


async def test_who_does_not_read_is_dropped_and_nobody_else_notices(
    house: House, tcp: Address, dial: Dial
) -> None:
    house.sip["connections"] = {"unread_kib": 64}
    async with house.running():
        deaf = await dial(tcp)
        deaf.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        assert await deaf.registered("202") == 200
        route = path_of(house)
        deaf.writer.transport.pause_reading()  # type: ignore[attr-defined]
        other = await dial(tcp)
        for number in range(1_000):
            call(house, route, call_id=str(number), size=20_000)
            if number % 20 == 0:
                assert await other.registered("203") == 200
            if rejected(house):
                break
        assert rejected(house) == 1
        call(house, route, call_id="last")
        async with asyncio.timeout(5):
            while status_of(await answer_at_pbx(house)) != 430:
                pass
        assert await other.registered("203") == 200


async def test_a_flood_on_one_connection_does_not_hold_up_the_others(
    house: House, tcp: Address, dial: Dial
) -> None:
    """What one sends at once is taken in turns: another phone is answered long before its end."""
    options = (
        b"OPTIONS sip:x SIP/2.0\r\nVia: SIP/2.0/TCP a;branch=z9hG4bK%d\r\nFrom: <sip:a>;tag=1\r\n"
        b"To: <sip:b>\r\nCall-ID: 1\r\nCSeq: %d OPTIONS\r\nMax-Forwards: 0\r\nl: 0\r\n\r\n"
    )
    async with house.running():
        flood, other = await dial(tcp), await dial(tcp)
        assert await other.registered("202") == 200
        flood.send(b"".join(options % (n, n) for n in range(1_500)))
        await asyncio.sleep(0)
        assert await other.registered("202") == 200
        assert house.lyon.site.outbound.rejections["too_many_hops"] < 700, (
            "of the 800 and more that one read brings"
        )
        for number in range(1_500):
            assert b"\r\nCSeq: %d OPTIONS\r\n" % number in await flood.message()
