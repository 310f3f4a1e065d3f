"""The sync protocol is safe in every interleaving, and unsafe without any one of its rules."""

import pytest

from tests.simulation.modelled_shares import AbstractShare, RealShare
from tests.simulation.protocol_model import ALL_RULES, Model, Rule, explore

SHARES = [AbstractShare, RealShare]


@pytest.mark.parametrize("share", SHARES)
def test_every_interleaving_is_safe(share: type[AbstractShare] | type[RealShare]) -> None:
    found = explore(Model(share()))
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
