"""The SIP edge of one PBX, sans-IO: bytes and monotonic milliseconds in, outputs in order out.

REGISTER goes to the registrations, which ask for licences; everything else to the stateless router, and calls
over ISDN lines through it to those who count them.
"""

from collections.abc import Collection, Iterable, Sequence
from typing import Final

from telephony.address import Flow
from telephony.binding import Bindings, Registration
from telephony.calls import Calls
from telephony.dialog import CallRecord
from telephony.directory import Directory
from telephony.emergency import is_emergency
from telephony.hop import Hop
from telephony.line import Lines
from telephony.output import Output, Reason, Rejected, Send
from telephony.registration import REGISTER, Registrations
from telephony.router import Router
from telephony.settings import Settings
from telephony.sightings import Sightings
from telephony.sip.message import Message, scan, scan_head
from telephony.sip.stream import KEEP_ALIVE, Broken
from telephony.token import Branches, Tokens
from telephony.verdict import Decision, Verdict

PONG: Final = b"\r\n"
INVITE: Final = b"INVITE "
URI_LIMIT: Final = 300  # of an emergency call that is looked at before its message is read


class Guard:
    """Feed it what arrives, do what it returns, wake it at `next_timer`; `now_ms` never goes back."""

    def __init__(
        self, settings: Settings, directory: Directory, verdict: Verdict, tokens: Tokens, branch_secret: bytes
    ) -> None:
        self.is_pbx = settings.is_pbx
        self.emergency = settings.emergency
        hop = Hop(settings, tokens, Branches(branch_secret))
        self._hop = hop
        self.sightings = Sightings()
        bindings, self._calls = Bindings(), None
        if settings.lines is not None:
            lines = Lines(settings.lines, directory)
            bindings = Bindings(lines.serve)
            self._calls = Calls(settings, lines, verdict, hop, bindings)
        self._router = Router(settings, directory, verdict, tokens, hop, self.sightings, self._calls)
        self._registrations = Registrations(settings, directory, verdict, hop, self.sightings, bindings)

    def receive_all(
        self, arrived: Sequence[tuple[bytes, Flow]], now_ms: int
    ) -> tuple[list[Output], list[list[Output]]]:
        """Take in datagrams or framed messages; one came from the PBX when its flow is the PBX's.

        First what leaves at once, whatever the store does: calls, keep-alives, answers to what is no SIP.
        Then what is about registrations, in order: one list of outputs for each message.
        """
        passing: list[Output] = []
        groups = [self._registrations.expire(now_ms)]
        for data, flow in arrived:
            found = self._pass(data, flow, now_ms, stored=True)
            if not isinstance(found, Message):
                passing += found or ()
            elif found.is_request:
                groups.append(self._registrations.register(found, flow, now_ms))
            else:
                groups.append(self._registrations.answered(found, now_ms))
        return passing, groups

    def relay(self, data: bytes, flow: Flow, now_ms: int) -> list[Output] | None:
        """What `receive_all` does with all that needs no store; None for what is about a registration or a
        call over a line.
        """
        found = self._pass(data, flow, now_ms, stored=False)
        return None if isinstance(found, Message) else found

    def _pass(self, data: bytes, flow: Flow, now_ms: int, *, stored: bool) -> list[Output] | Message | None:
        """What comes of it at once; or itself, a phone's REGISTER or the PBX's answer to one.

        None: a call must be stored, and with `stored` false it cannot.
        """
        if data[:1] <= b"\r":  # no SIP message begins so: CRLF keep-alives (RFC 5626), STUN, nothing at all
            if data == KEEP_ALIVE:
                return [Send(flow, PONG)]
            if not data.strip(b"\r\n") or data[:1] < b"\n":
                return []
        message = scan(data)
        if message is None:
            return self._registrations.unreadable(data, flow)
        if message.is_request:
            if message.method == REGISTER and not self.is_pbx(flow):
                return message
            return self._router.request(message, flow, now_ms, stored=stored)
        if message.cseq_method == REGISTER and self.is_pbx(flow):
            return message
        return self._router.response(message, flow, now_ms, stored=stored)

    def broken(self, broken: Broken, flow: Flow) -> list[Output]:
        """What to say when a stream cannot be read on: 400 where a request asked for it (RFC 3261 18.3)."""
        outputs: list[Output] = [Rejected(Reason.MALFORMED, broken.why, flow)]
        message = scan_head(broken.head)
        if message is not None and self._hop.answerable(message):
            outputs.append(Send(flow, self._hop.answer(message, flow, 400, broken.why)))
        return outputs

    def is_urgent(self, data: bytes) -> bool:
        """Whether an emergency call begins here, by its first line: what is asked before it is read."""
        if not data.startswith(INVITE):
            return False
        end = data.find(b" ", len(INVITE), URI_LIMIT)
        return end > 0 and is_emergency(data[len(INVITE) : end], self.emergency)

    def opened(self, flow: Flow) -> None:
        """A connection stands from now on; its flow has a number that no connection ever had before."""
        self._router.connections.add(flow)

    def closed(self, flow: Flow) -> None:
        """A connection ended: requests for it get 430 (RFC 5626 5.3.1); bindings end by their time."""
        self._router.connections.discard(flow)

    def settle(self, name: str, decision: Decision, now_ms: int) -> list[Output]:
        """End the waiting of an object or a call: forward its requests or refuse them; not with Waiting."""
        outputs = None if self._calls is None else self._calls.settle(name, decision, now_ms)
        if outputs is not None:
            return outputs
        return self._registrations.expire(now_ms) + self._registrations.settle(name, decision, now_ms)

    def handle_timers(self, now_ms: int) -> list[Output]:
        """Do what is due: bindings and calls that end, requests to send again or to give up, keep-alives."""
        outputs = self._registrations.expire(now_ms) + self._registrations.handle_timers(now_ms)
        return outputs if self._calls is None else outputs + self._calls.expire(now_ms)

    def next_timer(self) -> int | None:
        """When `handle_timers` has work, in monotonic ms."""
        due = self._registrations.next_timer()
        call_due = None if self._calls is None else self._calls.next_timer()
        if due is None or call_due is None:
            return call_due if due is None else due
        return min(due, call_due)

    @property
    def pending(self) -> int:
        """How many REGISTERs have no final answer yet: the PBX owes it, or the verdict."""
        return self._registrations.pending

    def restore(self, registrations: Iterable[Registration], now_ms: int) -> None:
        """Take stored registrations in, each for its whole granted time; the verdict is not asked."""
        self._registrations.restore(registrations, now_ms)

    def holds(self, name: str) -> bool:
        """Whether the PBX holds a binding of this object."""
        return self._registrations.bindings.holds(name)

    def snapshot(self) -> tuple[Registration, ...]:
        """What the PBX holds, as far as it went through here."""
        return self._registrations.bindings.all()

    def restore_calls(self, records: Iterable[CallRecord], now_ms: int) -> None:
        """Take stored calls over lines in, their times by this clock; the verdict knows their units."""
        if self._calls is not None:
            self._calls.restore(records, now_ms)

    def reconcile(
        self, call_ids: Collection[bytes], since_ms: int, asked_ms: int, now_ms: int
    ) -> list[Output]:
        """What the PBX, asked at `asked_ms`, says goes on: other calls answered since `since_ms` are over."""
        return [] if self._calls is None else self._calls.snapshot(call_ids, since_ms, asked_ms, now_ms)
