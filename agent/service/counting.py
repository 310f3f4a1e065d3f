"""Calls over lines between the guard and the disk: what their messages change is kept before these leave.

So a call that a gateway was told of, was answered, or has ended is known to be so after any crash, and its
unit with it (decision 0037). All messages of such calls leave in order; emergency calls wait for no disk.
"""

import asyncio
from collections.abc import Callable
from functools import partial

from agent.service.chronicle import Chronicle
from agent.service.desk import Desk
from agent.store.journal import Journal
from runtime.clock import Clock
from telephony.address import Flow
from telephony.guard import Guard
from telephony.output import Counted, InTurn, Output, Send
from telephony.pbx.picture import Ongoing

Sender = Callable[[Flow, bytes], None]


class Counting:
    """The counted calls of one PBX on their way out; `behind` is how many messages wait for the disk."""

    def __init__(
        self, guard: Guard, desk: Desk, journal: Journal, chronicle: Chronicle, clock: Clock
    ) -> None:
        self.behind = 0
        self._guard = guard
        self._desk = desk
        self._journal = journal
        self._chronicle = chronicle
        self._clock = clock
        self._send: Sender | None = None
        self._stored: asyncio.Future[None] | None = None

    def serve(self, send: Sender | None) -> None:
        """From now on messages leave by `send`; None: nothing leaves any more."""
        self._send = send

    def carry_out(self, output: Output, now_ms: int) -> None:
        """Keep what a call is now, or send behind all that is kept."""
        if type(output) is Counted:
            changes = self._desk.uses.drain_changes()
            self._stored = self._journal.keep_call(output, changes, now_ms, self._clock.wall_ms())
            self._chronicle.counted(output)
        elif type(output) is InTurn:
            if output.urgent or self._stored is None or (self._stored.done() and not self.behind):
                self._leave(output.send)
            else:
                self.behind += 1
                self._stored.add_done_callback(partial(self._leave_stored, output.send))

    def _leave(self, send: Send) -> None:
        if self._send is not None:
            self._send(send.flow, send.data)

    def _leave_stored(self, send: Send, stored: asyncio.Future[None]) -> None:
        self.behind -= 1
        if not stored.cancelled() and stored.exception() is None:
            self._leave(send)

    def snapshot(self, ongoing: Ongoing, asked_ms: int) -> int:
        """What the PBX, asked at this monotonic ms, says goes on; how many calls it ended here.

        The calls that were answered before and are not among these are over, such as those whose BYE nobody
        saw; while nothing can be stored they wait for the next snapshot.
        """
        if self._journal.full:
            return 0
        now_ms = self._clock.monotonic_ms()
        ended = self._guard.reconcile(ongoing.call_ids, ongoing.since_ms, asked_ms, now_ms)
        for output in ended:
            self.carry_out(output, now_ms)
        self._desk.moved()
        return len(ended)
