"""A manager interface of Asterisk of a few lines: it lists and says what the test wants."""

import asyncio
import hashlib
import ssl
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager

from telephony.pbx.asterisk import WHOLE

CHALLENGE = "840415273"
SECRET = "agentsecret"
NOT_EMPTY = {"PJSIPShowAors": "No AORs found", "PJSIPShowContacts": "No Contacts found",
             "ConfbridgeListRooms": "No active conferences."}  # fmt: skip
Fields = Mapping[str, str]


class ScriptedManager:
    """Serves any number of connections; `errors` maps actions to what they are refused with."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.contacts: dict[tuple[str, str], int] = {}  # (AOR, URI) -> epoch seconds
        self.rooms: dict[str, list[str]] = {}
        self.calls: list[str] = []
        self.call_ids: dict[str, str] = {}  # of channels, by Uniqueid
        self.on_getvar: Callable[[], None] = lambda: None
        self.technology = "PJSIP"  # in the list of channels
        self.errors: dict[str, str] = {}
        self.actions: list[Fields] = []
        self.asked = asyncio.Condition()
        self.booted = asyncio.Event()
        self.booted.set()
        self.deaf = False  # connections are accepted, and ended
        self.port = 0
        self._tls = tls
        self._writers: set[asyncio.StreamWriter] = set()

    @asynccontextmanager
    async def serving(self) -> AsyncIterator["ScriptedManager"]:
        """Serve until the block ends."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            self.cut()

    def say(self, event: str, **fields: str) -> None:
        """An event for everybody who is connected."""
        whole = dict.fromkeys(WHOLE[event], "") | fields
        if "Uniqueid" in fields:
            whole["Linkedid"] = fields["Uniqueid"]
        for writer in self._writers:
            _write(writer, {"Event": event, **whole})

    def contact(self, status: str, aor: str, uri: str) -> None:
        """A ContactStatus; the list follows it."""
        if status == "Removed":
            self.contacts.pop((aor, uri), None)
        else:
            self.contacts.setdefault((aor, uri), int(time.time()) + 600)
        self.say("ContactStatus", URI=uri, ContactStatus=status, AOR=aor, EndpointName=aor)

    def join(self, room: str, call: str, *, silently: bool = False) -> None:
        """A call comes and enters a room."""
        self.calls.append(call)
        self.rooms.setdefault(room, []).append(call)
        if not silently:
            self.say("Newchannel", Channel=f"PJSIP/x-{call}", Uniqueid=call)
            self.say("ConfbridgeJoin", Conference=room, Channel=f"PJSIP/x-{call}", Uniqueid=call)

    def hangup(self, call: str) -> None:
        """A call ends, in its rooms too; of those it says nothing, as if that had been lost."""
        self.calls.remove(call)
        self.rooms = {room: [c for c in calls if c != call] for room, calls in self.rooms.items()}
        self.say("Hangup", Channel=f"PJSIP/x-{call}", Uniqueid=call, Cause="16")

    def cut(self) -> None:
        """Every connection ends."""
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    async def heard(self, action: str, count: int = 1) -> None:
        """Wait until it was asked so often."""
        async with asyncio.timeout(10), self.asked:
            await self.asked.wait_for(lambda: [a["Action"] for a in self.actions].count(action) >= count)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.deaf:
            writer.close()
            return
        self._writers.add(writer)
        writer.write(b"Asterisk Call Manager/11.0.0\r\n")
        try:
            while (action := await _read(reader)) is not None:
                self.actions.append(action)
                for message in self._answered(action):
                    _write(writer, message)
                if action["Action"] == "Login":
                    await self.booted.wait()
                    _write(writer, {"Event": "FullyBooted", "Status": "Fully Booted"})
                async with self.asked:
                    self.asked.notify_all()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self._writers.discard(writer)
            writer.close()

    def _answered(self, action: Fields) -> Iterable[Fields]:
        name, ids = action["Action"], {"ActionID": action["ActionID"]}
        if name in self.errors:
            return [{"Response": "Error", **ids, "Message": self.errors[name]}]
        match name:
            case "Challenge":
                return [{"Response": "Success", **ids, "Challenge": CHALLENGE}]
            case "Login":
                right = hashlib.md5((CHALLENGE + SECRET).encode()).hexdigest() == action["Key"]
                said = "Authentication accepted" if right else "Authentication failed"
                return [{"Response": "Success" if right else "Error", **ids, "Message": said}]
            case "Ping":
                return [{"Response": "Success", **ids, "Ping": "Pong", "Timestamp": f"{time.time():.6f}"}]
            case "Getvar":
                self.on_getvar()
                value = self.call_ids.get(action["Channel"])
                if value is None:
                    return [{"Response": "Error", **ids, "Message": "No such channel"}]
                return [{"Response": "Success", **ids, "Variable": action["Variable"], "Value": value}]
            case "ConfbridgeKick":
                room, call = action["Conference"], action["Channel"].removeprefix("PJSIP/x-")
                self.rooms[room].remove(call)
                self.say("ConfbridgeLeave", Conference=room, Channel=action["Channel"], Uniqueid=call)
                return [{"Response": "Success", **ids, "Message": "User kicked"}]
            case _:
                return self._list(name, ids, action)

    def _list(self, name: str, ids: Fields, action: Fields) -> Iterable[Fields]:
        items: list[Fields] = []
        match name:
            case "PJSIPShowContacts":
                items = [
                    {
                        "ObjectName": f"{aor};@1",
                        "Uri": uri,
                        "ExpirationTime": str(end),
                        "Status": "NonQualified",
                    }
                    for (aor, uri), end in self.contacts.items()
                ]
            case "ConfbridgeListRooms":
                items = [{"Conference": room} for room, calls in self.rooms.items() if calls]
            case "ConfbridgeList":
                room = action["Conference"]
                items = [
                    {"Conference": room, "Uniqueid": call, "Channel": f"PJSIP/x-{call}"}
                    for call in self.rooms[room]
                ]
            case "CoreShowChannels":
                items = [{"Uniqueid": call, "Channel": f"{self.technology}/x-{call}"} for call in self.calls]
            case _:
                pass
        if not items and name in NOT_EMPTY:
            return [{"Response": "Error", **ids, "Message": NOT_EMPTY[name]}]
        begin = {"Response": "Success", **ids, "EventList": "start"}
        end = {"Event": f"{name}Complete", **ids, "EventList": "Complete", "ListItems": str(len(items))}
        return [begin, *({"Event": "Item", **ids, **item} for item in items), end]


def _write(writer: asyncio.StreamWriter, message: Fields) -> None:
    writer.write("".join([f"{key}: {value}\r\n" for key, value in message.items()]).encode() + b"\r\n")


async def _read(reader: asyncio.StreamReader) -> dict[str, str] | None:
    text = (await reader.readuntil(b"\r\n\r\n")).decode()
    return dict(line.split(": ", 1) for line in text.strip().split("\r\n"))
