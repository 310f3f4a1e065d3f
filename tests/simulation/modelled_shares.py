"""Two shares for the protocol model: the protocol in ten lines, and `licensing.site.share` itself.

A rule that is left out of the real one is undone around it: its functions stay as they are.
"""

from collections.abc import Hashable
from dataclasses import dataclass, field
from functools import cache

import msgspec

from licensing.site import share as real
from licensing.wire import (
    VERSION,
    Answer,
    ClassDemand,
    Enrolled,
    Policy,
    Roster,
    ShareGrant,
    Software,
    Sync,
)
from tests.simulation import protocol_model as model
from tests.simulation.protocol_model import ALL_RULES, Rule


@dataclass(frozen=True, slots=True)
class Lent:
    """What an agent knows of its share; `waits` while the latest seq has no answer."""

    seq: int = 0
    granted: int = 0
    cap: int = 0
    waits: bool = False


@dataclass(frozen=True, slots=True)
class AbstractShare:
    """The rules as protocol.md says them."""

    rules: frozenset[Rule] = ALL_RULES

    def start(self) -> Hashable:
        return Lent()

    def seq(self, state: Hashable) -> int:
        assert isinstance(state, Lent)
        return state.seq

    def usable(self, state: Hashable) -> int:
        assert isinstance(state, Lent)
        return state.cap if Rule.WANT_CAPS in self.rules else state.granted

    def prepare(self, state: Hashable, want: int) -> Hashable:
        assert isinstance(state, Lent)
        return Lent(state.seq + 1, state.granted, min(state.cap, want), waits=True)

    def answered(self, state: Hashable, answer: model.Answer) -> Hashable:
        assert isinstance(state, Lent)
        if Rule.LATEST_ONLY not in self.rules or (state.waits and answer.seq == state.seq):
            return Lent(state.seq, answer.granted, answer.granted)
        return state


CLASS = "seat"
ENROLMENT = Enrolled(
    v=VERSION,
    agent="lyon",
    installation="acme",
    epoch=1,
    instance="i",
    term=1,
    master_key="",
    nonce="n",
    policy=Policy(etag="1", kinds={"user": CLASS}),
    roster=Roster(1, {}),
)


def statement(want: int) -> real.Statement:
    """A statement that wants so many units."""
    return real.Statement(boot="b", software=Software(13), classes={CLASS: ClassDemand(used=0, want=want)})


def reply(seq: int, granted: int) -> real.Reply:
    """The master's answer with so many units."""
    answer = Answer(
        v=VERSION,
        instance="i",
        term=1,
        epoch=1,
        ack_seq=seq,
        ack_activity=0,
        nonce="n",
        now_ms=0,
        next_ms=30_000,
        shares={CLASS: ShareGrant(granted, max_software=13)},
    )
    return real.Reply(200, msgspec.json.encode(answer), "request", "signature")


@dataclass(frozen=True, slots=True)
class RealShare:
    """`licensing.site.share` as the agent runs it: a state is the row of its store."""

    rules: frozenset[Rule] = ALL_RULES
    sent: dict[int, set[real.Request]] = field(default_factory=dict, compare=False)

    def start(self) -> Hashable:
        return real.encode(real.enrolled(ENROLMENT, 0, 0))

    def seq(self, state: Hashable) -> int:
        return _record(state).seq

    def usable(self, state: Hashable) -> int:
        record = _record(state)
        if Rule.WANT_CAPS in self.rules:
            return real.usable(record, CLASS, 13)
        return record.shares[CLASS].granted if record.shares else 0

    def prepare(self, state: Hashable, want: int) -> Hashable:
        return _prepared(state, want)

    def answered(self, state: Hashable, answer: model.Answer) -> Hashable:
        return _answered(state, answer.seq, answer.granted, Rule.LATEST_ONLY in self.rules)


@cache
def _record(state: Hashable) -> real.ShareRecord:
    assert isinstance(state, bytes)
    return real.decode(state, 0)


@cache
def _prepared(state: Hashable, want: int) -> bytes:
    return real.encode(real.prepare(_record(state), statement(want), 0, 0).record)


@cache
def _answered(state: Hashable, seq: int, granted: int, latest_only: bool) -> Hashable:
    """The answer to the request of that seq; who obeys any answer takes it for the latest one."""
    record = _record(state)
    if not latest_only:
        record = msgspec.structs.replace(record, in_flight=record.in_flight or real.Request("", b""))
        seq = record.seq
    sent = record.in_flight
    if sent is None or (latest_only and msgspec.json.decode(sent.body, type=Sync).seq != seq):
        sent = real.Request(real.SYNC, b"an older request")
    outcome = real.answered(record, sent, reply(seq, granted), 0, 0)
    return real.encode(outcome.record) if isinstance(outcome, real.Applied) else state
