"""One connection that carries SIP: its bytes become messages for the site, and messages its bytes.

It ends when its peer sends what is no SIP, is silent too long, begins what it does not finish, or does not
read what it is sent. Everything happens in the turn of the event loop in which bytes arrived.
"""

import asyncio
from typing import Protocol, cast

from agent.service.site import Site
from agent.transport import ConnectionLimits
from runtime.clock import Clock
from telephony.address import Flow
from telephony.output import Reason, Rejected
from telephony.sip.stream import KEEP_ALIVE, Broken

TURN = 64  # messages of one connection before the others get their turn
BUSY_S = 0.05  # until a full journal is asked again
CLOSING_MS = 5_000  # for the last bytes to leave
PBX_UNREAD_BYTES = 16 * 1024 * 1024  # a storm of phones, while the PBX writes to its disk


class Framing(Protocol):
    """How messages lie in the bytes of a connection."""

    @property
    def broken(self) -> Broken | None:
        """Why nothing more can be read."""

    @property
    def mid_message(self) -> bool:
        """Whether a message has begun and is not whole."""

    def feed(self, data: bytes) -> None:
        """Append what arrived."""

    def take(self) -> bytes | None:
        """The next message or keep-alive."""


class Switchboard(Protocol):
    """What a connection needs of the edge it belongs to."""

    site: Site
    clock: Clock
    limits: ConnectionLimits

    def admit(self, connection: "Connection", peer: Flow) -> Flow | str:
        """The flow of a new connection from `peer` (numbered 0), or why there is no room for it."""

    def ended(self, connection: "Connection") -> None:
        """An admitted connection is gone."""


class Connection(asyncio.Protocol):
    """From `connection_made` to `connection_lost`; `due_ms` is when `look` must be called."""

    def __init__(self, board: Switchboard, framing: Framing, listener: int) -> None:
        self.flow: Flow | None = None
        self.due_ms = 0
        self._board = board
        self._framing = framing
        self._peer = Flow(listener, "", 0)
        self._transport: asyncio.Transport | None = None
        self._heard_ms = 0
        self._begun_ms: int | None = None

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for a place; a connection that gets none ends at once."""
        self._transport = stream = cast(asyncio.Transport, transport)  # uvloop's is one by its methods only
        address = stream.get_extra_info("peername")
        if address is None:  # it has gone already
            stream.abort()
            return
        self._peer = self._peer._replace(host=address[0], port=address[1])
        admitted = self._board.admit(self, self._peer)
        if isinstance(admitted, str):
            self.cut(admitted)
            return
        self.flow = admitted
        self._heard_ms = self._board.clock.monotonic_ms()
        self.due_ms = self._heard_ms + 1_000 * self._board.limits.idle_s
        self._board.site.opened(admitted)

    def data_received(self, data: bytes) -> None:
        """Take in what arrived, then act on as much as one turn allows."""
        self._framing.feed(data)
        self._turn()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nobody may be reached by this connection any more."""
        self._transport = None
        if self.flow is not None:
            self._board.site.closed(self.flow)
            self._board.ended(self)

    # what the edge asks

    @property
    def stands(self) -> bool:
        """Whether messages can be sent."""
        return self._transport is not None and not self._transport.is_closing()

    def send(self, data: bytes) -> bool:
        """Send one message or keep-alive; False when it can not. A phone that does not read is cut off."""
        transport, flow = self._transport, self.flow
        if transport is None or flow is None or transport.is_closing():
            return False
        waits = transport.get_write_buffer_size()
        if waits and waits + len(data) > 1024 * self._board.limits.unread_kib:
            if not self._board.site.guard.is_pbx(flow):
                self.cut(f"does not read: {waits // 1024} KiB wait for it")
                return False
            if waits + len(data) > PBX_UNREAD_BYTES:
                return False
        transport.write(data)
        return True

    def close(self) -> None:
        """End it once what was sent has left."""
        if self._transport is not None:
            self.due_ms = self._board.clock.monotonic_ms() + CLOSING_MS
            self._transport.close()

    def cut(self, why: str) -> None:
        """End it now, whatever waits, and tell why."""
        if self._transport is not None:
            self._board.site.tell(Rejected(Reason.CONNECTION, why, self._peer))
            self._transport.abort()

    def look(self, now_ms: int) -> None:
        """Has it been silent, or unfinished, too long?"""
        limits = self._board.limits
        if not self.stands:
            self.cut("did not read the end")
            return
        if self._begun_ms is not None and now_ms - self._begun_ms >= 1_000 * limits.message_s:
            self.cut(f"did not finish a message within {limits.message_s} s")
            return
        known = self.flow is not None and self._board.site.expects(self.flow)
        idle_s = limits.registered_idle_s if known else limits.idle_s
        if now_ms - self._heard_ms >= 1_000 * idle_s:
            self.cut(f"said nothing for {idle_s} s")
        self._plan(idle_s)

    # the turn

    def _turn(self) -> None:
        """Hand the site what is whole; read on later when that was much, or the site cannot store it."""
        site, framing, flow = self._board.site, self._framing, self.flow
        if flow is None or not self.stands:
            return
        now_ms = self._board.clock.monotonic_ms()
        took = 0
        while took < TURN and not site.busy and (unit := framing.take()) is not None:
            took += 1
            if flow.connection or unit != KEEP_ALIVE:  # of a PBX that we called two pongs may look like it
                site.receive(unit, flow, now_ms)
        if framing.broken is not None:
            site.broken(framing.broken, flow, now_ms)
            self.close()
        site.settle(now_ms)
        self._note(took, now_ms)
        if took == TURN or site.busy:
            self._pause(BUSY_S if site.busy else 0)

    def _note(self, took: int, now_ms: int) -> None:
        """What was heard, and when it must be looked at again."""
        if took:
            self._heard_ms = now_ms
        if not self._framing.mid_message:
            self._begun_ms = None
        elif took or self._begun_ms is None:
            self._begun_ms = now_ms
        if self.stands:
            self._plan(self._board.limits.idle_s)

    def _plan(self, idle_s: int) -> None:
        self.due_ms = self._heard_ms + 1_000 * idle_s
        if self._begun_ms is not None:
            self.due_ms = min(self.due_ms, self._begun_ms + 1_000 * self._board.limits.message_s)

    def _pause(self, for_s: float) -> None:
        if self.stands:
            assert self._transport is not None
            self._transport.pause_reading()
            asyncio.get_running_loop().call_later(for_s, self._read_on)

    def _read_on(self) -> None:
        if self.stands:
            assert self._transport is not None
            self._transport.resume_reading()
            self._turn()
