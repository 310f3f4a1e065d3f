"""The sync protocol is safe in every interleaving, and unsafe without any one of its rules."""

import os

import pytest

from tests.simulation.explorer import explore
from tests.simulation.modelled_shares import AbstractShare, RealShare
from tests.simulation.protocol_model import ALL_RULES, Model, Rule

CHAOS = bool(os.environ.get("CHAOS"))
SHARES = [AbstractShare, RealShare]
MODELS = {"AbstractShare": Model(AbstractShare()), "RealShare": Model(RealShare())}
if CHAOS:
    MODELS["3 messages each"] = Model(AbstractShare(), seqs=3, capacity=1)
    MODELS["3 agents"] = Model(AbstractShare(), agents=3, capacity=1)


@pytest.mark.timeout(1_800 if CHAOS else 900)
@pytest.mark.parametrize("model", MODELS.values(), ids=list(MODELS))
def test_every_interleaving_is_safe(model: Model) -> None:
    found = explore(model, limit=4_000_000)
    print(found)
    assert found.broken is None, str(found)
    assert found.states > 10_000


@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize("removed", list(Rule))
def test_each_rule_is_needed(share: type[AbstractShare] | type[RealShare], removed: Rule) -> None:
    rules = ALL_RULES - {removed}
    found = explore(Model(share(rules), rules))
    print(found)
    assert found.broken is not None
    assert found.trail
