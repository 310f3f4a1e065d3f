"""An innovaphone PBX as its vendor's documentation describes its AppWebsocket.

EMULATED: written from the documentation and samples of sdk.innovaphone.com; no real PBX was ever asked.
"""

import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from websockets.asyncio.server import ServerConnection, serve

CHALLENGE = "0123456789abcdef"


@dataclass
class Pbx:
    """Its App, its objects (columns of PbxTableUsers), the registrations of each guid, its licences."""

    app: str = "pbx-agent"
    password: str = "secret"
    objects: list[dict[str, Any]] = field(default_factory=list)
    regs: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    lic: list[dict[str, Any]] | None = None
    errors: dict[str, Any] = field(default_factory=dict)
    silent: set[str] = field(default_factory=set)
    noise: bool = False
    connections: list[ServerConnection] = field(default_factory=list)
    url: str = ""

    async def __call__(self, connection: ServerConnection) -> None:
        """Serve one App until it leaves."""
        self.connections.append(connection)
        rows: list[dict[str, Any]] = []
        told: dict[str, Any]
        welcome = False
        async for text in connection:
            asked = json.loads(text)
            if self.noise:  # what we did not ask for
                await connection.send(
                    json.dumps({"api": "PbxTableUsers", "mt": "ReplicateAdd", "columns": {}})
                )
            match asked["mt"]:
                case "AppChallenge":
                    await connection.send(json.dumps({"mt": "AppChallengeResult", "challenge": CHALLENGE}))
                    continue
                case "AppLogin":
                    shown = f"{self.app}:::::{CHALLENGE}:{self.password}".encode()
                    right = asked["digest"] == hashlib.sha256(shown).hexdigest()
                    welcome = right and asked["app"] == self.app
                    await connection.send(json.dumps({"mt": "AppLoginResult", "ok": welcome}))
                    continue
                case mt if mt in self.silent or not welcome:
                    continue
                case "ReplicateStart":
                    rows = list(self.objects)
                    told = {}
                case "ReplicateNext":
                    told = {"columns": rows.pop(0)} if rows else {}
                case "GetRegs":
                    told = {"regs": self.regs.get(asked["guid"], [])}
                case "GetPbxLicenses":
                    told = {} if self.lic is None else {"lic": self.lic}
                case _:
                    told = {"error": 1}
            told |= self.errors.get(asked["mt"], {})
            about = {"api": asked["api"], "mt": asked["mt"] + "Result", "src": asked["src"]}
            await connection.send(json.dumps(about | told))

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Pbx"]:
        """It listens."""
        async with serve(self, "127.0.0.1", 0) as server:
            self.url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/PBX0/APPS/websocket"
            yield self
