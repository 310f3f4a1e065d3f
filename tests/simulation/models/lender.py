"""The master's side: the real ledger, allocator, contact and recovery behind small numbers.

A store (ledger state, contacts, kept answers and what agents said they need) is known by its number, equal
ones by the same, and every decision is worked out once. Only the order of ledger positions is looked at by
the cores, so they are counted anew after each step: stores that differ in nothing else are one.
"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import msgspec

from licensing import administration
from licensing.administration import Change
from licensing.codes import TABLE, Code, Refusal
from licensing.demand import PoolKey, kinds
from licensing.ledger import replay
from licensing.lender import allocator, contact, recovery
from licensing.lender.claims import need
from licensing.lender.contact import Contact
from licensing.pool import Pool
from licensing.site import share
from licensing.state import Share, State
from licensing.wire import (
    VERSION,
    Answer,
    ClassDemand,
    Enrolled,
    Hello,
    Policy,
    Problem,
    Roster,
    ShareGrant,
    Sync,
)
from tests.simulation.models import undone
from tests.simulation.models.borrower import SOFTWARE, Numbers, Post
from tests.simulation.models.rules import ALL_RULES, Rule

Demands = Mapping[str, Mapping[str, ClassDemand]]


class Store(NamedTuple):
    """What a master keeps; `demands` dies with the process, `life` tells its nonces from another's."""

    state: State
    contacts: Mapping[str, Contact]
    kept: Mapping[str, int]
    demands: Demands
    life: int


def key_of(store: Store) -> object:
    """What makes two stores equal."""
    state = store.state
    shares = tuple(
        (agent, class_, each.granted, each.max_software, tuple(sorted(each.drawn.items())), each.layers)
        for agent, classes in sorted(state.shares.items())
        for class_, each in sorted(classes.items())
    )
    return (
        (state.instance, state.term, state.roster_version, state.roster_complete, state.licences_lost),
        (state.waiting, state.heard, state.released),
        tuple(sorted((name, agent) for name, agent in state.agents.items())),
        tuple(sorted((number, row.count) for number, row in state.entitlements.items())),
        shares,
        tuple(sorted(store.contacts.items())),
        tuple(sorted(store.kept.items())),
        tuple(sorted((name, tuple(sorted(told.items()))) for name, told in store.demands.items())),
        store.life,
    )


def _renumbered(state: State, base: int) -> State:
    """The state with its ledger positions counted anew, in the same order, from `base`."""
    everyone = [each for classes in state.shares.values() for each in classes.values()]
    old = sorted({position for each in everyone for position, _ in each.layers})
    new = {position: base + rank for rank, position in enumerate(old)}
    if all(position == rank for position, rank in new.items()) and state.position == base + len(old):
        return state
    shares = {
        agent: {
            class_: Share(
                each.granted,
                each.max_software,
                each.drawn,
                tuple((new[position], units) for position, units in each.layers),
            )
            for class_, each in classes.items()
        }
        for agent, classes in state.shares.items()
    }
    return replace(state, shares=shares, position=base + len(old))


@dataclass(slots=True)
class Lender:
    """The masters of one model."""

    post: Post
    class_of: dict[str, str]
    rules: frozenset[Rule] = ALL_RULES
    clone: contact.ClonePolicy = "alert"
    base: int = 1_000
    stores: Numbers[Store] = field(default_factory=Numbers)
    on_record: list[tuple[int, ...]] = field(default_factory=list)
    """By store: what each agent has on record, in the order of `class_of`."""
    lent: list[tuple[int, ...]] = field(default_factory=list)
    """By store: what is lent of each pool, in the order of `pools`; next to it what can be used of it."""
    installed: list[tuple[int, ...]] = field(default_factory=list)
    waits: list[bool] = field(default_factory=list)
    good: list[bool] = field(default_factory=list)
    wrong: dict[int, str] = field(default_factory=dict)
    """Replies that no master may give, and why: a recall of older units, an answer to a bygone epoch."""
    pools: tuple[PoolKey, ...] = ()
    plenty: Mapping[PoolKey, Pool] = field(default_factory=dict)
    _open: dict[tuple[int, int], bool] = field(default_factory=dict)
    _received: dict[tuple[int, int], tuple[int, int]] = field(default_factory=dict)

    def number(self, store: Store) -> int:
        """The number of a store."""
        store = store._replace(state=_renumbered(store.state, self.base))
        number = self.stores.of(store, key_of(store))
        if number == len(self.on_record):
            state = store.state
            self.on_record.append(tuple(state.share(a, c).granted for a, c in self.class_of.items()))
            self.lent.append(tuple(state.lent_from(key) for key in self.pools))
            self.installed.append(tuple(state.pool(key).usable(SOFTWARE) for key in self.pools))
            self.waits.append(state.recovering)
            self.good.append(all(agent.standing == "good" for agent in state.agents.values()))
        return number

    def state(self, number: int) -> State:
        return self.stores.values[number].state

    def changed(self, number: int, change: Change | Refusal | tuple[Refusal, ...]) -> int:
        """The store after an administrator's command; -1 when it is refused."""
        if not isinstance(change, Change):
            return -1
        return self.number(self.stores.values[number]._replace(state=change.state))

    def restarted(self, number: int, life: int) -> int:
        """A new process on the same store."""
        store = self.stores.values[number]
        state = administration.raise_term(store.state).state
        return self.number(Store(state, store.contacts, store.kept, {}, life))

    def restored(self, number: int, life: int) -> int:
        """A backup that is served: a recovery, as `restore` starts it."""
        store = self.stores.values[number]
        state = administration.raise_term(store.state).state
        if Rule.RESTORED_WAITS in self.rules:
            state = administration.start_recovery(store.state, instance=f"restored {life}").state
        return self.number(Store(state, store.contacts, store.kept, {}, life))

    def enrol(self, number: int, name: str) -> tuple[int, Enrolled]:
        """The store with this agent enrolled, and what the agent is told."""
        store = self.stores.values[number]
        change = administration.enrol(store.state, name, f"key of {name}")
        assert isinstance(change, Change)
        state = change.state
        epoch = state.agents[name].epoch
        nonce = f"{name}.{epoch}.0.{store.life}"
        contacts = {**store.contacts, name: contact.first_contact(epoch, nonce)}
        told = Enrolled(
            v=VERSION,
            agent=name,
            installation="acme",
            epoch=epoch,
            instance=state.instance,
            term=state.term,
            master_key="key",
            nonce=nonce,
            policy=Policy(etag="1", kinds=kinds(state.pbxs[name])),
            roster=recovery.roster_of(state),
        )
        return self.number(store._replace(state=state, contacts=contacts)), told

    def receive(self, number: int, request: int) -> tuple[int, int]:
        """The store after a request, and the reply."""
        done = self._received.get((number, request))
        if done is None:
            done = self._received[number, request] = self._receive(number, request)
        return done

    def confirms(self, number: int, agent: str, nonce: str) -> bool:
        """Whether an honest agent may still name this nonce: one crash may cost it the answer, not two."""
        known = self.stores.values[number].contacts.get(agent)
        return known is None or nonce in (known.confirmed, known.issued)

    def may_take(self, number: int, request: int) -> bool:
        """Whether this store, or what becomes of it, may ever do more with a request than refuse it."""
        done = self._open.get((number, request))
        if done is None:
            done = self._open[number, request] = self._may_take(number, request)
        return done

    def _may_take(self, number: int, request: int) -> bool:
        store, message = self.stores.values[number], self.post.messages[request]
        if not isinstance(message, Hello) and message.instance != store.state.instance:
            return False
        known = store.contacts.get(message.agent)
        if known is None or message.epoch > known.epoch:
            return True
        return message.seq > known.seq or message.boot not in known.boots

    def _receive(self, number: int, request: int) -> tuple[int, int]:
        store = self.stores.values[number]
        sent = self.post.messages[request]
        known = store.contacts.get(sent.agent)
        message, known = undone.before_examination(store.state, sent, known, request, self.rules)
        hello = isinstance(message, Hello)
        found = contact.examine(store.state, known, message, str(request), hello=hello, clone=self.clone)
        match found:
            case contact.Repeat():
                return number, self._again(request, store.kept[sent.agent])
            case contact.Rejected():
                contacts = store.contacts
                if found.contact is not None:
                    contacts = {**contacts, sent.agent: found.contact}
                state = replay(found.events, store.state)
                after = self.number(store._replace(state=state, contacts=contacts))
                return after, self.post.reply(request, problem(found.refusal.code))
            case contact.Fresh():
                return self._decide(store, message, found.behind, request)

    def _again(self, request: int, kept: int) -> int:
        """The stored answer, sent again."""
        _, reply = self.post.replies.values[kept]
        return self.post.reply(request, reply)

    def _decide(self, store: Store, message: Sync, behind: bool, request: int) -> tuple[int, int]:
        state = undone.before_decision(store.state, store.demands, message.agent, self.rules, self.plenty)
        outcome: allocator.Outcome | Refusal
        if isinstance(message, Hello):
            proofs = _proofs(message)
            message = undone.hello(message, self.rules)
            key = f"key of {message.agent}"
            outcome = allocator.hello(state, store.demands, message, proofs, key, behind=behind)
        else:
            outcome = allocator.sync(state, store.demands, message)
        if isinstance(outcome, Refusal):
            return self.number(store), self.post.reply(request, problem(outcome.code))
        outcome = undone.after_decision(store.state, outcome, store.demands, message, self.rules)
        return self._answer(store, outcome, message, request)

    def _answer(
        self, store: Store, outcome: allocator.Outcome, message: Sync, request: int
    ) -> tuple[int, int]:
        state, agent = outcome.state, message.agent
        epoch = state.agents[agent].epoch
        nonce = f"{agent}.{epoch}.{message.seq}.{store.life}"
        answer = _composed(state, outcome, message, epoch, nonce)
        reply = self.post.reply(
            request, share.Reply(200, msgspec.json.encode(answer), "request", "signature")
        )
        demands = {**store.demands, agent: dict(outcome.demand)}
        self._judge(outcome, demands, self.post.messages[request], reply)
        before = store.contacts.get(agent) or Contact(epoch)
        after = Store(
            state=state,
            contacts={**store.contacts, agent: before.answered(message, str(request), nonce, epoch)},
            kept={**store.kept, agent: reply},
            demands=demands,
            life=store.life,
        )
        return self.number(after), reply

    def _judge(self, outcome: allocator.Outcome, demands: Demands, sent: Sync, reply: int) -> None:
        agent, class_ = sent.agent, self.class_of[sent.agent]
        grant, epoch = outcome.shares.get(class_), outcome.state.agents[agent].epoch
        wrong = unfair(outcome.state, demands, agent, class_, grant) if grant is not None else None
        if sent.epoch < epoch and not isinstance(sent, Hello):
            wrong = f"epoch {sent.epoch} of {agent} is over, and its sync is answered"
        if wrong is not None:
            self.wrong[reply] = wrong


def _composed(state: State, outcome: allocator.Outcome, message: Sync, epoch: int, nonce: str) -> Answer:
    joined = message.roster_version != state.roster_version
    return Answer(
        v=VERSION,
        instance=state.instance,
        term=state.term,
        epoch=epoch,
        ack_seq=message.seq,
        ack_activity=0,
        nonce=nonce,
        now_ms=0,
        next_ms=30_000,
        shares=dict(outcome.shares),
        denials={},  # they end waits and say why; nothing of a share
        roster=Roster(state.roster_version, dict(state.roster)) if joined else None,
    )


def _proofs(message: Hello) -> list[Answer]:
    bodies = [base64.b64decode(proof.body) for proof in message.proofs]
    return [msgspec.json.decode(body, type=Answer) for body in bodies]


def problem(code: Code) -> share.Reply:
    """A refusal, signed."""
    entry = TABLE[code]
    body = msgspec.json.encode(Problem("about:blank", entry.sentence, entry.status, code))
    return share.Reply(entry.status, body, "request", "signature")


def unfair(state: State, demands: Demands, agent: str, class_: str, grant: ShareGrant) -> str | None:
    """Why this recall takes what is used from the wrong agent, in words, or None (L.r31).

    Worked out from scratch: of all units of a pool that are needed the newest are too many.
    """
    told = need(demands[agent][class_])
    if grant.recall_to is None or grant.recall_to >= told:
        return None
    may_keep = min(_kept(state, demands, agent, key) for key in state.share(agent, class_).drawn)
    if grant.recall_to < may_keep:
        return (
            f"{agent} is asked down to {grant.recall_to}, and {may_keep} of its units are older than others'"
        )
    return None


def _kept(state: State, demands: Demands, agent: str, key: PoolKey) -> int:
    """How many of the oldest units of a pool, as many as are there, this agent needs."""
    oldest = sorted(
        (position, name)
        for name, classes in state.shares.items()
        for class_, each in classes.items()
        for position in _needed_units(each, demands.get(name, {}).get(class_))
        if key in each.drawn
    )
    return sum(name == agent for _, name in oldest[: state.pool(key).usable(SOFTWARE)])


def _needed_units(each: Share, told: ClassDemand | None) -> list[int]:
    """The ledger position of each unit that is needed, the oldest first."""
    units = [position for position, count in each.layers for _ in range(count)]
    return units if told is None else units[: need(told)]
