"""Each harness still finds the bugs that it is there for."""

from collections.abc import Callable

import pytest

from tests.planted.bug import Bug
from tests.planted.bugs import BUGS
from tests.planted.tree import PlantError, hunt, planted


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_the_bug_is_caught(bug: Bug, record_property: Callable[[str, object], None]) -> None:
    found = hunt(bug)
    assert found.caught, f"{bug.test} does not notice:\n{found.output[-3_000:]}"
    record_property("measured", f"planted {bug.name}: caught by {bug.harness} in {found.seconds:.1f} s")


def test_names_are_unique() -> None:
    assert len({bug.name for bug in BUGS}) == len(BUGS)


def test_a_bug_whose_text_is_gone_is_an_error() -> None:
    gone = Bug("gone", "-", "licensing/site/share.py", "no such text", "", "-", "-")
    with pytest.raises(PlantError, match="occurs 0 times"), planted(gone):
        pass


def test_a_bug_that_nobody_notices_is_not_caught() -> None:
    harmless = Bug(
        "harmless",
        "-",
        "licensing/site/share.py",
        '"""The first record of an epoch: nothing lent yet."""',
        '"""The first record."""',
        "-",
        "tests/runtime/test_clock.py",
    )
    assert not hunt(harmless).caught
