"""Calls over lines, counted: which INVITEs began one, which messages end it, and who is one too many.

Everything else about a call goes its way untouched. A unit is held from the INVITE to the last dialog's end
(RFC 3261 12 to 15); what nobody told us ends by session timer (RFC 4028), by its age, or by a snapshot of the
PBX. A call that was ended so and shows itself again is counted again.
"""

from collections.abc import Collection, Iterable
from typing import Final

from telephony.address import Flow
from telephony.binding import Bindings
from telephony.dialog import (
    GIVE_UP_MS,
    REPEATS_MS,
    RINGING_MS,
    SHORTEST_SESSION_S,
    Call,
    CallRecord,
    Dialog,
    Event,
    State,
    Why,
    restored,
    within,
)
from telephony.emergency import calls_for_help
from telephony.hop import Hop
from telephony.line import Line, Lines
from telephony.output import Counted, InTurn, Output, Reason, Rejected, Send
from telephony.partner import Partners
from telephony.passage import Held, Passage
from telephony.settings import Settings
from telephony.sip import message as sip
from telephony.sip.message import Message
from telephony.sip.session import read_session_expires
from telephony.tally import Tally
from telephony.verdict import Admitted, Decision, Refused, Verdict, Waiting

INVITE: Final = b"INVITE"
UPDATE: Final = b"UPDATE"
BYE: Final = b"BYE"
CANCEL: Final = b"CANCEL"
REFER: Final = b"REFER"
FORK_LIMIT: Final = 64  # dialogs of one call
NEVER: Final = 1 << 62
# Answers within a dialog that say it is no more (RFC 5057 5.1; 408 and 481: RFC 3261 12.2.1.2).
GONE: Final = frozenset((404, 408, 410, 416, 480, 481, 482, 483, 484, 485, 502, 604))


class Calls:
    """The calls over the lines of one PBX."""

    def __init__(
        self, settings: Settings, lines: Lines, verdict: Verdict, hop: Hop, bindings: Bindings
    ) -> None:
        self._lines = lines
        self._verdict = verdict
        self._hop = hop
        self._bindings = bindings
        self._emergency = settings.emergency
        self._age_ms = 1_000 * settings.call_age_s
        self._tally = Tally(verdict)
        self._partners = Partners(self._tally)
        self._held: dict[str, Held] = {}

    # What passes

    def request(self, request: Message, passage: Passage) -> list[Output] | None:
        """What becomes of a request: what was to be sent when it is none of ours.

        None: it must be stored, and nothing can be stored now; the same for `response`.
        """
        if request.method == INVITE and not request.tag(sip.TO):
            return self._begin(request, passage)
        known = self._tally.of_call_id(request.call_id)
        if not known:
            return [passage.send]
        urgent = _urgent(known)
        if not (passage.stored or urgent):
            return None
        if request.method == CANCEL:
            cancelled = self._cancel(request, passage)
            if cancelled:
                return cancelled
        elif request.method == BYE:
            self._leave(known, request, passage.now_ms)
        elif request.method == REFER:
            self._partners.refer(known, request, passage.now_ms)
        return [InTurn(passage.send, urgent)]

    def response(self, response: Message, passage: Passage) -> list[Output] | None:
        """What becomes of a response."""
        known = self._tally.of_call_id(response.call_id)
        if not known and (response.status >= 300 or self._line_of(response, passage) is None):
            return [passage.send]
        urgent = _urgent(known)
        if not (passage.stored or urgent):
            return None
        call = None if response.via is None else self._tally.get(response.via.branch)
        outputs: list[Output] = []
        if response.cseq_method == INVITE and call is not None:
            outputs = self._first(call, response, passage.now_ms)
        elif response.status >= 200 and response.cseq_method in (INVITE, UPDATE, BYE):
            outputs = self._later(known, response, passage)
        return [*outputs, InTurn(passage.send, urgent)]

    def settle(self, name: str, decision: Decision, now_ms: int) -> list[Output] | None:
        """End the waiting of the call of this name; None when no call of that name waits."""
        held = self._held.get(name)
        if held is None:
            return None
        if isinstance(decision, Waiting):
            return []
        del self._held[name]
        return self._decided(held, decision, now_ms)

    # A call begins

    def _begin(self, request: Message, passage: Passage) -> list[Output] | None:
        send, source, now_ms = passage.send, passage.source, passage.now_ms
        branch = self._hop.branch(request, source)
        known = self._tally.get(branch)
        if known is not None:
            return self._again(known, send, source)
        line = self._lines.of_request(request, passage.phone, self._bindings, outward=passage.outward)
        if line is None:
            return [send]
        urgent = calls_for_help(request, self._emergency)
        if not (passage.stored or urgent):
            return None
        caller_tag = request.tag(sip.FROM)
        call = Call(branch, request.call_id, caller_tag, line, outward=passage.outward, urgent=urgent)
        if not self._tally.keep(call):
            rejected = Rejected(Reason.OVERLOADED, "too many calls at once", source)
            return [send] if urgent else [rejected, Send(source, self._hop.unavailable(request, source))]
        partner = self._partners.find(call, request, now_ms)
        decision: Decision = Admitted(reserved=False)
        if partner is None:
            decision = self._verdict.call(call.name, line.gateway, line.interface, now_ms, emergency=urgent)
        else:
            call.unit = partner.unit
        return self._decided(Held(call, request, send, source), decision, now_ms)

    def _again(self, call: Call, send: Send, source: Flow) -> list[Output]:
        """A repeated INVITE gets what the first one got."""
        if call.state == State.WAITING:
            return []
        if call.state == State.REFUSED:
            return [Send(source, call.answer)]
        return [InTurn(send, call.urgent)]

    def _decided(self, held: Held, decision: Decision, now_ms: int) -> list[Output]:
        call = held.call
        match decision:
            case Admitted():
                call.move(Event.ADMITTED)
                self._tally.join(call)
                call.ends_ms = now_ms + GIVE_UP_MS
                self._tally.note(call)
                return [Counted(call.record()), InTurn(held.send, call.urgent)]
            case Waiting():
                call.ends_ms = NEVER
                self._held[call.name] = held
                return []
            case Refused():
                answer = self._hop.refusal(held.request, held.source, decision)
                self._refuse(call, answer, now_ms)
                detail = f"{decision.code}: {call.line.gateway}"
                return [Rejected(Reason.REFUSED, detail, held.source), Send(held.source, answer)]

    def _refuse(self, call: Call, answer: bytes, now_ms: int) -> None:
        call.move(Event.REFUSED)
        call.answer = answer
        self._tally.remember(call, now_ms)

    def _cancel(self, request: Message, passage: Passage) -> list[Output]:
        """CANCEL of an INVITE that never left; nothing when it did (RFC 3261 9.2, 16.10)."""
        source = passage.source
        call = self._tally.get(self._hop.branch(request, source))
        if call is None or call.state not in (State.WAITING, State.REFUSED):
            return []
        ok = Send(source, self._hop.answer(request, source, 200, "OK"))
        held = self._held.pop(call.name, None)
        if held is None:
            return [ok]
        self._verdict.hung_up(call.name, passage.now_ms)
        ended = self._hop.answer(held.request, held.source, 487, "Request Terminated")
        self._refuse(call, ended, passage.now_ms)
        return [ok, Send(held.source, ended)]

    # It is answered

    def _first(self, call: Call, response: Message, now_ms: int) -> list[Output]:
        """An answer to the INVITE that began a call."""
        if call.state == State.WAITING or call.state == State.REFUSED:
            return []
        if response.status < 200:
            if call.early:
                call.move(Event.PROVISIONAL)
                call.ends_ms = now_ms + RINGING_MS
            return []
        if response.status < 300:
            return self._answer(call, response.tag(sip.TO), response, now_ms)
        early = call.early
        call.move(Event.FAILED)
        return [self._over(call, Why.FAILED, now_ms)] if early else []

    def _answer(self, call: Call, tag: bytes, response: Message, now_ms: int) -> list[Output]:
        """A 2xx: a dialog more, unless it is known."""
        if tag in call.dialogs or tag in call.ended or len(call.dialogs) + len(call.ended) >= FORK_LIMIT:
            return []
        late = call.state == State.OVER
        call.move(Event.ANSWERED)
        call.answered_ms = now_ms
        self._live_on(call, tag, response, now_ms)
        if call.replaces and not call.parts_ms:
            call.parts_ms = now_ms + REPEATS_MS
        if late:  # after CANCEL, or from another fork
            self._tally.revive(call, now_ms)
        self._tally.note(call)
        return [Counted(call.record())]

    def _later(self, known: list[Call], response: Message, passage: Passage) -> list[Output]:
        """A final answer within a dialog: a sign of life, or its end."""
        status, bye, now_ms = response.status, response.cseq_method == BYE, passage.now_ms
        found = within(known, response.tag(sip.FROM), response.tag(sip.TO))
        if not found and status < 300:
            return self._find(response, passage)
        outputs: list[Output] = []
        for call, tag in found:
            if tag not in call.dialogs:
                continue
            if status in GONE or (bye and status < 300):
                outputs.append(self._end(call, tag, now_ms))
            elif bye:
                outputs.append(self._stay(call, tag, now_ms))
            elif status < 300:
                self._live_on(call, tag, response, now_ms)
                outputs.append(Counted(call.record()))
        return outputs

    def _live_on(self, call: Call, tag: bytes, response: Message, now_ms: int) -> None:
        """A sign of life: from now on its time counts anew, as the answer says (RFC 4028 10)."""
        session_s = read_session_expires(response)
        lives_ms = self._age_ms
        if session_s is not None:
            lives_ms = min(lives_ms, 1_000 * max(session_s, SHORTEST_SESSION_S))
        call.dialogs[tag] = Dialog(now_ms + lives_ms, lives_ms, timed=session_s is not None)
        self._tally.note(call)

    def _leave(self, known: list[Call], bye: Message, now_ms: int) -> None:
        """A BYE is on its way: without any answer the dialog is over, too (RFC 3261 15.1.1)."""
        for call, tag in within(known, bye.tag(sip.FROM), bye.tag(sip.TO)):
            dialog = call.dialogs.get(tag)
            if dialog is not None:
                dialog.leaving = True
                dialog.ends_ms = min(dialog.ends_ms, now_ms + GIVE_UP_MS)
                self._tally.note(call)

    def _stay(self, call: Call, tag: bytes, now_ms: int) -> Counted:
        """The BYE was not accepted: it wants credentials, or was no good."""
        dialog = call.dialogs[tag]
        dialog.leaving = False
        dialog.ends_ms = now_ms + dialog.lives_ms
        return Counted(call.record())

    # It is over

    def _end(self, call: Call, tag: bytes, now_ms: int) -> Counted:
        del call.dialogs[tag]
        call.ended.add(tag)
        if call.dialogs:
            self._tally.note(call)  # the time of the others may have come before
            return Counted(call.record())
        call.move(Event.ENDED)
        return self._over(call, Why.HUNG_UP, now_ms)

    def _over(self, call: Call, why: Why, now_ms: int) -> Counted:
        """Its channel is free, unless another call shares it; it is remembered for what comes late."""
        self._tally.part(call, now_ms)
        call.ended.update(call.dialogs)
        call.dialogs.clear()
        call.parts_ms = 0
        self._partners.forget(call)
        self._tally.remember(call, now_ms)
        return Counted(None, call.name, why)

    def snapshot(
        self, call_ids: Collection[bytes], since_ms: int, asked_ms: int, now_ms: int
    ) -> list[Output]:
        """What the PBX, asked at `asked_ms`, says goes on: other calls answered since `since_ms` are over.

        Those that still ring, or are newer than the question, end by their own time.
        """
        outputs: list[Output] = []
        for call in self._tally.all():
            answered = call.state == State.TALKING and since_ms <= call.answered_ms < asked_ms
            if answered and call.call_id not in call_ids:
                outputs.append(self._lose(call, Why.UNKNOWN_TO_PBX, now_ms))
        return outputs

    def expire(self, now_ms: int) -> list[Output]:
        """End what showed no sign of life for too long; forget what need not be remembered any more."""
        outputs: list[Output] = []
        for call in self._tally.due(now_ms):
            outputs += self._time_passed(call, now_ms)
        return outputs

    def _time_passed(self, call: Call, now_ms: int) -> list[Output]:
        if call.state == State.OVER or call.state == State.REFUSED:
            self._tally.forget(call)
            return []
        if call.early:
            call.move(Event.ENDED)
            return [self._over(call, Why.UNANSWERED, now_ms)]
        last = max([(dialog.ends_ms, dialog.why) for dialog in call.dialogs.values()])
        if last[0] <= now_ms:
            return [self._lose(call, last[1], now_ms)]
        still = self._tally.shares(call, call.replaces)
        call.parts_ms, call.replaces = 0, ""
        self._tally.note(call)
        if still:  # the one that it replaced goes on
            self._tally.part(call, now_ms)
            call.unit = call.name
            self._tally.take(call, now_ms)
        return [Counted(call.record())]

    def _lose(self, call: Call, why: Why, now_ms: int) -> Counted:
        """Nobody said that it is over: should it show itself again, it is found again."""
        call.move(Event.ENDED)
        counted = self._over(call, why, now_ms)
        if why is not Why.HUNG_UP:
            self._tally.forget(call)
        return counted

    def next_timer(self) -> int | None:
        """When `expire` may have work, in monotonic ms."""
        return self._tally.next_timer()

    # What is kept

    def restore(self, records: Iterable[CallRecord], now_ms: int) -> None:
        """Take stored calls in, with times of this clock; the verdict knows their units."""
        for record in records:
            call = restored(record, now_ms)
            self._tally.keep(call)
            self._tally.join(call)
            self._tally.note(call)

    def _find(self, response: Message, passage: Passage) -> list[Output]:
        """A dialog that goes on over a line and that nobody knew of: from before the line was configured."""
        line = self._line_of(response, passage)
        if line is None or response.via is None:
            return []
        branch, tag = response.via.branch, response.tag(sip.FROM)
        call = Call(branch, response.call_id, tag, line, outward=passage.outward, urgent=False)
        if not self._tally.keep(call):
            return []
        call.move(Event.ADMITTED)
        call.move(Event.ANSWERED)
        call.answered_ms = passage.now_ms
        self._live_on(call, response.tag(sip.TO), response, passage.now_ms)
        self._tally.take(call, passage.now_ms)
        return [Counted(call.record())]

    def _line_of(self, response: Message, passage: Passage) -> Line | None:
        if response.cseq_method != INVITE or response.status < 200:
            return None
        return self._lines.of_answer(response, passage.phone, self._bindings, outward=passage.outward)


def _urgent(known: list[Call]) -> bool:
    return any(call.urgent for call in known)
