"""The real `pbx-agent` with sockets that somebody else opened: what comes meanwhile outwaits a restart."""

import asyncio
import json
import socket
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

import pytest

from tests.agent.conftest import House
from tests.agent.scripted_pbx import status_of
from tests.agent.test_program import PROGRAM, Agent

ACTIVATED = str(Path(__file__).parents[1] / "acceptance" / "peers" / "activated.py")
UDP, TCP = socket.SOCK_DGRAM, socket.SOCK_STREAM
REGISTER = """REGISTER sip:pbx.test SIP/2.0\r
Via: SIP/2.0/TCP 127.0.0.1;branch=z9hG4bK{number}\r
Max-Forwards: 70\r
From: <sip:{user}@pbx.test>;tag=1\r
To: <sip:{user}@pbx.test>\r
Call-ID: {user}\r
CSeq: {number} REGISTER\r
Contact: <sip:{user}@127.0.0.1;transport=tcp>\r
Authorization: Digest username="x", response="y"\r
Expires: 600\r
Content-Length: 0\r
\r
"""


@pytest.fixture
def sockets(house: House) -> Iterator[list[socket.socket]]:
    """Those of the house's guard, by UDP and TCP, as systemd would open them."""
    with ExitStack() as stack:
        made = [stack.enter_context(socket.socket(socket.AF_INET, kind)) for kind in (UDP, TCP)]
        for each in made:
            each.bind(house.guard)
        made[1].listen()
        yield made


@pytest.fixture
def config(house: House) -> Path:
    path = house.data.parent / "agent.yaml"
    listen = f'"udp:127.0.0.1:{house.guard[1]}"'
    path.write_text(house.config_text().replace(listen, f"{listen}, {listen.replace('udp', 'tcp')}"))
    return path


@asynccontextmanager
async def inheriting(config: Path, sockets: Sequence[socket.socket]) -> AsyncIterator[Agent]:
    """A running agent process that was given these; leaving the block is SIGTERM."""
    numbers = [sock.fileno() for sock in sockets]
    words = [sys.executable, ACTIVATED, ",".join(map(str, numbers)), PROGRAM, "run", "--config", str(config)]
    process = await asyncio.create_subprocess_exec(*words, stderr=PIPE, pass_fds=numbers)
    agent = Agent(process)
    try:
        await agent.until("agent.ready")
        yield agent
    finally:
        if process.returncode is None:
            process.terminate()
        await agent.ended()


async def answered(reader: asyncio.StreamReader) -> int:
    """The status of the next answer."""
    async with asyncio.timeout(10):
        return status_of(await reader.readuntil(b"\r\n\r\n"))


async def test_datagrams_and_connections_wait_for_the_next_start(
    house: House, config: Path, sockets: list[socket.socket]
) -> None:
    async with inheriting(config, sockets):
        assert await house.register("202") == 200
        reader, writer = await asyncio.open_connection(*house.guard)
        writer.write(REGISTER.format(user="203", number=1).encode())
        assert await answered(reader) == 200
    assert await reader.read() == b"", "connections end with the process"
    writer.close()
    phone = await house.phone()
    phone.register(house.guard, "204")
    reader, writer = await asyncio.open_connection(*house.guard)
    writer.write(REGISTER.format(user="205", number=2).encode())
    async with inheriting(config, sockets):
        assert status_of(await phone.answer()) == 200
        assert await answered(reader) == 200
    writer.close()


async def test_one_that_no_listener_claims_stops_the_start(
    house: House, config: Path, sockets: list[socket.socket]
) -> None:
    listen = f', "tcp:127.0.0.1:{house.guard[1]}"'
    await asyncio.to_thread(
        config.write_text, (await asyncio.to_thread(config.read_text)).replace(listen, "")
    )
    numbers = [sock.fileno() for sock in sockets]
    words = [sys.executable, ACTIVATED, ",".join(map(str, numbers)), PROGRAM, "run", "--config", str(config)]
    process = await asyncio.create_subprocess_exec(*words, stderr=PIPE, pass_fds=numbers)
    _, err = await process.communicate()
    said = f"inherited socket tcp:127.0.0.1:{house.guard[1]} (pbx-agent.socket): no listener"
    assert (process.returncode, err.decode().startswith(said)) == (2, True)


async def test_without_them_the_agent_opens_its_own(house: House, config: Path) -> None:
    process = await asyncio.create_subprocess_exec(PROGRAM, "run", "--config", str(config), stderr=PIPE)
    agent = Agent(process)
    try:
        ready = await agent.until("agent.ready")
        port = house.guard[1]
        assert json.dumps(ready["sip"]) == json.dumps(
            {"lyon": [f"udp:127.0.0.1:{port}", f"tcp:127.0.0.1:{port}"]}
        )
    finally:
        process.terminate()
        await agent.ended()
