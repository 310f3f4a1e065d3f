"""Each pair of features is safe in every interleaving, and broken, readably, without any one of its rules."""

import os
import re
from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.simulation.explorer import explore
from tests.simulation.models.pairs import PAIRS
from tests.simulation.models.rules import ALL_RULES, Rule
from tests.simulation.models.scenario import Scenario
from tests.simulation.models.system import Model
from tests.simulation.models.table import documented, spoken

CHAOS = bool(os.environ.get("CHAOS"))
WITHOUT = [(pair, rule) for pair in PAIRS for rule in pair.rules]
# Who acts, what happens, and nothing that was not filled in.
READABLE = re.compile(
    r"(lyon|nice|the copy of lyon|master|today's master|yesterday's master|operator): [^{}]+"
    r"|yesterday's backup is served beside today's master"
)

# The last step of a trail is the one that does the damage.
APPLIES = r"(lyon|nice|the copy of lyon): gets the answer to \d+: granted \d.*"
DECIDES = r"master: (lyon|nice) (sync|hello) \d+ want \d+: granted \d.*"
SUSPECTS = r"master: lyon (sync|hello) \d+ want \d+: clone_suspected"
LAST = {
    Rule.WANT_CAPS: APPLIES,
    Rule.LATEST_ONLY: APPLIES,
    Rule.AGENT_DURABLE: SUSPECTS,
    Rule.NO_FALL: r"master: lyon hello \d+ want 0: granted 0",
    Rule.GATE_COUNTS: r"lyon: a phone registers",
    Rule.RECALL_SPARES_USED: DECIDES,
    Rule.STANDBY_APART: r"nice: a phone registers",
    Rule.ANSWER_AFTER_COMMIT: APPLIES + r"|master: crashes, starts again",
    Rule.SEQ_ORDER: SUSPECTS,
    Rule.RETURNED_FIRST: r"nice: gets the answer to \d+: granted 1",
    Rule.SURPLUS_FALLS: DECIDES,
    Rule.NEWEST_MARKED: r"master: lyon sync \d+ want 1: granted 1, recalled to 0",
    Rule.WHOLE_BUNDLE: DECIDES,
    Rule.STANDBY_WHOLE: DECIDES,
    Rule.RECOVERY_WAITS: APPLIES,
    Rule.ACCOUNTED_BY_SYNC: f"{APPLIES}|{DECIDES}",
    Rule.HELD: APPLIES,
    Rule.RESTORED_WAITS: APPLIES,
    Rule.EPOCH: DECIDES,
    Rule.SAME_SEQ: APPLIES,
    Rule.OLD_NONCE: APPLIES,
}

Record = Callable[[str, object], None]


def named(pair: Scenario) -> str:
    return pair.name.replace(" × ", "-and-").replace(" ", "-")


@pytest.mark.timeout(1_800 if CHAOS else 900)
@pytest.mark.parametrize("pair", PAIRS, ids=named)
def test_every_interleaving_of_a_pair_is_safe(pair: Scenario, record_property: Record) -> None:
    found = explore(Model(replace(pair, sends=pair.larger) if CHAOS else pair))
    assert found.broken is None, str(found)
    assert found.states > 4_000
    if CHAOS:
        record_property("measured", f"model of {pair.name}: {found}")


@pytest.mark.parametrize(
    ("pair", "rule"), WITHOUT, ids=[f"{named(pair)}-without-{rule.name}" for pair, rule in WITHOUT]
)
def test_each_rule_is_needed(pair: Scenario, rule: Rule) -> None:
    found = explore(Model(pair, ALL_RULES - {rule}))
    print(f"{pair.name}; left out: {rule.value}\n{found}")
    assert found.broken is not None
    assert all(READABLE.fullmatch(step) for step in found.trail), found.trail
    assert re.fullmatch(LAST[rule], found.trail[-1]), str(found)
    assert len(found.trail) == documented().get((pair.name, spoken(rule))), (
        "docs/reliability.md has another number: python -m tests.simulation.models.table"
    )


@pytest.mark.parametrize("pair", [pair for pair in PAIRS if pair.covered], ids=named)
def test_what_another_rule_covers_is_not_missed(pair: Scenario) -> None:
    """So that the page does not claim for these rules what it cannot show."""
    found = explore(Model(pair, ALL_RULES - set(pair.covered)))
    assert found.broken is None, str(found)
    assert all(documented()[pair.name, spoken(rule)] == 0 for rule in pair.covered)


def test_every_rule_is_left_out_somewhere_and_every_row_is_known() -> None:
    assert {rule for pair in PAIRS for rule in (*pair.rules, *pair.covered)} == ALL_RULES
    known = {(pair.name, spoken(rule)) for pair in PAIRS for rule in (*pair.rules, *pair.covered)}
    assert documented().keys() == known
    assert len({pair.name for pair in PAIRS}) == len(PAIRS)
