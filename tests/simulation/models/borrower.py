"""The agent's side: `licensing.site.share` behind small numbers.

A record (the row of the agent's store), a request and a reply are each known by a number, equal ones by
the same, and every transition is worked out once. A rule that is left out is undone around the real code.
"""

from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Generic, TypeVar

import msgspec

from licensing.codes import Code
from licensing.site import share
from licensing.wire import Answer, ClassDemand, Enrolled, Hello, Problem, Software, Sync
from tests.simulation.models.rules import ALL_RULES, Rule

SOFTWARE = 13
T = TypeVar("T")


@dataclass(slots=True)
class Numbers(Generic[T]):
    """Values by number: equal ones have the same."""

    values: list[T] = field(default_factory=list)
    index: dict[object, int] = field(default_factory=dict)

    def of(self, value: T, key: object) -> int:
        """The number of this value; `key` is what makes it equal to another."""
        number = self.index.get(key)
        if number is None:
            number = self.index[key] = len(self.values)
            self.values.append(value)
        return number


@dataclass(frozen=True, slots=True)
class Post:
    """Every request and reply that was ever written, by number; a reply belongs to its request."""

    requests: Numbers[share.Request] = field(default_factory=Numbers)
    messages: list[Sync] = field(default_factory=list)
    replies: Numbers[tuple[int, share.Reply]] = field(default_factory=Numbers)

    def request(self, request: share.Request) -> int:
        number = self.requests.of(request, request)
        if number == len(self.messages):
            type_ = Hello if request.path == share.HELLO else Sync
            self.messages.append(msgspec.json.decode(request.body, type=type_))
        return number

    def reply(self, request: int, reply: share.Reply) -> int:
        return self.replies.of((request, reply), (request, reply))


class Effect(Enum):
    """What a reply does to the agent."""

    NONE = auto()
    APPLIED = auto()
    HELLO = auto()
    ANEW = auto()


@dataclass(slots=True)
class Borrower:
    """The agents of one model; `class_of` says what each one draws."""

    post: Post
    class_of: dict[str, str]
    rules: frozenset[Rule] = ALL_RULES
    rows: Numbers[share.ShareRecord] = field(default_factory=Numbers)
    flying: list[int | None] = field(default_factory=list)
    allowed: list[int] = field(default_factory=list)
    _texts: dict[int, str] = field(default_factory=dict)
    _prepared: dict[tuple[int, int, int, str, bool], tuple[int, int]] = field(default_factory=dict)
    _answered: dict[tuple[int, int], tuple[int, Effect]] = field(default_factory=dict)

    def enrolled(self, enrolment: Enrolled) -> int:
        return self._number(share.enrolled(enrolment, 0, 0))

    def record(self, row: int) -> share.ShareRecord:
        return self.rows.values[row]

    def usable(self, row: int) -> int:
        """Units that the agent may use now."""
        return self.allowed[row]

    def in_flight(self, row: int) -> int | None:
        """The request that the agent sends again until it is answered."""
        return self.flying[row]

    def recall_to(self, row: int) -> int | None:
        record = self.record(row)
        lent = record.shares.get(self.class_of[record.agent])
        return lent.recall_to if lent else None

    def prepare(self, row: int, used: int, want: int, idle: int, boot: str, hello: bool) -> tuple[int, int]:
        """The record and the request of new content."""
        key = (row, used * 100 + want, idle, boot, hello)
        done = self._prepared.get(key)
        if done is None:
            record = self.record(row)
            demand = ClassDemand(used=used, want=want, idle=idle)
            statement = share.Statement(
                boot=boot, software=Software(SOFTWARE), classes={self.class_of[record.agent]: demand}
            )
            prepared = share.prepare(record, statement, 0, 0, hello=hello)
            done = self._number(prepared.record), self.post.request(prepared.request)
            self._prepared[key] = done
        return done

    def answered(self, row: int, reply: int) -> tuple[int, Effect]:
        """The record after a reply, and what else it does."""
        done = self._answered.get((row, reply))
        if done is None:
            done = self._answered[row, reply] = self._answer(row, reply)
        return done

    def text(self, reply: int) -> str:
        """The reply as people read it in a trail."""
        text = self._texts.get(reply)
        if text is None:
            text = self._texts[reply] = self._text(reply)
        return text

    def _text(self, reply: int) -> str:
        _, answer = self.post.replies.values[reply]
        if answer.status != 200:
            return str(msgspec.json.decode(answer.body, type=Problem).code)
        told = msgspec.json.decode(answer.body, type=Answer)
        granted = sum(grant.granted for grant in told.shares.values())
        recalls = [f", recalled to {g.recall_to}" for g in told.shares.values() if g.recall_to is not None]
        moods = [f", {g.state}" for g in told.shares.values() if g.state in ("recovering", "frozen")]
        return f"granted {granted}" + "".join(recalls + moods)

    def _answer(self, row: int, reply: int) -> tuple[int, Effect]:
        record = self.record(row)
        request, answer = self.post.replies.values[reply]
        sent = self.post.requests.values[request]
        if Rule.LATEST_ONLY not in self.rules:
            record, sent, answer = _as_latest(record, sent, answer)
        if Rule.TERM_FENCE not in self.rules:
            answer = _as_current(record, answer)
        outcome = share.answered(record, sent, answer, 0, 0)
        match outcome:
            case share.Applied(after, _):
                return self._number(after), Effect.APPLIED
            case share.HelloNeeded(after, _):
                return self._number(after), Effect.HELLO
            case share.Rejected(_):
                return row, Effect.ANEW
            case share.Ignored(code):
                assert code in (Code.SEQ_OLD, Code.TERM_OLD, Code.EPOCH_OLD, Code.INSTANCE_CONFLICT), code
                return row, Effect.NONE
            case share.Retry(_) | share.Revoked(_):
                return row, Effect.NONE

    def _number(self, record: share.ShareRecord) -> int:
        number = self.rows.of(record, share.encode(record))
        if number == len(self.flying):
            self.flying.append(self.post.request(record.in_flight) if record.in_flight else None)
            self.allowed.append(self._usable(record))
        return number

    def _usable(self, record: share.ShareRecord) -> int:
        class_ = self.class_of[record.agent]
        if Rule.WANT_CAPS in self.rules:
            return share.usable(record, class_, SOFTWARE)
        return record.shares[class_].granted if class_ in record.shares else 0


def _as_latest(
    record: share.ShareRecord, sent: share.Request, reply: share.Reply
) -> tuple[share.ShareRecord, share.Request, share.Reply]:
    """Who obeys any answer takes it for the latest one."""
    latest = record.in_flight or sent
    if reply.status == 200:
        answer = msgspec.json.decode(reply.body, type=Answer)
        body = msgspec.json.encode(msgspec.structs.replace(answer, ack_seq=record.seq))
        reply = share.Reply(reply.status, body, reply.request_signature, reply.signature)
    return msgspec.structs.replace(record, in_flight=latest), latest, reply


def _as_current(record: share.ShareRecord, reply: share.Reply) -> share.Reply:
    """Who knows no term takes any master for the one it obeys."""
    if reply.status != 200:
        return reply
    answer = msgspec.json.decode(reply.body, type=Answer)
    answer = msgspec.structs.replace(answer, term=record.term, instance=record.instance)
    return share.Reply(200, msgspec.json.encode(answer), reply.request_signature, reply.signature)
