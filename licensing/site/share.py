"""The agent's side of the sync protocol: one durable record and the only transitions it may take.

Every transition returns the next record; the caller stores it durably before it sends or uses anything of
it. The caller also signs, checks the signature of an answer, and keeps the keys (protocol "Safety rules",
"Durability rules"). Nothing here reads a clock or draws a random number.
"""

import base64
from dataclasses import dataclass

import msgspec

from licensing.box.sighting import Sighting
from licensing.codes import Code
from licensing.site import grace
from licensing.site.record import (
    Lent,
    Limit,
    Request,
    ShareRecord,
    counted,
    decode,
    encode,
    grace_left_ms,
    limits,
    usable,
)
from licensing.wire import (
    MAX_ACTIVITY,
    MAX_BODY,
    VERSION,
    Activity,
    Answer,
    Bye,
    ClassDemand,
    Enrolled,
    Hardware,
    Hello,
    HolderDigest,
    HolderPage,
    Problem,
    Proof,
    ShareGrant,
    Software,
    Sync,
)

__all__ = [
    "BYE",
    "HELLO",
    "SYNC",
    "Applied",
    "HelloNeeded",
    "Ignored",
    "Lent",
    "Limit",
    "Outcome",
    "Prepared",
    "Rejected",
    "Reply",
    "Request",
    "Retry",
    "Revoked",
    "ShareRecord",
    "Statement",
    "answered",
    "bye",
    "counted",
    "decode",
    "encode",
    "enrolled",
    "grace_left_ms",
    "limits",
    "prepare",
    "usable",
]

SYNC = "/v1/agent/sync"
HELLO = "/v1/agent/hello"
BYE = "/v1/agent/bye"


class Statement(msgspec.Struct, frozen=True, kw_only=True):
    """What the agent says of itself in a sync; `activity` in order of number, oldest first."""

    boot: str
    software: Software
    classes: dict[str, ClassDemand]
    hardware: Hardware = Hardware()
    holders: dict[str, HolderDigest] = {}
    pages: tuple[HolderPage, ...] = ()
    activity: tuple[Activity, ...] = ()
    alarms: tuple[str, ...] = ()
    relay: Sighting | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP answer whose signature was found valid for the request it answers."""

    status: int
    body: bytes
    request_signature: str
    signature: str


@dataclass(frozen=True, slots=True)
class Prepared:
    """Store `record` durably, then send `request`."""

    record: ShareRecord
    request: Request


@dataclass(frozen=True, slots=True)
class Applied:
    """Store `record` durably, then use it."""

    record: ShareRecord
    answer: Answer


@dataclass(frozen=True, slots=True)
class Ignored:
    """Nothing changes: not the answer to the latest content, or not from the master we obey."""

    code: Code


@dataclass(frozen=True, slots=True)
class HelloNeeded:
    """Store `record`, then say hello; after `epoch_old` its shares are gone."""

    record: ShareRecord
    code: Code


@dataclass(frozen=True, slots=True)
class Retry:
    """The master could not answer now: the same bytes again, later."""

    code: Code


@dataclass(frozen=True, slots=True)
class Rejected:
    """This content will never be answered: store `record` if there is one, and prepare a new one."""

    code: Code
    record: ShareRecord | None = None


@dataclass(frozen=True, slots=True)
class Revoked:
    """This agent may not speak to the master any more; what it holds goes on. Store `record` if it is one."""

    code: Code
    record: ShareRecord | None = None


Outcome = Applied | Ignored | HelloNeeded | Retry | Rejected | Revoked


def enrolled(enrolment: Enrolled, now_ms: int, at_ms: int) -> ShareRecord:
    """The first record of an epoch: nothing lent yet."""
    return ShareRecord(
        agent=enrolment.agent,
        installation=enrolment.installation,
        epoch=enrolment.epoch,
        instance=enrolment.instance,
        term=enrolment.term,
        prev=enrolment.nonce,
        grace=grace.heard(now_ms, at_ms),
        policy=enrolment.policy,
    )


def prepare(
    record: ShareRecord, statement: Statement, now_ms: int, at_ms: int, *, hello: bool = False
) -> Prepared:
    """New content: the next seq, and each want caps its class from now on.

    Activity beyond the limits of one message (1,000 events, 256 KiB) is left for the next one.
    """
    message = Hello(
        v=VERSION,
        agent=record.agent,
        installation=record.installation,
        epoch=record.epoch,
        instance=record.instance,
        term=record.term,
        seq=record.seq + 1,
        prev=record.prev,
        boot=statement.boot,
        sent_at_ms=at_ms,
        software=statement.software,
        hardware=statement.hardware,
        classes=statement.classes,
        holders=statement.holders,
        pages=statement.pages,
        activity=statement.activity[:MAX_ACTIVITY],
        policy_etag=record.policy.etag,
        roster_version=record.roster_version,
        alarms=statement.alarms,
        relay=statement.relay,
        proofs=_proofs(record) if hello else (),
        held={class_: lent.cap for class_, lent in record.shares.items()} if hello else None,
    )
    wants = {class_: demand.want for class_, demand in statement.classes.items()}
    request = Request(HELLO if hello else SYNC, _fitting(message))
    return _sending(record, request, wants, now_ms, at_ms)


def bye(record: ShareRecord, now_ms: int, at_ms: int) -> Prepared:
    """Everything back: nothing is usable once this is written."""
    message = Bye(
        v=VERSION,
        agent=record.agent,
        installation=record.installation,
        epoch=record.epoch,
        instance=record.instance,
        term=record.term,
        seq=record.seq + 1,
        prev=record.prev,
    )
    return _sending(record, Request(BYE, msgspec.json.encode(message)), {}, now_ms, at_ms)


def _sending(
    record: ShareRecord, request: Request, wants: dict[str, int], now_ms: int, at_ms: int
) -> Prepared:
    shares = {
        class_: msgspec.structs.replace(lent, cap=min(lent.cap, wants.get(class_, 0)))
        for class_, lent in record.shares.items()
    }
    after = msgspec.structs.replace(
        counted(record, now_ms, at_ms), seq=record.seq + 1, in_flight=request, shares=shares
    )
    return Prepared(after, request)


def _proofs(record: ShareRecord) -> tuple[Proof, ...]:
    """The last answer, and the last one that carried a roster where that is another."""
    proofs = (record.answer, record.roster_answer)
    return tuple(dict.fromkeys(proof for proof in proofs if proof is not None))


def _fitting(message: Sync) -> bytes:
    """The message within the size limit: activity may lag, so it gives way first, then the pages."""
    body = msgspec.json.encode(message)
    while len(body) > MAX_BODY and (message.activity or message.pages):
        if message.activity:
            kept = message.activity[: len(message.activity) // 2]
            message = msgspec.structs.replace(message, activity=kept)
        else:
            message = msgspec.structs.replace(message, pages=message.pages[:-1])
        body = msgspec.json.encode(message)
    return body


def answered(record: ShareRecord, sent: Request, reply: Reply, now_ms: int, at_ms: int) -> Outcome:
    """What an answer changes; only one to the latest content changes anything (safety rule 2)."""
    if sent != record.in_flight:
        return Ignored(Code.SEQ_OLD)
    if reply.status != 200:
        return _refused(record, sent, reply)
    try:
        answer = msgspec.json.decode(reply.body, type=Answer)
    except msgspec.MsgspecError:
        return Ignored(Code.VERSION_UNSUPPORTED)
    fault = _fault(record, answer)
    return (
        Ignored(fault)
        if fault is not None
        else Applied(_applied(record, answer, reply, now_ms, at_ms), answer)
    )


def _fault(record: ShareRecord, answer: Answer) -> Code | None:
    """Why this answer must not be obeyed, or None."""
    faults = (
        (answer.v != VERSION, Code.VERSION_UNSUPPORTED),
        (answer.term < record.term, Code.TERM_OLD),
        (answer.term == record.term and answer.instance != record.instance, Code.INSTANCE_CONFLICT),
        (answer.epoch < record.epoch, Code.EPOCH_OLD),
        (answer.ack_seq != record.seq, Code.SEQ_OLD),
    )
    return next((code for holds, code in faults if holds), None)


def _applied(record: ShareRecord, answer: Answer, reply: Reply, now_ms: int, at_ms: int) -> ShareRecord:
    proof = Proof(
        body=base64.b64encode(reply.body).decode(),
        status=reply.status,
        request_signature=reply.request_signature,
        signature=reply.signature,
    )
    roster = answer.roster
    return msgspec.structs.replace(
        record,
        epoch=answer.epoch,
        instance=answer.instance,
        term=answer.term,
        prev=answer.nonce,
        in_flight=None,
        answer=proof,
        roster_answer=proof if roster is not None else record.roster_answer,
        roster_version=roster.version if roster is not None else record.roster_version,
        shares={class_: _lent(grant) for class_, grant in answer.shares.items()},
        policy=answer.policy or record.policy,
        doubted=None,
        # A box without a clock learns the time from the answer, or its first step would look like years.
        grace=grace.heard(now_ms, max(at_ms, answer.now_ms)),
    )


def _lent(grant: ShareGrant) -> Lent:
    return Lent(grant.granted, grant.granted, grant.max_software, grant.state, grant.recall_to)


def _refused(record: ShareRecord, sent: Request, reply: Reply) -> Outcome:
    """An error of the master: its code decides, else its status."""
    code = _code(reply.body)
    if code is Code.EPOCH_OLD:
        return HelloNeeded(_released(record), code)
    if code in (Code.HELLO_NEEDED, Code.UNKNOWN_AGENT) and sent.path != HELLO:
        return HelloNeeded(record, code)
    if code in (Code.AGENT_REVOKED, Code.CLONE_SUSPECTED):
        return Revoked(code, _doubted(record, code))
    if reply.status == 429 or reply.status >= 500:
        return Retry(code or Code.STORE_FAILED)
    return Rejected(code or Code.VERSION_UNSUPPORTED, _doubted(record, code))


def _doubted(record: ShareRecord, code: Code | None) -> ShareRecord | None:
    """The master has answered more than this record knows, so what it lends may be another's by now.

    A copy of this agent did that, or this is an older copy of its store (protocol "Clones and restored
    snapshots"). An operator decides; policy `alert` leaves two copies alone.
    """
    alone = code is Code.CLONE_SUSPECTED and record.policy.clone != "alert"
    return msgspec.structs.replace(record, doubted=code) if alone or code is Code.SEQ_OLD else None


def _code(body: bytes) -> Code | None:
    try:
        return Code(msgspec.json.decode(body, type=Problem).code)
    except (msgspec.MsgspecError, ValueError):
        return None


def _released(record: ShareRecord) -> ShareRecord:
    """The operator released this site: its share is others' now, and its last answer proves nothing."""
    return msgspec.structs.replace(record, in_flight=None, answer=None, shares={}, doubted=None)
