"""Bugs of what ends and what is paid."""

from tests.planted.bug import Bug

BUGS = (
    Bug(
        name="unpaid-units-still-count",
        lesson="rent that ran out is lent on",
        file="licensing/state.py",
        before="if each.rental is None or self.book.isc > 0]",
        after="if each.rental is None or self.book.isc >= 0]",
        harness="cases of the terms",
        test="tests/licensing/test_term_cases.py::test_l_t7_when_the_balance_reaches_0_rented_units_stop_and_nobody_is_cut",
    ),
    Bug(
        name="moved-units-begin-anew",
        lesson="an SSA that moves with the box",
        file="licensing/terms/lot.py",
        before="for lot in _handed_on(loose.get(family(type_), []), missing):",
        after="for lot in _handed_on(loose.get(type_, []), missing):",
        harness="units one by one",
        test="tests/licensing/test_terms.py::test_lots_are_what_units_one_by_one_would_be",
    ),
    Bug(
        name="reminded-of-every-moment-missed",
        lesson="a restart that repeats what was said",
        file="licensing/terms/ending.py",
        before="return min((moment for moment in moments if days_left <= moment), default=None)",
        after="return max((moment for moment in moments if days_left <= moment), default=None)",
        harness="a calendar in random steps",
        test="tests/licensing/test_terms.py::test_however_often_a_master_looks_each_moment_is_said_once_and_in_order",
    ),
)
