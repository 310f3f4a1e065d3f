"""SIP over WebSocket: what browsers do, what they may not do, and what is no browser."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from time import thread_time
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosedError, InvalidStatus
from websockets.typing import Origin, Subprotocol

from telephony.guard import PONG
from telephony.sip.message import SIZE_LIMIT
from telephony.sip.stream import KEEP_ALIVE
from tests.agent.conftest import House
from tests.agent.scripted_pbx import Address, free_port, header, response, status_of
from tests.agent.stream_phone import StreamPhone

PAGE = "https://phones.example"


@pytest.fixture
def ws(house: House) -> Address:
    """A WebSocket listener of the agent."""
    port = free_port()
    house.listen.append(f"ws:127.0.0.1:{port}")
    return "127.0.0.1", port


@contextlib.asynccontextmanager
async def browser(ws: Address, **options: Any) -> AsyncIterator[ClientConnection]:
    """A browser's connection."""
    options = {"subprotocols": [Subprotocol("sip")], "proxy": None, "compression": None, **options}
    async with connect(f"ws://{ws[0]}:{ws[1]}/", **options) as line:
        yield line


def wish(user: str, number: int = 1) -> bytes:
    """A REGISTER as JsSIP sends it."""
    lines = [
        "REGISTER sip:pbx.test SIP/2.0",
        f"Via: SIP/2.0/WS x7k2.invalid;branch=z9hG4bK{user}{number}",
        "Max-Forwards: 69",
        f"To: <sip:{user}@pbx.test>",
        f"From: <sip:{user}@pbx.test>;tag=1",
        f"Call-ID: {user}",
        f"CSeq: {number} REGISTER",
        "Contact: <sip:c1@x7k2.invalid;transport=ws>;expires=600",
        'Authorization: Digest username="x", response="y"',
        "Content-Length: 0",
        "",
        "",
    ]
    return "\r\n".join(lines).encode()


async def heard(line: ClientConnection) -> bytes:
    """The next message."""
    async with asyncio.timeout(5):
        data = await line.recv()
    return data.encode() if isinstance(data, str) else data


async def test_a_browser_registers_and_is_called(house: House, ws: Address) -> None:
    async with house.running(), browser(ws) as line:
        assert line.subprotocol == "sip"
        await line.send(wish("202").decode())
        answer = await heard(line)
        assert status_of(answer) == 200
        assert b"\r\nVia: SIP/2.0/WS x7k2.invalid;branch=z9hG4bK2021;received=127.0.0.1\r\n" in answer
        host, port = house.pbx.address
        route = header(house.pbx.requests[-1], b"Path")
        house.pbx.transport.sendto(
            b"MESSAGE sip:c1@x7k2.invalid SIP/2.0\r\nVia: SIP/2.0/UDP %b:%d;branch=z9hG4bKx\r\nRoute: %b\r\n"
            b"Max-Forwards: 70\r\nFrom: <sip:pbx@pbx.test>;tag=1\r\nTo: <sip:202@phone>\r\nCall-ID: 1\r\n"
            b"CSeq: 1 MESSAGE\r\nContent-Length: 2\r\n\r\n\xff\xfe" % (host.encode(), port, route),
            house.guard,
        )
        request = await heard(line)  # no text, so it comes in a binary frame
        assert request.startswith(b"MESSAGE sip:c1@x7k2.invalid SIP/2.0\r\nVia: SIP/2.0/WS 127.0.0.1:")
        await line.send(response(request, "200 OK"))
        async with asyncio.timeout(5):
            while not (await house.pbx.received.get())[0].startswith(b"SIP/2.0 200"):
                pass


async def test_frames(house: House, ws: Address) -> None:
    """Text, binary, in parts, several at once, keep-alives and pings."""
    async with house.running(), browser(ws) as line:
        await line.send(wish("202"))
        assert status_of(await heard(line)) == 200
        text = wish("202", 2).decode()
        await line.send([text[:10], text[10:11], text[11:]])
        assert status_of(await heard(line)) == 200
        for number in range(3, 40):
            await line.send(wish("202", number))
        for number in range(3, 40):
            assert header(await heard(line), b"CSeq") == b"%d REGISTER" % number
        await line.send(KEEP_ALIVE)
        assert await heard(line) == PONG
        async with asyncio.timeout(5):
            await (await line.ping())


async def test_nobody_is_reached_after_the_goodbye(house: House, ws: Address) -> None:
    async with house.running():
        async with browser(ws) as line:
            await line.send(wish("202"))
            assert status_of(await heard(line)) == 200
        assert line.close_code == 1000
        async with browser(ws) as line:
            await line.send(wish("203"))
            assert status_of(await heard(line)) == 200
        assert house.lyon.site.outbound.rejections["connection"] == 0


async def test_what_speaks_no_sip_is_refused(house: House, ws: Address) -> None:
    async with house.running():
        for subprotocols in (None, [Subprotocol("xmpp")]):
            with pytest.raises(InvalidStatus, match="400"):
                async with browser(ws, subprotocols=subprotocols):
                    pass
        curious = await StreamPhone.open(ws)
        curious.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await curious.ended()).startswith(b"HTTP/1.1 426 Upgrade Required\r\n")
        await curious.close()
        phone = await StreamPhone.open(ws)
        phone.send(phone.wish("202"))
        await phone.ended()
        await phone.close()
        assert house.lyon.site.outbound.rejections["malformed"] == 4


async def test_pages_that_may_connect(house: House, ws: Address) -> None:
    house.sip["origins"] = [PAGE]
    async with house.running():
        for origin in (Origin(PAGE), None):
            async with browser(ws, origin=origin) as line:
                await line.send(wish("202"))
                assert status_of(await heard(line)) == 200
        with pytest.raises(InvalidStatus, match="403"):
            async with browser(ws, origin=Origin("https://evil.example")):
                pass


async def test_a_message_may_not_be_too_large(house: House, ws: Address) -> None:
    async with house.running(), browser(ws) as line:
        await line.send(b"x" * (SIZE_LIMIT + 1))
        with pytest.raises(ConnectionClosedError) as ended:
            await heard(line)
        assert ended.value.rcvd is not None
        assert ended.value.rcvd.code == 1009


async def test_a_flood_of_pings_is_taken_in_turns(house: House, ws: Address) -> None:
    """No turn of the loop costs the most of it, in CPU time."""
    turns: list[float] = []

    async def watch() -> None:
        before = thread_time()
        while True:
            await asyncio.sleep(0)
            turns.append(thread_time() - before)
            before = thread_time()

    async with house.running(), browser(ws, close_timeout=0.1) as line:
        await line.send(wish("202"))
        assert status_of(await heard(line)) == 200
        watching = asyncio.create_task(watch())
        line.transport.write(b"\x89\x80abcd" * 40_000)  # empty, masked
        await line.send(wish("202", 2))
        assert status_of(await heard(line)) == 200
        watching.cancel()
        assert max(turns) < 0.4 * sum(turns)
