"""REGISTER on its way to the PBX and back: reserve, forward, commit what the PBX answered (sip-guard).

A request that opens nothing is forwarded without asking: further devices, refreshes, un-REGISTERs, queries,
and what the PBX will challenge. Only an object's first binding, with credentials, asks the verdict.
"""

from collections.abc import Iterable
from typing import Final

from telephony.address import Flow
from telephony.binding import Binding, Bindings, Registration
from telephony.directory import PASS, Directory, Subject
from telephony.hop import Hop
from telephony.keepalive import KeepAlives
from telephony.output import Output, Reason, Record, Rejected, Send
from telephony.settings import Settings
from telephony.sightings import Sightings
from telephony.sip import message as sip
from telephony.sip.contact import Contact, read_contacts, read_expires
from telephony.sip.message import Message
from telephony.sip.refused import read_refused
from telephony.sip.transaction import Event, Transaction, Transactions
from telephony.sip.validate import check_contacts, check_head, describe
from telephony.verdict import Admitted, Decision, Refused, Verdict, Waiting

REGISTER: Final = b"REGISTER"
CRLF: Final = b"\r\n"  # between messages it says nothing (RFC 3261 7.5)
UNKNOWN_OBJECT: Final = Refused(403, "unknown_object", "This object is not known")
PASSED: Final = Admitted(reserved=False)
# Stands where a request was that is needed no more.
DROPPED: Final = Message((b"", b"", 0), b"", 0, [b""], b"")


class Registering:
    """One REGISTER on its way: its object, the contacts it names; `opening` if any is to be bound."""

    __slots__ = ("contacts", "opening", "request", "subject")

    def __init__(
        self, request: Message, subject: Subject, contacts: tuple[Contact, ...], *, opening: bool
    ) -> None:
        self.request = request
        self.subject = subject
        self.contacts = contacts
        self.opening = opening


Relay = Transaction[Registering]


class Registrations:
    """The half of the guard with state: transactions, bindings, reservations and those waiting for one."""

    def __init__(
        self,
        settings: Settings,
        directory: Directory,
        verdict: Verdict,
        hop: Hop,
        sightings: Sightings,
        bindings: Bindings,
    ) -> None:
        self.bindings = bindings
        self._sightings = sightings
        self._settings = settings
        self._directory = directory
        self._verdict = verdict
        self._hop = hop
        self._transactions: Transactions[Registering] = Transactions(
            settings.transaction_limit, reliable_client=settings.reliable(settings.pbx)
        )
        self._reserving: dict[str, Relay] = {}
        self._refreshing: dict[str, Relay] = {}  # the newest REGISTER of each AOR that keeps its bindings
        self._waiting: dict[str, list[Relay]] = {}
        self._keep_alives = KeepAlives(settings, self.bindings)

    @property
    def pending(self) -> int:
        """How many REGISTERs have no final answer yet."""
        return self._transactions.pending

    def register(self, request: Message, flow: Flow, now_ms: int) -> list[Output]:
        """A REGISTER of a phone: repeat the answer, forward it, hold it, or refuse it."""
        via = request.via
        key = (via and (via.sent_by, via.branch), request.call_id, request.cseq_number, flow)
        relay = self._transactions.find(key)
        if relay is not None:
            return [Send(relay.flow, relay.answer)] if relay.answer else []
        problems = check_head(request)
        contacts = read_contacts(request)
        problems += check_contacts(request, contacts)
        to = request.address(sip.TO)
        subject = None if to is None else self._directory.find(to.uri)
        if problems or contacts is None or subject is None:
            detail = describe(problems) or "to: names nobody"
            return self._malformed(request, flow, detail)
        if self._hop.spent(request):
            return [Send(flow, self._hop.answer(request, flow, 483, "Too Many Hops"))]
        opening = any(contact.expires_s for contact in contacts)
        matter = Registering(request, subject, contacts, opening=opening)
        reliable = self._settings.reliable(flow)
        if self._transactions.crowded and not self._is_bound(subject, flow):
            return self._overloaded(request, flow)
        relay = self._transactions.open(key, flow, matter, now_ms, reliable=reliable)
        if relay is None:
            return self._overloaded(request, flow)
        return self._follow(relay, self._decide(matter, now_ms), now_ms)

    def unreadable(self, data: bytes, flow: Flow) -> list[Output]:
        """What `scan` refused: dropped, and a REGISTER of a phone is told why when that can be done."""
        refused = read_refused(data, REGISTER)
        if refused.request is None or self._settings.is_pbx(flow):
            return [Rejected(Reason.MALFORMED, refused.what, flow)]
        return self._malformed(refused.request, flow, refused.what, refused.status)

    def answered(self, response: Message, now_ms: int) -> list[Output]:
        """A response of the PBX to a REGISTER: commit or release, then pass it on without our Via."""
        relay = None if response.via is None else self._transactions.find_branch(response.via.branch)
        if relay is None or relay.timed_out:
            return self._late(response, relay, now_ms)
        if not relay.pending:
            return []
        if response.status < 200:
            data = b"" if response.status == 100 else self._backwards(response, relay.flow)
            self._transactions.provisional(relay, data)
            return [Send(relay.flow, data)] if data else []
        outputs: list[Output] = []
        if response.status < 300:
            outputs = self._bind(relay.matter, response, relay.flow, now_ms)
        self._end_reservation(relay, now_ms)
        data = self._backwards(response, relay.flow)
        self._end(relay, data, now_ms)
        outputs += self.expire(now_ms)  # what it alone kept
        outputs.append(Send(relay.flow, data))
        return outputs

    def settle(self, name: str, decision: Decision, now_ms: int) -> list[Output]:
        """End the waiting of an object; a reservation that nobody waits for any more is ended at once."""
        outputs: list[Output] = []
        if isinstance(decision, Waiting):
            return outputs
        waiting = self._waiting.pop(name, [])
        if not waiting and isinstance(decision, Admitted) and decision.reserved:
            self._verdict.release(name, now_ms)
        for relay in waiting:
            outputs += self._follow(relay, decision, now_ms)
        return outputs

    def expire(self, now_ms: int) -> list[Output]:
        """Take out the bindings that ended at `now_ms` or before."""
        outputs: list[Output] = []
        for before in self.bindings.expire(now_ms):
            after = self.bindings.get(before.aor)
            kept = () if after is None else after.bindings
            outputs.append(Record(before.aor, before.name, before.kind, kept, durable=False))
            self._release_if_gone(before.name, now_ms)
        return outputs

    def handle_timers(self, now_ms: int) -> list[Output]:
        """Send again what the PBX has not answered; give up what it never answered."""
        outputs: list[Output] = []
        for event, relay in self._transactions.due(now_ms):
            if event == Event.TIMER_E:
                outputs.append(Send(self._settings.pbx, relay.forwarded))
            else:
                outputs += self._time_out(relay, now_ms)
        outputs += [Send(flow, CRLF) for flow in self._keep_alives.due(now_ms)]
        return outputs

    def restore(self, registrations: Iterable[Registration], now_ms: int) -> None:
        """Take stored registrations in: each binding counts again for its whole granted time."""
        self.bindings.restore(registrations, now_ms)
        for registration in self.bindings.all():
            self._keep_alives.note(registration, now_ms)

    def next_timer(self) -> int | None:
        """When bindings end, keep-alives are due or transactions have work, in monotonic ms."""
        timers = (
            self._transactions.next_timer(),
            self.bindings.next_expiry(),
            self._keep_alives.next_timer(),
        )
        return min((timer for timer in timers if timer is not None), default=None)

    def _is_bound(self, subject: Subject, flow: Flow) -> bool:
        """Whether this AOR has a binding from the same host: its refreshes come before newcomers."""
        registration = self.bindings.get(subject.aor)
        bindings = () if registration is None else registration.bindings
        return any(binding.flow.host == flow.host for binding in bindings)

    def _decide(self, matter: Registering, now_ms: int) -> Decision:
        subject = matter.subject
        name = subject.name
        if subject.kind == PASS or not matter.opening or self.bindings.holds(name) or name in self._reserving:
            return PASSED
        if subject.refused:
            return UNKNOWN_OBJECT
        if not (matter.request.authorized or self._settings.authenticated):
            return PASSED
        if name in self._waiting:
            return Waiting()
        return self._verdict.decide(name, subject.kind, now_ms)

    def _follow(self, relay: Relay, decision: Decision, now_ms: int) -> list[Output]:
        name = relay.matter.subject.name
        match decision:
            case Admitted(reserved=reserved):
                if reserved:
                    self._reserving.setdefault(name, relay)
                return [self._forward(relay, now_ms)]
            case Waiting():
                self._waiting.setdefault(name, []).append(relay)
                return []
            case Refused():
                return self._refuse(relay, decision, now_ms)

    def _forward(self, relay: Relay, now_ms: int) -> Send:
        request, pbx = relay.matter.request, self._settings.pbx
        branch = self._hop.branch(request, relay.flow)
        own = len(self._hop.own_routes(request)) if sip.ROUTE in request else 0
        edits = request.without_top(sip.ROUTE, own) if own else {}
        path = self._hop.path(relay.flow, pbx)
        edits |= self._hop.forward(request, relay.flow, pbx, path, sip.PATH, branch)
        data = self._hop.build(request, edits, pbx)
        self._transactions.send(relay, branch, data, now_ms)
        aor = relay.matter.subject.aor
        if relay.matter.opening and self.bindings.outlast(aor, relay.give_up_ms):
            self._refreshing[aor] = relay
        return Send(pbx, data)

    def _refuse(self, relay: Relay, refused: Refused, now_ms: int) -> list[Output]:
        data = self._hop.refusal(relay.matter.request, relay.flow, refused)
        self._end(relay, data, now_ms)
        detail = f"{refused.code}: {relay.matter.subject.name}"
        return [Rejected(Reason.REFUSED, detail, relay.flow), Send(relay.flow, data)]

    def _bind(self, matter: Registering, response: Message, flow: Flow, now_ms: int) -> list[Output]:
        """Set the bindings of the AOR to what the PBX returned; take or give back the object's unit."""
        subject = matter.subject
        aor, name, kind = subject.aor, subject.name, subject.kind
        previous = self.bindings.get(aor)
        before = () if previous is None else previous.bindings
        granted = _granted(matter, response)
        if granted is None:
            return []
        if (
            previous is not None
            and previous.name == name
            and _refreshes(granted, matter.contacts, before, flow)
        ):
            self.bindings.prolong(previous, now_ms)
            return []
        self._sightings.answered(_opened(matter), [contact.uri for contact in granted])
        after = _bindings(granted, matter.contacts, before, flow, now_ms)
        held = self.bindings.holds(name)
        registration = Registration(aor, name, kind, after)
        self.bindings.replace(registration)
        self._keep_alives.note(registration, now_ms)
        if previous is not None:
            self._release_if_gone(previous.name, now_ms)
        if not before and not after:
            return []
        outputs: list[Output] = [Record(aor, name, kind, after, durable=not held and bool(after))]
        if after and not held and kind != PASS:
            outputs += self._commit(name, kind, now_ms)
        return outputs

    def _commit(self, name: str, kind: str, now_ms: int) -> list[Output]:
        """The object holds its first binding: its reservation ends, whoever waited is a further device."""
        self._reserving.pop(name, None)
        self._verdict.commit(name, kind, now_ms)
        return [self._forward(relay, now_ms) for relay in self._waiting.pop(name, [])]

    def _release_if_gone(self, name: str, now_ms: int) -> None:
        if not self.bindings.holds(name):
            self._verdict.release(name, now_ms)

    def _end(self, relay: Relay, data: bytes, now_ms: int) -> None:
        """Keep the final answer for repeats; the request is not needed any more and takes the most memory."""
        self._transactions.final(relay, data, now_ms)
        relay.matter.request = DROPPED
        aor = relay.matter.subject.aor
        if self._refreshing.get(aor) is relay:
            del self._refreshing[aor]
            self.bindings.let_end(aor)

    def _end_reservation(self, relay: Relay, now_ms: int) -> None:
        """Give back the unit this request reserved, unless a commit has ended the reservation."""
        name = relay.matter.subject.name
        if self._reserving.get(name) is relay:
            del self._reserving[name]
            self._verdict.release(name, now_ms)

    def _backwards(self, response: Message, flow: Flow) -> bytes:
        return self._hop.build(response, response.without_top(sip.VIA), flow)

    def _late(self, response: Message, relay: Relay | None, now_ms: int) -> list[Output]:
        """A response to a request given up or from before a restart: what the PBX holds counts."""
        pbx = self._settings.pbx
        flow = self._hop.way_back(response) if relay is None else relay.flow
        if flow is None:
            return [Rejected(Reason.FORGED_VIA, "the top Via is not ours", pbx)]
        outputs: list[Output] = []
        if 200 <= response.status < 300:
            matter = self._matter_of(response) if relay is None else relay.matter
            if matter is not None:
                outputs = self._bind(matter, response, flow, now_ms)
        if relay is None:
            outputs.append(Send(flow, self._backwards(response, flow)))
        return outputs

    def _matter_of(self, response: Message) -> Registering | None:
        to = response.address(sip.TO)
        subject = None if to is None else self._directory.find(to.uri)
        return None if subject is None else Registering(response, subject, (), opening=False)

    def _time_out(self, relay: Relay, now_ms: int) -> list[Output]:
        """The PBX never answered: silence, as RFC 4320 4.2 wants. Nobody settled what waited: 503."""
        name = relay.matter.subject.name
        outputs: list[Output] = [Rejected(Reason.TIMED_OUT, name, relay.flow)]
        data = b""
        waiting = self._waiting.get(name, [])
        if relay in waiting:
            data = self._hop.unavailable(relay.matter.request, relay.flow)
            outputs.append(Send(relay.flow, data))
            waiting.remove(relay)
            if not waiting:
                del self._waiting[name]
                self._verdict.release(name, now_ms)
        self._end_reservation(relay, now_ms)
        self._end(relay, data, now_ms)
        return outputs

    def _malformed(self, request: Message, flow: Flow, detail: str, status: int = 400) -> list[Output]:
        """400 with the reason when the request can be answered, else nothing."""
        outputs: list[Output] = [Rejected(Reason.MALFORMED, detail, flow)]
        if self._hop.answerable(request):
            phrase = "Bad Request" if status == 400 else "Version Not Supported"
            outputs.append(Send(flow, self._hop.answer(request, flow, status, f"{phrase} ({detail})")))
        return outputs

    def _overloaded(self, request: Message, flow: Flow) -> list[Output]:
        """503 when there is no place; phones that are bound may use places that newcomers may not."""
        rejected = Rejected(Reason.OVERLOADED, "no transaction is free for this source", flow)
        return [rejected, Send(flow, self._hop.unavailable(request, flow))]


def _opened(matter: Registering) -> list[str]:
    """The contacts that a phone wants bound."""
    return [contact.uri for contact in matter.contacts if contact.expires_s]


def _granted(matter: Registering, response: Message) -> tuple[Contact, ...] | None:
    """The contacts a 2xx grants; None when it says nothing about them.

    A PBX that answers an opening REGISTER without any Contact is taken to have granted what was asked.
    """
    contacts = read_contacts(response)
    if contacts or (contacts is not None and not matter.opening):
        return contacts
    if not matter.opening:
        return None
    if sip.EXPIRES not in response:
        return matter.contacts
    granted_s = read_expires(response)
    return tuple([Contact(contact.uri, granted_s) for contact in matter.contacts if contact.expires_s])


def _bindings(
    granted: tuple[Contact, ...],
    asked: tuple[Contact, ...],
    before: tuple[Binding, ...],
    flow: Flow,
    now_ms: int,
) -> tuple[Binding, ...]:
    """Bindings for the granted contacts: those asked for came by `flow`, others keep the flow they had."""
    fresh = [contact.uri for contact in asked]
    flows = {binding.contact: binding.flow for binding in before if binding.contact not in fresh}
    return tuple(
        [
            Binding(uri, flows.get(uri, flow), now_ms + 1000 * expires_s, expires_s)
            for uri, expires_s in granted
            if expires_s
        ]
    )


def _refreshes(
    granted: tuple[Contact, ...], asked: tuple[Contact, ...], before: tuple[Binding, ...], flow: Flow
) -> bool:
    """Whether the PBX holds just what it held, by the same flows, and for as long: only the ends move."""
    if len(granted) != len(before):
        return False
    for contact, binding in zip(granted, before, strict=True):
        if contact.expires_s != binding.granted_s or contact.uri != binding.contact:
            return False
        if binding.flow != flow and contact.uri in [one.uri for one in asked]:
            return False
    return True
