"""The tables and their timers (RFC 3261 17.1.2, 17.2.2), without SIP around them."""

import pytest

from telephony.address import Flow
from telephony.sip.transaction import CLIENT, SERVER, Event, State, Transaction, Transactions
from tests.telephony.scene import ANNA, BERT

CARL, DORA = Flow(0, "198.51.100.9", 5060), Flow(0, "198.51.100.10", 5060)


def opened(table: Transactions[str], key: str, now_ms: int = 0, flow: Flow = ANNA) -> Transaction[str]:
    transaction = table.open(key, flow, key, now_ms)
    assert transaction is not None
    return transaction


def test_every_state_but_the_last_can_end() -> None:
    for table, end in ((SERVER, Event.FINAL), (CLIENT, Event.FINAL)):
        for state in (State.TRYING, State.PROCEEDING):
            assert table[state, end] == State.COMPLETED
        assert not any(state == State.TERMINATED for state, _ in table)


def test_timers_over_tcp() -> None:
    table: Transactions[str] = Transactions(9, reliable_client=True)
    transaction = table.open("a", ANNA, "a", 0, reliable=True)
    assert transaction is not None
    table.send(transaction, b"branch", b"data", 0)
    assert table.next_timer() == 32_000, "no Timer E"
    table.final(transaction, b"answer", 10)
    assert table.next_timer() == 10, "Timers J and K are 0"
    assert table.due(10) == []
    assert (len(table), table.next_timer(), table.find_branch(b"branch")) == (0, None, None)


def test_proceeding_repeats_every_t2() -> None:
    table: Transactions[str] = Transactions(9)
    transaction = opened(table, "a")
    table.send(transaction, b"branch", b"data", 0)
    table.provisional(transaction, b"183")
    assert table.due(500) == [(Event.TIMER_E, transaction)]
    assert table.next_timer() == 4_500


def test_a_request_that_waited_gets_its_whole_time() -> None:
    table: Transactions[str] = Transactions(9)
    transaction = opened(table, "a")
    table.send(transaction, b"branch", b"data", 2_000)
    fired = []
    while (due := table.next_timer()) is not None and not transaction.timed_out:
        fired += [(due, event) for event, _ in table.due(due)]
    assert fired[-1] == (34_000, Event.TIMER_F)


def test_one_that_waits_long_keeps_few_finished_ones_behind_it() -> None:
    table: Transactions[str] = Transactions(50)
    table.send(opened(table, "waits"), b"waits", b"", 0)
    for number in range(5_000):
        transaction = opened(table, str(number), number)
        table.final(transaction, b"answer", number)
    assert len(table._give_ups) <= 200
    fired = table.due(32_000)
    assert (Event.TIMER_F, "waits") in [(event, transaction.matter) for event, transaction in fired]


def test_the_oldest_completed_makes_room() -> None:
    table: Transactions[str] = Transactions(3)
    for key, flow in zip("abc", (ANNA, BERT, CARL), strict=True):
        table.send(opened(table, key, flow=flow), key.encode(), b"", 0)
    assert table.open("d", DORA, "d", 0) is None
    for key in "ba":
        transaction = table.find(key)
        assert transaction is not None
        table.final(transaction, b"answer", 1)
    opened(table, "d", 2)
    assert [key for key in "abcd" if table.find(key)] == ["a", "c", "d"]
    opened(table, "e", 2, BERT)
    assert table.open("f", DORA, "f", 2) is None
    assert len(table) == 3


def test_one_source_holds_half_of_the_unfinished() -> None:
    table: Transactions[str] = Transactions(8)
    for key in "abcd":
        opened(table, key, flow=Flow(0, "2001:db8::" + key, 5060))
    assert table.open("e", Flow(1, "2001:db8::e", 5061), "e", 0) is None, "the same /64"
    assert not table.crowded
    for key in "fghi":
        opened(table, key, flow=BERT)
    assert table.crowded
    assert table.open("j", CARL, "j", 0) is None, "nothing is left"
    finished = table.find("a")
    assert finished is not None
    table.final(finished, b"answer", 1)
    table.final(finished, b"answer", 1)  # counts once
    opened(table, "e", flow=Flow(1, "2001:db8::e", 5061))
    assert table.open("k", Flow(1, "2001:db8::e", 5061), "k", 0) is None
    assert len(table) == 8


def test_queues_keep_nothing_for_ever() -> None:
    table: Transactions[str] = Transactions(50)
    for number in range(5_000):
        transaction = opened(table, str(number), number)
        table.send(transaction, str(number).encode(), b"", number)
        table.final(transaction, b"answer", number)
        table.next_timer()
    assert len(table) == 50
    assert len(table._give_ups) + sum(map(len, table._resends.values())) < 1_000
    table.due(100_000)
    assert (len(table), table.next_timer()) == (0, None)


def test_an_impossible_event_is_a_surprise() -> None:
    table: Transactions[str] = Transactions(9)
    transaction = opened(table, "a")
    table.final(transaction, b"answer", 0)
    with pytest.raises(KeyError):
        table.send(transaction, b"branch", b"data", 0)


def test_those_without_a_final_answer_are_counted() -> None:
    """Until they are answered or given up; what is kept for repeats, evicted or forgotten counts no more."""
    table: Transactions[str] = Transactions(6)
    waits, sent, answered = (opened(table, key) for key in ("waits", "sent", "answered"))
    table.send(sent, b"1", b"", 0)
    table.send(answered, b"2", b"", 0)
    assert table.pending == 3
    table.provisional(answered, b"183")
    assert table.pending == 3
    table.final(answered, b"200", 1)
    assert (len(table), table.pending) == (3, 2)
    for number in range(4):  # the last one evicts
        table.final(opened(table, f"further {number}", 2), b"200", 2)
    assert (len(table), table.pending) == (6, 2)
    for _, given_up in [fired for fired in table.due(32_000) if fired[0] == Event.TIMER_F]:
        table.final(given_up, b"", 32_000)
    assert (waits.timed_out, sent.timed_out, table.pending) == (True, True, 0)
    table.due(100_000)
    assert (len(table), table.pending) == (0, 0)
