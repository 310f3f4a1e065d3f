"""A master and its agents as the protocol wants them, and nothing more; the test is the wire between."""

from dataclasses import dataclass, field
from itertools import count

import msgspec

from licensing import administration
from licensing.administration import Change
from licensing.codes import Code, Refusal
from licensing.installation import Pbx, Settings
from licensing.ledger import AnyEvent, replay
from licensing.lender import allocator, recovery
from licensing.lender.claims import Claims, Demands
from licensing.lender.contact import (
    Contact,
    Fresh,
    Rejected,
    Repeat,
    examine,
    first_contact,
)
from licensing.named import assigning
from licensing.state import State
from licensing.wire import Answer, ClassDemand, Hello, Proof, Software, Sync
from tests.licensing.house import CATALOGUE

Reply = Answer | Code

_nonces = count(1)


@dataclass
class Master:
    """What the service keeps: the ledger, and each agent's contact with its last answer."""

    state: State
    events: list[AnyEvent]
    contacts: dict[str, Contact] = field(default_factory=dict)
    answers: dict[str, Reply] = field(default_factory=dict)
    demands: Demands = field(default_factory=dict)
    claims: Claims | None = None
    silent: frozenset[str] = frozenset()
    woken: frozenset[str] = frozenset()

    @classmethod
    def found(
        cls, pbxs: tuple[Pbx, ...], settings: Settings, *, instance: str = "one", recovery: bool = False
    ) -> "Master":
        """A new store, empty or in recovery."""
        change = administration.found(instance, 1, recovery=recovery, settings=settings, pbxs=pbxs)
        learned = assigning.learn(change.state, CATALOGUE)
        return cls(learned.state, [*change.events, *learned.events])

    def copy(self) -> "Master":
        """A backup of the store; what agents need is not in it."""
        return Master(self.state, list(self.events), dict(self.contacts), dict(self.answers))

    def commit(self, change: Change | Refusal | tuple[Refusal, ...]) -> Code | None:
        """Commit an administrator's change; the code when it is refused."""
        if isinstance(change, Refusal):
            return change.code
        if isinstance(change, tuple):
            return change[0].code
        self.events += change.events
        self.state = change.state
        self.woken = change.wake
        return None

    def receive(self, request: Sync) -> Reply:
        """Answer a message as the service does."""
        body = repr(request)
        name = request.agent
        found = examine(self.state, self.contacts.get(name), request, body, hello=isinstance(request, Hello))
        if isinstance(found, Repeat):
            return self.answers[name]
        if isinstance(found, Rejected):
            self._record(found.events, replay(found.events, self.state))
            if found.contact is not None:
                self.contacts[name] = found.contact
            return found.refusal.code
        return self._decided(request, found, body)

    def _decided(self, request: Sync, found: Fresh, body: str) -> Reply:
        name = request.agent
        if isinstance(request, Hello):
            proofs = decoded(request)
            outcome = allocator.hello(
                self.state,
                self.demands,
                request,
                proofs,
                f"key of {name}",
                behind=found.behind,
                silent=self.silent,
            )
            if isinstance(outcome, Refusal):
                return outcome.code
        else:
            outcome = allocator.sync(self.state, self.demands, request, silent=self.silent, known=self.claims)
            counted = allocator.sync(self.state, self.demands, request, silent=self.silent)
            assert outcome == counted, "as if all claims were counted anew"
        self._record(outcome.events, outcome.state)
        self.claims, self.demands = outcome.claims, outcome.claims.demands
        self.woken = outcome.wake
        return self._answer(request, outcome, body)

    def _answer(self, request: Sync, outcome: allocator.Outcome, body: str) -> Answer:
        nonce = f"n{next(_nonces)}"
        epoch = outcome.state.agents[request.agent].epoch
        answer = Answer(
            v=1,
            instance=outcome.state.instance,
            term=outcome.state.term,
            epoch=epoch,
            ack_seq=request.seq,
            ack_activity=0,
            nonce=nonce,
            now_ms=0,
            next_ms=30_000,
            shares=dict(outcome.shares),
            denials=dict(outcome.denials),
            roster=recovery.roster_of(outcome.state),
        )
        contact = self.contacts.get(request.agent) or Contact(epoch)
        self.contacts[request.agent] = contact.answered(request, body, nonce, epoch)
        self.answers[request.agent] = answer
        return answer

    def _record(self, events: tuple[AnyEvent, ...], state: State) -> None:
        self.events += events
        self.state = state


@dataclass
class Peer:
    """An agent: what it must know after a power cut, what its phones use, and what it has sent."""

    name: str
    software: int = 13
    epoch: int = 1
    instance: str = "one"
    term: int = 1
    seq: int = 0
    prev: str = ""
    boots: int = 0
    applied: Answer | None = None
    cap: dict[str, int] = field(default_factory=dict)
    used: dict[str, int] = field(default_factory=dict)
    latest: Sync | None = None
    sent: list[Sync] = field(default_factory=list)
    inbox: list[tuple[int, Reply]] = field(default_factory=list)
    must_hello: bool = False

    def enrol(self, master: Master) -> Code | None:
        """Join: a key, an epoch and the first nonce."""
        code = master.commit(administration.enrol(master.state, self.name, f"key of {self.name}"))
        if code is None:
            self.epoch = master.state.agents[self.name].epoch
            self.prev = f"n{next(_nonces)}"
            self.instance, self.term = master.state.instance, master.state.term
            self.seq, self.applied, self.cap, self.used = 0, None, {}, {}
            master.contacts[self.name] = first_contact(self.epoch, self.prev)
            self.must_hello = False
            self.sent, self.inbox, self.latest = [], [], None
        return code

    def granted(self, class_: str) -> int:
        """What the last applied answer gives, under this software."""
        grant = self.applied.shares.get(class_) if self.applied else None
        return 0 if grant is None or grant.max_software < self.software else grant.granted

    def usable(self, class_: str) -> int:
        """Units that may be used: the share, capped by every want written since (safety rule 1)."""
        return min(self.granted(class_), self.cap.get(class_, 0))

    def reach(self, class_: str) -> int:
        """The most it may come to use without asking again: with an answer that may still be applied."""
        ways = [self.usable(class_)]
        if self.latest is not None:
            wanted = self.latest.classes.get(class_, ClassDemand(0, 0)).want
            for seq, reply in self.inbox:
                if seq == self.seq and isinstance(reply, Answer) and class_ in reply.shares:
                    ways.append(min(reply.shares[class_].granted, wanted))
        return max(ways)

    def write(self, demand: dict[str, tuple[int, int]]) -> Sync:
        """Write new content durably and send it: `{class: (need, idle)}`, need at least what is used."""
        self.seq += 1
        classes = {}
        for name in {*demand, *self.used}:
            need, idle = demand.get(name, (0, 0))
            need = max(need, self.used.get(name, 0))
            classes[name] = ClassDemand(used=self.used.get(name, 0), want=need + idle, idle=idle)
        for name in {*self.cap, *classes}:
            want = classes[name].want if name in classes else 0
            self.cap[name] = min(self.cap.get(name, 0), want)
        request = Sync(
            v=1,
            agent=self.name,
            installation="acme",
            epoch=self.epoch,
            instance=self.instance,
            term=self.term,
            seq=self.seq,
            prev=self.prev,
            boot=f"{self.name}{self.boots}",
            sent_at_ms=0,
            software=Software(self.software),
            classes=classes,
            roster_version=self.applied.roster.version if self.applied and self.applied.roster else 0,
        )
        if self.must_hello:
            request = self._hello(request)
        self.latest = request
        self.sent.append(request)
        return request

    def _hello(self, request: Sync) -> Hello:
        proofs = () if self.applied is None else (_proof(self.applied),)
        shares = self.applied.shares if self.applied else {}
        held = {name: min(grant.granted, self.cap.get(name, 0)) for name, grant in shares.items()}
        return Hello(**msgspec.structs.asdict(request), proofs=proofs, held=held)

    def restart(self) -> None:
        """A new process: it says hello first."""
        self.boots += 1
        self.must_hello = True

    def take(self, seq: int, reply: Reply) -> None:
        """Apply an answer to the latest seq; nothing else is ever applied (safety rule 2)."""
        if seq != self.seq:
            return
        if isinstance(reply, Code):
            if reply is Code.SEQ_OLD:  # who is refused goes on with a sync
                self.must_hello = False
            self.must_hello = self.must_hello or reply in (Code.HELLO_NEEDED, Code.EPOCH_OLD)
            if reply is Code.EPOCH_OLD:
                self.applied, self.cap = None, {}
            return
        if reply.term < self.term:
            return
        assert self.latest is not None
        self.applied = reply
        self.prev, self.epoch = reply.nonce, reply.epoch
        self.instance, self.term = reply.instance, reply.term
        self.cap = {name: demand.want for name, demand in self.latest.classes.items()}
        self.must_hello = False

    def exchange(self, master: Master, demand: dict[str, tuple[int, int]]) -> Reply:
        """Write, send, and apply the answer: no loss."""
        request = self.write(demand)
        reply = master.receive(request)
        self.take(request.seq, reply)
        if isinstance(reply, Code) and self.must_hello and not isinstance(request, Hello):
            return self.exchange(master, demand)
        return reply


def _proof(answer: Answer) -> Proof:
    """A stored answer; whoever reads it here trusts the signature."""
    return Proof(msgspec.json.encode(answer).decode(), 200, "", "")


def decoded(request: Hello) -> list[Answer]:
    """The stored answers that a hello brings."""
    return [msgspec.json.decode(proof.body, type=Answer) for proof in request.proofs]
