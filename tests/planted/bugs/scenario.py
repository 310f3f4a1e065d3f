"""Bugs of what is asked before it happens, and what only a second implementation of the rules sees."""

from tests.planted.bug import Bug

BUGS = (
    Bug(
        name="newest-release-decides",
        lesson="the rules' text and the code drift apart",
        file="licensing/rules.py",
        before='for release in releases[:1] if mixed == "strict" else releases:',
        after='for release in releases[-1:] if mixed == "strict" else releases:',
        harness="a slow second implementation on random scenarios",
        test="tests/licensing/test_slow_rules.py",
    ),
    Bug(
        name="simulate-counts-what-is-kept-ready",
        lesson="an answer about another installation",
        file="licensing/scenario/house.py",
        before="held = max(demand.used + demand.surplus, reserved)",
        after="held = max(demand.want, reserved)",
        harness="a slow second implementation on random scenarios",
        test="tests/licensing/test_slow_rules.py",
    ),
    Bug(
        name="what-if-forgets-what-is-in-the-way",
        lesson="an answer about another installation",
        file="licensing/scenario/what_if.py",
        before="_without(after, rows).pool(key).usable(software)",
        after="after.pool(key).usable(software)",
        harness="cases of what-if",
        test="tests/licensing/test_scenario.py::test_l_v13_an_upgrade_is_told_before_it_is_made",
    ),
)
