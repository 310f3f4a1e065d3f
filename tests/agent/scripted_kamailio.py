"""A Kamailio as its route file speaks: it asks the agent by evapi, and lists its contacts by JSON-RPC."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from telephony.pbx.kamailio import Netstrings, netstring

WITHIN_S = 10


class ScriptedKamailio:
    """One of each server; `answers` are the words of the agent, `table` is what it holds: {AOR: URI}."""

    def __init__(self) -> None:
        self.table: dict[str, str] = {}
        self.connections = 0
        self.answers: asyncio.Queue[bytes] = asyncio.Queue()
        self.beaten = asyncio.Event()
        self.broken = False
        self._writers: list[asyncio.StreamWriter] = []
        self._asked = 0
        self.section: dict[str, Any] = {}

    @asynccontextmanager
    async def serving(self) -> AsyncIterator["ScriptedKamailio"]:
        """Both listen on loopback; `section` is that of agent.yaml."""
        async with (
            await asyncio.start_server(self._evapi, "127.0.0.1", 0) as evapi,
            await asyncio.start_server(self._rpc, "127.0.0.1", 0) as rpc,
        ):
            places = [f"127.0.0.1:{server.sockets[0].getsockname()[1]}" for server in (rpc, evapi)]
            self.section = {"rpc": places[0], "evapi": places[1], "asks": True, "resync_s": 5}
            yield self
            self.hang_up()

    async def ask(self, user: str, host: str = "192.0.2.7") -> list[str]:
        """The fields of the agent's answer to a REGISTER of this user; the first is the question."""
        self._asked += 1
        question, number = f"{self._asked}:7", self._asked
        register = (
            f"REGISTER sip:a SIP/2.0\r\nVia: SIP/2.0/UDP {host}:5090;branch=z9hG4bKq{number}\r\n"
            f"From: <sip:{user}@a>;tag=1\r\nTo: <sip:{user}@a>\r\nCall-ID: c{user}\r\n"
            f"CSeq: {number} REGISTER\r\nContact: <sip:{user}@{host}:5090>\r\nExpires: 600\r\n"
            "Max-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
        )
        self.tell(f"ask {question} {host} 5090\n{register}".encode())
        async with asyncio.timeout(WITHIN_S):
            index, label, *fields = (await self.answers.get()).decode().split("|")
        assert f"{index}:{label}" == question
        return [question, *fields]

    def saved(self, question: str, user: str, *, bound: bool = True, host: str = "192.0.2.7") -> None:
        """Tell what is held of this user after a REGISTER."""
        uri = f"sip:{user}@{host}:5090"
        if bound:
            self.table[user] = uri
        else:
            self.table.pop(user, None)
        lines = f"1600 {uri}\n" if bound else ""
        self.tell(f"set {question} 1 1000\nsip:{user}@a\n{lines}".encode())

    def tell(self, frame: bytes) -> None:
        """A frame to everybody who is connected, as evapi_relay does."""
        for writer in self._writers:
            writer.write(netstring(frame))

    def hang_up(self) -> None:
        """End every connection."""
        for writer in self._writers:
            writer.close()
        self._writers.clear()
        self.beaten.clear()

    async def _evapi(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.broken:
            writer.write(b'{"ev":"register"}\n')
        self.connections += 1
        self._writers.append(writer)
        frames = Netstrings()
        while data := await reader.read(65_536):
            for frame in frames.receive(data):
                if frame == b"beat":
                    self.beaten.set()
                else:
                    self.answers.put_nowait(frame)
        if writer in self._writers:
            self._writers.remove(writer)
            self.beaten.clear()
        writer.close()

    async def _rpc(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        aors = [
            {"Info": {"AoR": aor, "Contacts": [{"Contact": {"Address": uri, "Expires": 600}}]}}
            for aor, uri in self.table.items()
        ]
        result = {"Domains": [{"Domain": {"Domain": "location", "AoRs": aors}}]}
        body = json.dumps({"jsonrpc": "2.0", "result": result, "id": 1}).encode()
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        await writer.drain()
        writer.close()
