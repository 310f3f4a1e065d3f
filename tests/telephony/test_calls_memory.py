"""Calls that are over leave nothing behind in the guard: blocks of memory are counted, not megabytes."""

import gc
import sys
from collections.abc import Iterator

import pytest

from telephony.dialog import REPEATS_MS
from tests.telephony.trunk import Trunk

CALLS = 500
EVERY_MS = 500
WARM = 4 * REPEATS_MS // EVERY_MS  # until as many are forgotten as begin, for a while


def call(trunk: Trunk, number: int) -> None:
    """One call with all that is its own: answered, and hung up by the gateway; another is one too many."""
    ring, tag = f"call-{number}", f"t{number}"
    one = trunk.invite(ring)
    trunk.answer(one, 180, tag=tag)
    trunk.answer(one, 200, tag=tag)
    assert trunk.invite(f"late-{number}").refusal
    record_route = f"Route: <sip:192.0.2.20;lr;ftag=f{ring}>"  # as Kamailio writes it
    trunk.answer_within(trunk.within(one, "BYE", record_route, tag=tag, caller=False), 200)
    trunk.after(EVERY_MS)
    trunk.counted.clear()


@pytest.fixture
def no_collector() -> Iterator[None]:
    """Cycles are left behind, too: the agent hardly looks for them (`runtime.daemon`)."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_collector")
def test_calls_that_are_over_leave_nothing_behind() -> None:
    trunk = Trunk(channels=1)
    for number in range(WARM):
        call(trunk, number)
    before = sys.getallocatedblocks()
    for number in range(WARM, WARM + CALLS):
        call(trunk, number)
    grown = sys.getallocatedblocks() - before
    assert trunk.busy == 0
    assert grown < CALLS / 10, f"{grown} blocks of memory after {CALLS} calls"
