"""The agent's side of the protocol: what each message may change, by example."""

import base64
from typing import Literal

import msgspec
import pytest

from licensing.codes import TABLE, Code, Entry
from licensing.site import record as records
from licensing.site import share
from licensing.site.share import Applied, HelloNeeded, Ignored, Rejected, Retry, Revoked, ShareRecord
from licensing.wire import (
    MAX_BODY,
    VERSION,
    Activity,
    Answer,
    Bye,
    ClassDemand,
    Enrolled,
    Hello,
    Policy,
    Problem,
    Roster,
    ShareGrant,
    Software,
    Sync,
)

POLICY = Policy(etag="p1", kinds={"user": "seat"})
DAY_MS = 86_400_000


def joined() -> ShareRecord:
    enrolment = Enrolled(
        v=VERSION,
        agent="lyon",
        installation="acme",
        epoch=1,
        instance="store-1",
        term=3,
        master_key="key",
        nonce="n0",
        policy=POLICY,
        roster=Roster(1, {}),
    )
    return share.enrolled(enrolment, 0, 0)


def wanting(want: int, **more: object) -> share.Statement:
    statement = share.Statement(
        boot="b1", software=Software(13), classes={"seat": ClassDemand(used=0, want=want)}
    )
    return msgspec.structs.replace(statement, **more)


def prepared(record: ShareRecord, want: int, *, hello: bool = False) -> share.Prepared:
    return share.prepare(record, wanting(want), 0, 0, hello=hello)


def answer(record: ShareRecord, granted: int, **changes: object) -> Answer:
    usual = Answer(
        v=VERSION,
        instance=record.instance,
        term=record.term,
        epoch=record.epoch,
        ack_seq=record.seq,
        ack_activity=0,
        nonce=f"n{record.seq}",
        now_ms=0,
        next_ms=30_000,
        shares={"seat": ShareGrant(granted, max_software=13)},
    )
    return msgspec.structs.replace(usual, **changes)


def reply(message: Answer) -> share.Reply:
    return share.Reply(200, msgspec.json.encode(message), "request signature", "signature")


def problem(code: Code) -> share.Reply:
    entry: Entry = TABLE[code]
    body = msgspec.json.encode(Problem("about:blank", entry.sentence, entry.status, code))
    return share.Reply(entry.status, body, "request signature", "signature")


def synced(want: int = 10, granted: int = 10) -> ShareRecord:
    sent = prepared(joined(), want)
    outcome = share.answered(sent.record, sent.request, reply(answer(sent.record, granted)), 0, 0)
    assert isinstance(outcome, Applied)
    return outcome.record


def usable(record: ShareRecord, software: int = 13) -> int:
    return share.usable(record, "seat", software)


def test_nothing_is_usable_before_the_first_answer() -> None:
    record = joined()
    assert (usable(record), record.synced) == (0, False)
    assert usable(prepared(record, 10).record) == 0


def test_an_answer_lends() -> None:
    record = synced(granted=7)
    assert (usable(record), record.synced, record.prev, record.in_flight) == (7, True, "n1", None)


def test_a_want_caps_before_anything_leaves_and_a_higher_one_lifts_nothing() -> None:
    lower = prepared(synced(), 4).record
    assert usable(lower) == 4
    assert usable(prepared(lower, 9).record) == 4


def test_a_class_that_is_no_longer_named_is_given_back() -> None:
    sent = share.prepare(synced(), wanting(0, classes={}), 0, 0)
    assert usable(sent.record) == 0


def test_newer_software_uses_nothing_until_the_master_has_answered() -> None:
    record = synced()
    assert usable(record, software=14) == 0
    limit = share.limits(record, 14)["seat"]
    assert (limit.lent, limit.usable, limit.blocked) == (10, 0, Code.LICENCE_VERSION_TOO_LOW)


def test_the_record_survives_its_store_and_the_request_keeps_its_bytes() -> None:
    sent = prepared(synced(), 4)
    again = share.decode(share.encode(sent.record), 0)
    assert again == sent.record
    assert again.in_flight == sent.request


def test_each_content_has_the_next_seq_and_names_the_last_nonce() -> None:
    first = prepared(joined(), 1)
    second = prepared(first.record, 2)
    bodies = [msgspec.json.decode(sent.request.body, type=Sync) for sent in (first, second)]
    assert [(body.seq, body.prev) for body in bodies] == [(1, "n0"), (2, "n0")]
    assert msgspec.json.decode(prepared(synced(), 1).request.body, type=Sync).prev == "n1"


def test_the_answer_to_an_older_content_changes_nothing() -> None:
    first = prepared(joined(), 10)
    second = prepared(first.record, 0)
    late = reply(answer(first.record, 10))
    assert share.answered(second.record, first.request, late, 0, 0) == Ignored(Code.SEQ_OLD)
    assert share.answered(second.record, second.request, late, 0, 0) == Ignored(Code.SEQ_OLD)


def test_an_answer_counts_once() -> None:
    sent = prepared(joined(), 10)
    message = reply(answer(sent.record, 10))
    applied = share.answered(sent.record, sent.request, message, 0, 0)
    assert isinstance(applied, Applied)
    assert share.answered(applied.record, sent.request, message, 0, 0) == Ignored(Code.SEQ_OLD)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"term": 2}, Code.TERM_OLD),
        ({"instance": "store-2"}, Code.INSTANCE_CONFLICT),
        ({"epoch": 0}, Code.EPOCH_OLD),
        ({"ack_seq": 1}, Code.SEQ_OLD),
        ({"v": 2}, Code.VERSION_UNSUPPORTED),
    ],
)
def test_an_answer_of_another_master_or_time_is_ignored(changes: dict[str, object], code: Code) -> None:
    sent = prepared(synced(), 10)
    message = reply(answer(sent.record, 99, **changes))
    assert share.answered(sent.record, sent.request, message, 0, 0) == Ignored(code)


def test_a_new_incarnation_is_obeyed() -> None:
    sent = prepared(synced(), 10)
    message = reply(answer(sent.record, 8, term=4, instance="store-2"))
    outcome = share.answered(sent.record, sent.request, message, 0, 0)
    assert isinstance(outcome, Applied)
    assert (outcome.record.term, outcome.record.instance, usable(outcome.record)) == (4, "store-2", 8)


def test_a_damaged_answer_is_no_answer() -> None:
    sent = prepared(synced(), 10)
    damaged = share.Reply(200, b'{"v": 1', "request signature", "signature")
    assert share.answered(sent.record, sent.request, damaged, 0, 0) == Ignored(Code.VERSION_UNSUPPORTED)


def test_a_released_site_says_hello_with_nothing_and_proves_nothing() -> None:
    sent = prepared(synced(), 10)
    outcome = share.answered(sent.record, sent.request, problem(Code.EPOCH_OLD), 0, 0)
    assert isinstance(outcome, HelloNeeded)
    assert (usable(outcome.record), outcome.record.synced) == (0, False)
    hello = prepared(outcome.record, 5, hello=True)
    assert msgspec.json.decode(hello.request.body, type=Hello).proofs == ()
    back = reply(answer(hello.record, 0, epoch=2))
    readmitted = share.answered(hello.record, hello.request, back, 0, 0)
    assert isinstance(readmitted, Applied)
    assert (readmitted.record.epoch, usable(readmitted.record)) == (2, 0)


def test_a_store_that_does_not_know_us_gets_a_hello_with_the_stored_answers() -> None:
    roster = Roster(4, {"lyon": "key"})
    sent = prepared(joined(), 10)
    with_roster = reply(answer(sent.record, 10, roster=roster))
    first = share.answered(sent.record, sent.request, with_roster, 0, 0)
    assert isinstance(first, Applied)
    sent = prepared(first.record, 6)
    without = reply(answer(sent.record, 6))
    second = share.answered(sent.record, sent.request, without, 0, 0)
    assert isinstance(second, Applied)
    assert second.record.roster_version == 4
    sent = prepared(second.record, 6)
    outcome = share.answered(sent.record, sent.request, problem(Code.HELLO_NEEDED), 0, 0)
    assert outcome == HelloNeeded(sent.record, Code.HELLO_NEEDED)
    hello = prepared(sent.record, 6, hello=True)
    assert hello.request.path == share.HELLO
    proofs = msgspec.json.decode(hello.request.body, type=Hello).proofs
    assert [base64.b64decode(proof.body) for proof in proofs] == [without.body, with_roster.body]
    assert usable(hello.record) == 6


@pytest.mark.parametrize(
    ("code", "outcome"),
    [
        (Code.AGENT_REVOKED, Revoked(Code.AGENT_REVOKED)),
        (Code.CLONE_SUSPECTED, Revoked(Code.CLONE_SUSPECTED)),
        (Code.RATE_LIMITED, Retry(Code.RATE_LIMITED)),
        (Code.STORE_FAILED, Retry(Code.STORE_FAILED)),
        (Code.TOO_LARGE, Rejected(Code.TOO_LARGE)),
    ],
)
def test_an_error_changes_no_share(code: Code, outcome: share.Outcome) -> None:
    sent = prepared(synced(), 10)
    assert share.answered(sent.record, sent.request, problem(code), 0, 0) == outcome


@pytest.mark.parametrize(
    ("code", "clone", "doubted"),
    [
        (Code.SEQ_OLD, "alert", True),
        (Code.CLONE_SUSPECTED, "alert", False),
        (Code.CLONE_SUSPECTED, "freeze", True),
        (Code.CLONE_SUSPECTED, "quarantine", True),
        (Code.AGENT_REVOKED, "quarantine", False),
    ],
)
def test_who_may_be_a_copy_serves_nobody_new_until_an_answer_comes(
    code: Code, clone: Literal["alert", "freeze", "quarantine"], doubted: bool
) -> None:
    """A store put back may hold a share that others have by now (protocol "Clones …")."""
    before = synced()
    policy = msgspec.structs.replace(before.policy, clone=clone)
    sent = prepared(msgspec.structs.replace(before, policy=policy), 10)
    outcome = share.answered(sent.record, sent.request, problem(code), 0, 0)
    assert isinstance(outcome, Revoked | Rejected)
    assert (outcome.record is not None) is doubted
    record = outcome.record or sent.record
    assert records.closed(record, 0, 0) is doubted
    assert usable(record) == usable(sent.record), "who holds a seat keeps it"
    assert {limit.blocked for limit in share.limits(record, 13).values()} == {code if doubted else None}
    assert records.decode(share.encode(record), 0).doubted == record.doubted
    late = share.answered(record, sent.request, reply(answer(record, 6)), 0, 0)
    assert isinstance(late, Applied)
    assert not records.closed(late.record, 0, 0)


def test_an_unknown_agent_says_hello_once() -> None:
    sent = prepared(synced(), 10)
    unknown = problem(Code.UNKNOWN_AGENT)
    assert share.answered(sent.record, sent.request, unknown, 0, 0) == HelloNeeded(
        sent.record, Code.UNKNOWN_AGENT
    )
    hello = prepared(sent.record, 10, hello=True)
    assert share.answered(hello.record, hello.request, unknown, 0, 0) == Rejected(Code.UNKNOWN_AGENT)


def test_an_error_page_of_a_proxy_is_tried_again() -> None:
    sent = prepared(synced(), 10)
    page = share.Reply(502, b"<html>", "request signature", "signature")
    assert isinstance(share.answered(sent.record, sent.request, page, 0, 0), Retry)


def test_bye_gives_everything_back_before_it_leaves() -> None:
    sent = share.bye(synced(), 0, 0)
    assert usable(sent.record) == 0
    assert msgspec.json.decode(sent.request.body, type=Bye).seq == 2
    outcome = share.answered(sent.record, sent.request, reply(answer(sent.record, 0, shares={})), 0, 0)
    assert isinstance(outcome, Applied)
    assert outcome.record.shares == {}


def test_a_policy_stays_until_there_is_another() -> None:
    other = msgspec.structs.replace(POLICY, etag="p2", enforcement="report")
    sent = prepared(joined(), 1)
    changed = share.answered(sent.record, sent.request, reply(answer(sent.record, 1, policy=other)), 0, 0)
    assert isinstance(changed, Applied)
    sent = prepared(changed.record, 1)
    assert msgspec.json.decode(sent.request.body, type=Sync).policy_etag == "p2"
    kept = share.answered(sent.record, sent.request, reply(answer(sent.record, 1)), 0, 0)
    assert isinstance(kept, Applied)
    assert kept.record.policy == other


def test_activity_that_does_not_fit_stays_for_the_next_message() -> None:
    events = tuple(
        Activity(n=n, at_ms=0, object="x" * 400, kind="user", class_="seat", event="held")
        for n in range(2_000)
    )
    sent = share.prepare(joined(), wanting(1, activity=events), 0, 0)
    told = msgspec.json.decode(sent.request.body, type=Sync).activity
    assert len(sent.request.body) <= MAX_BODY
    assert 250 <= len(told) <= 1_000
    assert told == events[: len(told)]


def test_grace_counts_monotonic_time_across_a_restart() -> None:
    record = synced()
    assert share.grace_left_ms(record, 0, 0) == 30 * DAY_MS
    assert share.grace_left_ms(record, DAY_MS, 0) == 29 * DAY_MS
    stored = share.encode(share.counted(record, DAY_MS, 0))
    after = share.decode(stored, now_ms=7)
    assert share.grace_left_ms(after, 7, 0) == 29 * DAY_MS
    assert share.grace_left_ms(after, DAY_MS + 7, 0) == 28 * DAY_MS


def test_wall_time_shortens_the_grace_period_and_never_lengthens_it() -> None:
    record = share.counted(synced(), 0, 2 * DAY_MS)
    assert share.grace_left_ms(record, 0, -DAY_MS) == 28 * DAY_MS
    assert share.grace_left_ms(record, 5 * DAY_MS, 0) == 25 * DAY_MS


def test_a_box_that_starts_in_1970_is_not_away_for_half_a_century() -> None:
    sent = prepared(joined(), 1)
    now_ms = 20_000 * DAY_MS
    outcome = share.answered(sent.record, sent.request, reply(answer(sent.record, 1, now_ms=now_ms)), 0, 0)
    assert isinstance(outcome, Applied)
    assert share.grace_left_ms(outcome.record, 0, now_ms) == 30 * DAY_MS
