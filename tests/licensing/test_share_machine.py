"""`share` against a plain model and a master that keeps the protocol: usable ≤ what is on record, always."""

from dataclasses import dataclass, field

import msgspec
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    MultipleResults,
    RuleBasedStateMachine,
    consumes,
    invariant,
    multiple,
    precondition,
    rule,
)

from licensing.codes import TABLE, Code
from licensing.site import share
from licensing.wire import (
    VERSION,
    Answer,
    Bye,
    ClassDemand,
    Enrolled,
    Policy,
    Problem,
    Roster,
    ShareGrant,
    Software,
    Sync,
)
from tests.machine import MACHINE

CLASSES = ("seat", "conference_leg")
CAPACITY = 6
DAY_MS = 86_400_000
WANTS = st.fixed_dictionaries({}, optional={name: st.integers(0, CAPACITY) for name in CLASSES})


@dataclass
class Model:
    """What an agent may use, by the words of the safety rules."""

    seq: int = 0
    waits: bool = False
    granted: dict[str, int] = field(default_factory=dict)
    wants: dict[str, list[int]] = field(default_factory=dict)
    newest_software: int = 13

    def usable(self, name: str) -> int:
        if name not in self.granted:
            return 0
        return min([self.granted[name], *self.wants.get(name, [])])


@dataclass
class Master:
    """One installation's record of this agent."""

    handled: int = 0
    body: bytes = b""
    answer: share.Reply | None = None
    on_record: dict[str, int] = field(default_factory=dict)
    term: int = 1
    epoch: int = 1


@dataclass(frozen=True)
class Exchange:
    """An answer on its way, with the request it fits."""

    sent: share.Request
    reply: share.Reply


class ShareMachine(RuleBasedStateMachine):
    """One agent, one master, a network that keeps and repeats."""

    requests: Bundle[share.Request] = Bundle("requests")
    answers: Bundle[Exchange] = Bundle("answers")

    def __init__(self) -> None:
        super().__init__()
        self.now = 0
        self.at = 0
        self.heard = 0
        enrolment = Enrolled(
            v=VERSION,
            agent="lyon",
            installation="acme",
            epoch=1,
            instance="one",
            term=1,
            master_key="",
            nonce="n0",
            policy=Policy(etag="1", kinds={"user": "seat"}),
            roster=Roster(1, {}),
        )
        self.record = share.enrolled(enrolment, 0, 0)
        self.model = Model()
        self.master = Master()
        self.hello = False

    @rule(target=requests, wants=WANTS)
    def prepare(self, wants: dict[str, int]) -> share.Request:
        classes = {name: ClassDemand(used=0, want=want) for name, want in wants.items()}
        statement = share.Statement(boot="b", software=Software(13), classes=classes)
        prepared = share.prepare(self.record, statement, self.now, self.at, hello=self.hello)
        self.record, self.hello = prepared.record, False
        self.wrote(wants)
        return prepared.request

    @rule(target=requests)
    def bye(self) -> share.Request:
        prepared = share.bye(self.record, self.now, self.at)
        self.record = prepared.record
        self.wrote({})
        return prepared.request

    def wrote(self, wants: dict[str, int]) -> None:
        self.model.seq += 1
        self.model.waits = True
        for name in CLASSES:
            self.model.wants.setdefault(name, []).append(wants.get(name, 0))

    @rule(target=answers, request=requests, free=st.integers(0, CAPACITY))
    def master_handles(self, request: share.Request, free: int) -> Exchange | MultipleResults[Exchange]:
        message = content(request)
        master = self.master
        if message.epoch < master.epoch and request.path != share.HELLO:
            return Exchange(request, problem(Code.EPOCH_OLD))
        if message.seq < master.handled:
            return Exchange(request, problem(Code.SEQ_OLD))
        if message.seq == master.handled:
            if request.body != master.body or master.answer is None:
                return multiple()
            return Exchange(request, master.answer)
        classes = message.classes if isinstance(message, Sync) else {}
        # A master asks units back by `recall_to`; its record itself falls to a want and no further.
        kept = {name: min(master.on_record.get(name, 0), demand.want) for name, demand in classes.items()}
        master.on_record = {name: max(kept[name], min(demand.want, free)) for name, demand in classes.items()}
        answer = Answer(
            v=VERSION,
            instance="one",
            term=master.term,
            epoch=master.epoch,
            ack_seq=message.seq,
            ack_activity=0,
            nonce=f"n{message.seq}",
            now_ms=0,
            next_ms=1,
            shares={name: ShareGrant(granted, max_software=13) for name, granted in master.on_record.items()},
        )
        master.handled, master.body = message.seq, request.body
        master.answer = share.Reply(200, msgspec.json.encode(answer), "request", "signature")
        return Exchange(request, master.answer)

    @rule(exchange=answers)
    def answer_arrives_and_stays(self, exchange: Exchange) -> None:
        self.hears(exchange)

    @rule(exchange=consumes(answers))
    def answer_arrives(self, exchange: Exchange) -> None:
        self.hears(exchange)

    def hears(self, exchange: Exchange) -> None:
        before, model = self.record, self.model
        outcome = share.answered(before, exchange.sent, exchange.reply, self.now, self.at)
        seq = content(exchange.sent).seq
        current = model.waits and seq == model.seq
        match outcome:
            case share.Applied(record, answer):
                assert current
                assert answer.term >= before.term
                model.granted = {name: grant.granted for name, grant in answer.shares.items()}
                model.wants, model.waits = {}, False
                self.record, self.heard = record, 0
                assert record.prev == answer.nonce
            case share.HelloNeeded(record, Code.EPOCH_OLD):
                assert current
                model.granted, model.wants, model.waits = {}, {}, False
                self.record, self.hello = record, True
            case share.Ignored(Code.SEQ_OLD):
                assert not current
            case share.Ignored(code):
                assert code in (Code.TERM_OLD, Code.EPOCH_OLD)
                assert current
            case share.Rejected(code):
                assert (code, current) == (Code.SEQ_OLD, True)
            case _:
                raise AssertionError(outcome)

    @precondition(lambda self: not self.model.waits and not any(map(self.model.usable, CLASSES)))
    @rule()
    def site_is_released(self) -> None:
        """The operator takes back what the master has on record; nothing is used here."""
        self.master.epoch += 1
        self.master.on_record = {}

    @rule(wants=WANTS, free=st.integers(0, CAPACITY))
    def all_goes_well(self, wants: dict[str, int], free: int) -> None:
        done = self.master_handles(self.prepare(wants), free)
        assert isinstance(done, Exchange)
        self.hears(done)

    @rule()
    def master_starts_again(self) -> None:
        self.master.term += 1

    @rule()
    def agent_starts_again(self) -> None:
        stored = share.encode(share.counted(self.record, self.now, self.at))
        self.record = share.decode(stored, self.now)
        self.hello = True

    @rule(ms=st.sampled_from([1, DAY_MS]), wall=st.sampled_from([-DAY_MS, 0, 1, 2 * DAY_MS]))
    def time_passes(self, ms: int, wall: int) -> None:
        """Monotonic time goes on; wall time does what it likes."""
        self.now += ms
        self.heard += ms
        self.at = max(0, self.at + wall)

    @invariant()
    def both_say_the_same(self) -> None:
        for name in CLASSES:
            assert share.usable(self.record, name, 13) == self.model.usable(name)
            assert share.usable(self.record, name, 14) == 0
        assert self.record.seq == self.model.seq
        assert (self.record.in_flight is not None) == self.model.waits

    @invariant()
    def never_more_than_on_record(self) -> None:
        for name in CLASSES:
            assert share.usable(self.record, name, 13) <= self.master.on_record.get(name, 0)

    @invariant()
    def no_clock_lengthens_the_grace_period(self) -> None:
        left = share.grace_left_ms(self.record, self.now, self.at)
        assert left <= self.record.policy.grace_s * 1_000 - self.heard


def content(request: share.Request) -> Sync | Bye:
    if request.path == share.BYE:
        return msgspec.json.decode(request.body, type=Bye)
    return msgspec.json.decode(request.body, type=Sync)


def problem(code: Code) -> share.Reply:
    entry = TABLE[code]
    body = msgspec.json.encode(Problem("about:blank", entry.sentence, entry.status, code))
    return share.Reply(entry.status, body, "request", "signature")


ShareMachine.TestCase.settings = MACHINE
TestShare = ShareMachine.TestCase
