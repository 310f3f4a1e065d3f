"""One connection that carries SIP: its bytes become messages for the site, and messages its bytes.

It ends when its peer sends what is no SIP, is silent too long, begins what it does not finish, or does not
read what it is sent. Everything happens in the turn of the event loop in which bytes arrived.
"""

import asyncio
import ssl
from collections.abc import Callable
from typing import Protocol, cast

from agent.edges.sip.framing import Framing
from agent.edges.sip.secure import Tls, why
from agent.service.site import Site
from agent.transport import ConnectionLimits
from runtime.clock import Clock
from telephony.address import Flow
from telephony.sip.stream import KEEP_ALIVE

TURN = 64  # messages of one connection before the others get their turn
WAIT_S = 0.05  # until what the site would not take is offered again
CLOSING_MS = 5_000  # for the last bytes to leave
PBX_UNREAD_BYTES = 16 * 1024 * 1024  # a storm of phones, while the PBX writes to its disk


class Switchboard(Protocol):
    """What a connection needs of the edge it belongs to."""

    site: Site
    clock: Clock
    limits: ConnectionLimits

    def admit(self, connection: "Connection", peer: Flow) -> Flow | str:
        """The flow of a new connection from `peer` (numbered 0), or why there is no room for it."""

    def opened(self, connection: "Connection") -> None:
        """An admitted connection can carry messages."""

    def trouble(self, peer: Flow, why: str) -> None:
        """A connection was refused, or is cut off."""

    def ended(self, connection: "Connection") -> None:
        """An admitted connection is gone."""


class Connection(asyncio.Protocol):
    """From `connection_made` to `connection_lost`; `due_ms` is when `look` must be called."""

    def __init__(
        self, board: Switchboard, listener: int, framing: Framing, secure: Callable[[], Tls] | None
    ) -> None:
        self.flow: Flow | None = None
        self.due_ms = 0
        self._board = board
        self._framing = framing
        self._secure = secure
        self._tls: Tls | None = None
        self._peer = Flow(listener, "", 0)
        self._transport: asyncio.Transport | None = None
        self._ready = False
        self._held: bytes | None = None
        self._paused = False
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
        self.due_ms = self._heard_ms + 1_000 * self._board.limits.handshake_s
        if self._secure is None:
            self._be_ready()
        else:
            self._tls = self._secure()
            self._secured(b"")

    def data_received(self, data: bytes) -> None:
        """Take in what arrived, then act on as much as one turn allows."""
        plain = data if self._tls is None else self._secured(data)
        if plain is None:
            return
        self._framing.feed(plain)
        self._be_ready()
        self._turn()
        if self._framing.ended or (self._tls is not None and self._tls.ended):
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nobody may be reached by this connection any more."""
        self._transport = None
        if self.flow is not None:
            self._board.ended(self)

    # what the edge asks

    @property
    def stands(self) -> bool:
        """Whether messages can be sent."""
        return self._ready and not self._over

    def send(self, data: bytes) -> bool:
        """Send one message or keep-alive; False when it can not. A phone that does not read is cut off."""
        return self.stands and self._write(self._framing.wrap(data))

    def pause(self) -> None:
        """Read no more until its end, which is near."""
        self._paused = True
        self._stop_reading()

    def close(self) -> None:
        """End it once what was sent has left."""
        if self._transport is None or self._transport.is_closing():
            return
        last = self._framing.finish()
        if self._tls is not None:
            last = self._tls.finish(last)
        self._transport.write(last)
        self._end()

    def cut(self, why: str) -> None:
        """End it now, whatever waits, and tell why."""
        if self._transport is not None:
            self._board.trouble(self._peer, why)
            self._transport.abort()

    def look(self, now_ms: int) -> None:
        """Has it been silent, or unfinished, too long?"""
        limits = self._board.limits
        if self._over:
            self.cut("did not read the end")
        elif not self._ready:
            self.cut(f"did not finish its handshake within {limits.handshake_s} s")
        elif self._begun_ms is not None and now_ms - self._begun_ms >= 1_000 * limits.message_s:
            self.cut(f"did not finish a message within {limits.message_s} s")
        else:
            known = self.flow is not None and self._board.site.expects(self.flow)
            idle_s = limits.registered_idle_s if known else limits.idle_s
            if now_ms - self._heard_ms >= 1_000 * idle_s:
                self.cut(f"said nothing for {idle_s} s")
            self._plan(idle_s)

    # bytes

    def _write(self, data: bytes) -> bool:
        transport = self._transport
        assert transport is not None
        assert self.flow is not None
        waits = transport.get_write_buffer_size()
        if waits and waits + len(data) > 1024 * self._board.limits.unread_kib:
            if not self._board.site.guard.is_pbx(self.flow):
                self.cut(f"does not read: {waits // 1024} KiB wait for it")
                return False
            if waits + len(data) > PBX_UNREAD_BYTES:
                return False
        if self._tls is not None:
            try:
                self._tls.wrap(data)
            except ssl.SSLError as error:
                self.cut(why(error))
                return False
            data = self._tls.outgoing()
        transport.write(data)
        return True

    def _secured(self, data: bytes) -> bytes | None:
        """What the peer said under TLS; None before the handshake is done, and when it failed."""
        tls, transport = self._tls, self._transport
        assert tls is not None
        assert transport is not None
        try:
            plain = tls.feed(data)
        except ssl.SSLError as error:
            self._board.trouble(self._peer, why(error))
            transport.write(tls.outgoing())  # it may want to know as well
            self._end()
            return None
        transport.write(tls.outgoing())
        return plain if tls.done else None

    @property
    def _over(self) -> bool:
        return self._transport is None or self._transport.is_closing()

    def _end(self) -> None:
        """What was written leaves, within a time."""
        assert self._transport is not None
        self.due_ms = self._board.clock.monotonic_ms() + CLOSING_MS
        self._transport.close()

    # the turn

    def _be_ready(self) -> None:
        if not self._ready and self._framing.opened:
            self._ready = True
            self._heard_ms = self._board.clock.monotonic_ms()
            self._plan(self._board.limits.idle_s)
            self._board.opened(self)

    def _turn(self) -> None:
        """Hand the site what is whole; read on later when that was much, or the site wants us to wait."""
        now_ms = self._board.clock.monotonic_ms()
        took, heard, waits = self._take_in(now_ms)
        if not self._over:
            self._write(self._framing.pending())
        broken = self._framing.broken
        if broken is not None and self.flow is not None and not (self._over or waits):
            self._board.site.broken(broken, self.flow, now_ms)
            self.close()
        self._board.site.settle(now_ms)
        self._note(heard, now_ms)
        if took == TURN or waits:
            self._pause(WAIT_S if waits else 0)

    def _take_in(self, now_ms: int) -> tuple[int, int, bool]:
        """How often there was something, how much of it was heard, and whether the last one must wait."""
        offer, flow = self._board.site.offer, self.flow
        assert flow is not None
        took = heard = 0
        while took < TURN and not self._over:
            again = self._held is not None
            unit, self._held = self._held or self._framing.take(), None
            if unit is None:
                break
            took += 1
            heard += bool(unit)
            self._be_ready()
            # Two pongs of a PBX that we called look like a keep-alive.
            asked = unit and (flow.connection or unit != KEEP_ALIVE)
            if asked and not offer(unit, flow, now_ms, again=again):
                self._held = unit
                return took, heard, True
        return took, heard, False

    def _note(self, heard: int, now_ms: int) -> None:
        """What was heard, and when it must be looked at again."""
        if heard:
            self._heard_ms = now_ms
        if not self._framing.mid_message:
            self._begun_ms = None
        elif heard or self._begun_ms is None:
            self._begun_ms = now_ms
        if self.stands:
            self._plan(self._board.limits.idle_s)

    def _plan(self, idle_s: int) -> None:
        self.due_ms = self._heard_ms + 1_000 * idle_s
        if self._begun_ms is not None:
            self.due_ms = min(self.due_ms, self._begun_ms + 1_000 * self._board.limits.message_s)

    def _pause(self, for_s: float) -> None:
        self._stop_reading()
        asyncio.get_running_loop().call_later(for_s, self._read_on)

    def _stop_reading(self) -> None:
        if self._transport is not None and not self._over and self._transport.is_reading():
            self._transport.pause_reading()

    def _read_on(self) -> None:
        if self._transport is not None and not (self._over or self._paused):
            if not self._transport.is_reading():
                self._transport.resume_reading()
            self._turn()
