"""A master and its sites for seeded simulations: the real cores, their disks, wires and phones as dicts."""

import base64
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

import msgspec

from licensing import administration, allocator, contact, inventory, recovery, share
from licensing.administration import Change
from licensing.allocator import Outcome
from licensing.codes import TABLE, Code, Refusal
from licensing.contact import Contact
from licensing.decision import Admitted, Decision, Refused, Waiting
from licensing.demand import kinds
from licensing.installation import Pbx, Settings
from licensing.inventory import Item
from licensing.ledger import replay
from licensing.seat import Seats
from licensing.state import State
from licensing.wire import (
    VERSION,
    Answer,
    ClassDemand,
    Enrolled,
    Hello,
    Policy,
    Problem,
    Software,
    Sync,
)
from tests.licensing.house import CATALOGUE

CLASS = "seat"
POLICY_LINGER_S = 20


@dataclass
class Master:
    """What the licence master keeps: its ledger survives a crash, what agents said they need does not."""

    state: State
    contacts: dict[str, Contact] = field(default_factory=dict)
    kept: dict[str, tuple[bytes, share.Reply]] = field(default_factory=dict)
    demands: dict[str, dict[str, ClassDemand]] = field(default_factory=dict)
    nonces: int = 0

    @classmethod
    def founded(cls, names: list[str], ports: int) -> "Master":
        pbxs = [Pbx(name, role="slave" if number else "master") for number, name in enumerate(names)]
        state = administration.found("one", 1, recovery=False, settings=Settings(), pbxs=pbxs).state
        stocked = inventory.install(state, CATALOGUE, [Item("PBX-Port13", ports, None, None)])
        assert isinstance(stocked, Change)
        return cls(stocked.state)

    def enrol(self, name: str) -> Enrolled:
        change = administration.enrol(self.state, name, f"key of {name}")
        assert isinstance(change, Change)
        self.state = change.state
        epoch, nonce = self.state.agents[name].epoch, self._nonce()
        self.contacts[name] = contact.first_contact(epoch, nonce)
        return Enrolled(
            v=VERSION,
            agent=name,
            installation="acme",
            epoch=epoch,
            instance=self.state.instance,
            term=self.state.term,
            master_key="key",
            nonce=nonce,
            policy=Policy(etag="1", kinds=kinds(self.state.pbxs[name]), linger_s={"user": POLICY_LINGER_S}),
            roster=recovery.roster_of(self.state),
        )

    def restart(self) -> None:
        """A new incarnation on the same store."""
        self.demands.clear()
        self.state = administration.raise_term(self.state).state

    def receive(self, request: share.Request, silent: frozenset[str]) -> tuple[share.Reply, frozenset[str]]:
        """The answer, and whom to wake."""
        hello = request.path == share.HELLO
        message = msgspec.json.decode(request.body, type=Hello if hello else Sync)
        digest = hashlib.sha256(request.body).hexdigest()
        found = contact.examine(self.state, self.contacts.get(message.agent), message, digest, hello=hello)
        match found:
            case contact.Repeat():
                return self.kept[message.agent][1], frozenset()
            case contact.Rejected():
                assert found.refusal.code is not Code.CLONE_SUSPECTED, "a false alarm"
                self.state = replay(found.events, self.state)
                if found.contact is not None:
                    self.contacts[message.agent] = found.contact
                return _problem(found.refusal.code), frozenset()
            case contact.Fresh():
                return self._decide(message, found.behind, digest, silent)

    def _decide(
        self, message: Sync, behind: bool, digest: str, silent: frozenset[str]
    ) -> tuple[share.Reply, frozenset[str]]:
        outcome: Outcome | Refusal
        if isinstance(message, Hello):
            bodies = [base64.b64decode(proof.body) for proof in message.proofs]
            proofs = [msgspec.json.decode(body, type=Answer) for body in bodies]
            key = f"key of {message.agent}"
            outcome = allocator.hello(
                self.state, self.demands, message, proofs, key, behind=behind, silent=silent
            )
        else:
            outcome = allocator.sync(self.state, self.demands, message, silent=silent)
        if isinstance(outcome, Refusal):
            return _problem(outcome.code), frozenset()
        self.state = outcome.state
        self.demands[message.agent] = dict(outcome.demand)
        return self._answer(message, outcome, digest), outcome.wake

    def _answer(self, message: Sync, outcome: Outcome, digest: str) -> share.Reply:
        epoch, nonce = outcome.state.agents[message.agent].epoch, self._nonce()
        answer = Answer(
            v=VERSION,
            instance=outcome.state.instance,
            term=outcome.state.term,
            epoch=epoch,
            ack_seq=message.seq,
            ack_activity=0,
            nonce=nonce,
            now_ms=0,
            next_ms=30_000,
            shares=dict(outcome.shares),
            denials=dict(outcome.denials),
            roster=recovery.roster_of(outcome.state),
        )
        reply = share.Reply(200, msgspec.json.encode(answer), "request", "signature")
        known = self.contacts.get(message.agent) or Contact(epoch)
        self.contacts[message.agent] = known.answered(message, digest, nonce, epoch)
        self.kept[message.agent] = (digest.encode(), reply)
        return reply

    def _nonce(self) -> str:
        self.nonces += 1
        return f"n{self.nonces}"


def _problem(code: Code) -> share.Reply:
    entry = TABLE[code]
    body = msgspec.json.encode(Problem("about:blank", entry.sentence, entry.status, code))
    return share.Reply(entry.status, body, "request", "signature")


Send = Callable[[str, share.Request], None]


@dataclass
class Site:
    """An agent with its PBX and phones; `row` and `bound` are its disk, the rest dies with the process."""

    name: str
    row: bytes
    send: Send
    bound: dict[str, str] = field(default_factory=dict)
    accepted: set[str] = field(default_factory=set)
    waits: dict[str, int] = field(default_factory=dict)
    refusals: list[Refused] = field(default_factory=list)
    up: bool = False
    hello: bool = True
    boots: int = 0

    def __post_init__(self) -> None:
        self.record = share.decode(self.row, 0)
        self.seats = Seats(self.record.policy)

    def start(self, now: int, unclean: bool) -> None:
        """A new process reads its disk."""
        self.boots += 1
        self.up, self.hello = True, True
        self.record = share.decode(self.row, now)
        self.seats = Seats(self.record.policy, self.accepted)
        self.seats.lend(share.limits(self.record, 13), now, synced=self.record.synced)
        self.seats.restore(list(self.bound.items()), now, now + 30_000 if unclean else None)

    def crash(self) -> None:
        """The process is gone with all it knew; requests on their way are lost."""
        self.up = False
        self.waits.clear()

    # The conversation

    def speak(self, now: int, fresh: bool) -> None:
        """Send what is in flight again, or new content."""
        request = self.record.in_flight
        if request is None or fresh or self.hello:
            statement = share.Statement(
                boot=f"{self.name}{self.boots}", software=Software(13), classes=self.seats.ask()
            )
            prepared = share.prepare(self.record, statement, now, 0, hello=self.hello)
            self._keep(prepared.record)
            request = prepared.request
        self.send(self.name, request)

    def hear(self, sent: share.Request, reply: share.Reply, now: int) -> None:
        """An answer to some request of this or an earlier process."""
        outcome = share.answered(self.record, sent, reply, now, 0)
        match outcome:
            case share.Applied(record, answer):
                self._keep(record)
                self.hello = False
                self.seats.answer(share.limits(record, 13), answer.denials, now)
            case share.HelloNeeded(record, _):
                self._keep(record)
                self.hello = True
                self.seats.lend(share.limits(record, 13), now, synced=record.synced)
            case share.Rejected(_):
                self.speak(now, fresh=True)
            case share.Ignored(code):
                assert code is Code.SEQ_OLD or code is Code.TERM_OLD
            case share.Retry(_) | share.Revoked(_):
                raise AssertionError(outcome)
        self.settle(now)

    def _keep(self, record: share.ShareRecord) -> None:
        self.record, self.row = record, share.encode(record)

    # The phones

    def register(self, name: str, now: int, *, password: bool = True) -> None:
        """A phone registers; the PBX answers at once."""
        if name in self.bound:
            return
        self._act(name, self.seats.decide(name, "user", now), now, password)
        self.settle(now)

    def leave(self, name: str, now: int) -> None:
        """The last device of an object unregisters."""
        if self.bound.pop(name, None):
            self.seats.release(name, now)
            self.settle(now)

    def settle(self, now: int) -> None:
        while settled := self.seats.settle(now):
            for name, decision in settled:
                self._act(name, decision, now, password=True)

    def _act(self, name: str, decision: Decision, now: int, password: bool) -> None:
        match decision:
            case Waiting():
                self.waits.setdefault(name, now)
                return
            case Refused():
                self.refusals.append(decision)
            case Admitted() if password:
                self.seats.commit(name, "user", now)
                self.bound[name] = "user"
                self.accepted.add(name)
            case Admitted(reserved=True):
                self.seats.release(name, now)
            case Admitted():
                pass
        self.waits.pop(name, None)


@dataclass
class Wire:
    """Messages under way: lost, doubled, late and out of order as the dice say."""

    dice: Random
    loss: float
    late_ms: int
    under_way: list[tuple[int, int, Callable[[int], None]]] = field(default_factory=list)
    posted: int = 0

    def post(self, now: int, deliver: Callable[[int], None]) -> None:
        for _ in range(2 if self.dice.random() < self.loss / 2 else 1):
            if self.dice.random() >= self.loss:
                self.posted += 1
                due = now + self.dice.randint(1, self.late_ms)
                self.under_way.append((due, self.posted, deliver))

    def next_due(self) -> int | None:
        return min((due for due, _, _ in self.under_way), default=None)

    def deliver(self, now: int) -> None:
        while (first := min(self.under_way, key=lambda item: item[:2], default=None)) is not None:
            if first[0] > now:
                return
            self.under_way.remove(first)
            first[2](now)
