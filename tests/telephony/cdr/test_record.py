"""Key and content hash (B.r30), who pays (payer), what is missing (gaps)."""

import random
from dataclasses import replace
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telephony.cdr.gaps import MAX_GAPS, Counted, Gap
from telephony.cdr.payer import Free, dues
from telephony.cdr.record import HASHED, Cdr, Direction, Kind

CALL = Cdr(
    source="acme/lyon/cdr",
    call_ref="c1",
    leg="1",
    pbx="lyon",
    direction=Direction.OUT,
    kind=Kind.VOICE,
    caller="201",
    called="0612345678",
    dialled="90612345678",
    account="201",
    setup_ms=1_800_000_000_000,
    answer_ms=1_800_000_005_000,
    end_ms=1_800_000_065_000,
    talk_s=60,
    cause=16,
    forwarded_by="",
    transferred_by="",
    raw=b"c1",
)


def test_the_hash_is_that_of_the_first_release() -> None:
    """Records that were stored must be known again: the value may never change."""
    assert CALL.content_hash == "eb2b56aab8bb096d28502eb86145ec14bdfa7326472377384a2e111591c881fe"


def test_the_same_record_twice_is_a_duplicate() -> None:
    """B.I1: same key and same hash, whatever the bytes."""
    other = replace(CALL, raw=b"over another transport", cause=None, pbx="renamed")
    assert (other.key, other.content_hash) == (CALL.key, CALL.content_hash)


def test_the_same_key_with_another_duration_is_a_conflict() -> None:
    """B.I2: same key, other hash."""
    other = replace(CALL, talk_s=61)
    assert other.key == CALL.key
    assert other.content_hash != CALL.content_hash


@pytest.mark.parametrize("name", HASHED)
def test_each_field_that_decides_price_or_identity_is_hashed(name: str) -> None:
    value = getattr(CALL, name)
    other = {Direction.OUT: Direction.IN, Kind.VOICE: Kind.FAX}.get(
        value, value + ("x" if isinstance(value, str) else 1)
    )
    assert replace(CALL, **{name: other}).content_hash != CALL.content_hash


def test_fields_cannot_run_into_each_other() -> None:
    assert replace(CALL, caller="20", called="10612345678").content_hash != CALL.content_hash


@pytest.mark.parametrize(
    ("change", "free"),
    [
        ({}, None),
        ({"direction": Direction.IN}, Free.RECEIVED),
        ({"direction": Direction.RELATED}, Free.RELATED),
        ({"answer_ms": None, "talk_s": 0, "cause": 17}, Free.UNANSWERED),
        ({"talk_s": 0}, Free.UNANSWERED),
    ],
)
def test_who_pays(change: dict[str, object], free: Free | None) -> None:
    (due,) = dues([replace(CALL, **change)])  # type: ignore[arg-type]
    assert (due.free, due.account, due.seconds) == (free, "" if free else "201", 0 if free else 60)


def later(
    leg: str,
    after_s: int,
    talk_s: int,
    *,
    called: str = CALL.called,
    account: str = CALL.account,
    call_ref: str = CALL.call_ref,
) -> Cdr:
    assert CALL.answer_ms is not None
    answer_ms = CALL.answer_ms + after_s * 1_000
    return replace(
        CALL, leg=leg, answer_ms=answer_ms, talk_s=talk_s, called=called, account=account, call_ref=call_ref
    )


def test_time_on_one_line_counts_once() -> None:
    legs = [CALL, later("2", 10, 20), later("3", 50, 30), later("4", 200, 5)]
    for order in permutations(legs):
        paid = {due.record.leg: (due.seconds, due.free) for due in dues(order)}
        assert paid == {"1": (60, None), "2": (0, Free.COUNTED), "3": (20, None), "4": (5, None)}


def test_two_numbers_or_two_accounts_are_two_lines() -> None:
    legs = [
        CALL,
        later("2", 10, 20, called="0698765432"),
        later("3", 10, 20, account="202"),
        later("4", 10, 20, call_ref="c2"),
    ]
    assert [due.seconds for due in dues(legs)] == [60, 20, 20, 20]


@given(
    st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), max_size=6), st.randoms(use_true_random=False)
)
def test_what_is_paid_is_the_time_that_any_record_covers(
    spans: list[tuple[int, int]], chance: random.Random
) -> None:
    """Whole seconds make it exact; the order in which records come makes no difference."""
    legs = [later(str(number), begin, talk) for number, (begin, talk) in enumerate(spans)]
    chance.shuffle(legs)
    covered = {second for begin, talk in spans for second in range(begin, begin + talk)}
    assert sum(due.seconds for due in dues(legs)) == len(covered)


def counted(*numbers: int) -> Counted:
    found = Counted()
    for number in numbers:
        found.take(number)
    return found


def test_missing_numbers() -> None:
    assert counted(41, 42, 45, 46, 50).gaps == [Gap(43, 44), Gap(47, 49)]
    assert counted(41, 42, 45, 44, 43, 43).gaps == []
    assert counted(41, 45, 43).gaps == [Gap(42, 42), Gap(44, 44)]


def test_zero_is_a_restart_and_what_was_missing_stays_missing() -> None:
    found = counted(7, 9, 0, 1, 3)
    assert (found.gaps, found.restarts, found.highest) == ([Gap(8, 8), Gap(2, 2)], 1, 3)


def test_gaps_have_a_limit_and_none_is_forgotten_uncounted() -> None:
    found = counted(*range(0, 2 * (MAX_GAPS + 3), 2))
    assert (len(found.gaps), found.forgotten) == (MAX_GAPS, 2)


@given(st.permutations(range(12)), st.sets(st.integers(0, 11)))
def test_what_did_not_come_is_missing_whatever_the_order(order: list[int], lost: set[int]) -> None:
    come = [number + 1 for number in order if number not in lost]
    found = counted(*come)
    first = come[0] if come else 0
    missing = {n for gap in found.gaps for n in range(gap.first, gap.last + 1)}
    assert missing == {n for n in range(first, max(come, default=0)) if n not in come and n > first} - set()
