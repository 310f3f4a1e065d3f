"""The search accepts what one master can have answered, and rejects five ways of answering wrong."""

import random
import time
from dataclasses import replace

import pytest

from tests.chaos.linear import Operation, granted, linearizable

CAPACITY = 10


def history(*rows: str) -> list[Operation]:
    """Rows like `0-5 hq 3 -> 2`: between the moments 0 and 5 hq wanted 3 and was granted 2."""
    made = []
    for row in rows:
        span, client, want, _, got = row.split()
        began, ended = map(int, span.split("-"))
        made.append(Operation(client, int(want), int(got), began, ended))
    return made


def test_answers_in_turn_and_at_once_are_accepted() -> None:
    assert linearizable([], CAPACITY, {})
    assert linearizable(
        history("0-1 hq 7 -> 7", "2-3 lyon 7 -> 3", "4-5 hq 2 -> 2", "6-7 lyon 9 -> 8"), 10, {}
    )
    at_once = history("0-9 hq 7 -> 5", "0-9 lyon 5 -> 5", "0-9 nice 4 -> 0")
    assert linearizable(at_once, CAPACITY, {})
    assert linearizable(history("0-9 hq 4 -> 1"), CAPACITY, {"lyon": 9})


@pytest.mark.parametrize(
    ("wrong", "before"),
    [
        (history("0-9 hq 7 -> 7", "0-9 lyon 7 -> 7"), {}),
        (history("0-1 hq 7 -> 7", "2-3 hq 0 -> 0", "4-5 lyon 7 -> 3"), {}),
        (history("0-1 hq 7 -> 7", "2-3 lyon 7 -> 7"), {}),
        (history("0-1 hq 4 -> 4", "2-3 hq 4 -> 4", "4-5 lyon 9 -> 2"), {}),
        (history("0-1 lyon 3 -> 3", "2-3 hq 8 -> 8", "4-5 lyon 3 -> 1"), {}),
    ],
    ids=[
        "granted twice",
        "a release is lost",
        "a grant is lost",
        "a repeat is applied twice",
        "a share is cut",
    ],
)
def test_a_wrong_history_is_rejected(wrong: list[Operation], before: dict[str, int]) -> None:
    assert not linearizable(wrong, CAPACITY, before)


def test_an_answer_cannot_come_before_its_question() -> None:
    overlapping = history("0-9 hq 7 -> 3", "0-5 lyon 7 -> 7")
    assert linearizable(overlapping, CAPACITY, {})
    one_after_the_other = history("0-4 hq 7 -> 3", "5-9 lyon 7 -> 7")
    assert not linearizable(one_after_the_other, CAPACITY, {})


def simulated(seed: int, clients: int, count: int) -> list[Operation]:
    """What a right master answers to clients whose requests overlap."""
    drawn = random.Random(seed)
    held = dict.fromkeys((f"pbx{n}" for n in range(clients)), 0)
    free_from = dict.fromkeys(held, 0)
    made = []
    for at in range(10, 10 * (count + 1), 10):
        ready = [name for name in held if free_from[name] < at]
        if not ready:
            continue
        client = drawn.choice(ready)
        want = drawn.randrange(2 * 100 // clients + 2)
        held[client] = granted(want, held[client], 100 - sum(held.values()))
        ended = at + drawn.randrange(1, 10 * clients)
        began = drawn.randrange(free_from[client], at)
        made.append(Operation(client, want, held[client], began, ended, hint=at))
        free_from[client] = ended + 1
    return made


def test_500_operations_of_64_clients_are_searched_at_once() -> None:
    made = simulated(1, clients=64, count=500)
    began = time.process_time()
    assert linearizable(made, 100, {})
    assert time.process_time() - began < 2


def test_a_unit_too_many_is_found_wherever_it_is_granted() -> None:
    """And a wrong hint does not make it right."""
    found = 0
    for seed in range(20):
        made = [replace(each, hint=0) for each in simulated(seed, clients=4, count=30)]
        assert linearizable(made, 100, {})
        partly = [n for n, each in enumerate(made) if each.granted < each.want]
        for at in partly:
            generous = replace(made[at], granted=made[at].granted + 1)
            found += not linearizable([*made[:at], generous], 100, {})
        assert linearizable(made, 100, {})
    assert found > 20
