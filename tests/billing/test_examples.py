"""Every case of sections A to E, I and J of the examples is a test under its id; no test names another."""

import re
from pathlib import Path

IDS = {
    "A": (1, 3, 4, 6, 8, 9, 10, 13, 14),
    "B": (1, 2, 3, 4, 5, 6, 7, 9, 10, 12, 14, 15, 16, 17),
    "C": (1, 2, 4, 6, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17),
    "D": (1, 2, 3, 4, 6, 7, 8, 10, 11, 12),
    "E": (1, 2, 3, 4, 5, 6, 7, 10, 12, 13, 15, 16, 18, 19, 20, 21, 22),
    "I": (1, 2, 3, 5, 6, 7, 8, 9, 11, 13, 14, 16),
    "J": (1, 2, 3, 5, 6, 7, 9, 10),
}


def named() -> set[str]:
    """The ids that stand in the names, parameters and docstrings of tests."""
    found: set[str] = set()
    for path in Path(__file__).parent.rglob("test_*.py"):
        if path.name != Path(__file__).name:
            text = path.read_text()
            found |= set(re.findall(r"B\.[A-EIJ][0-9]+", text))
            for name in re.findall(r"def test_(b_\w+)\(", text):
                found |= {f"B.{word.upper()}" for word in re.findall(r"(?<![a-z])([a-j][0-9]+)_", name)}
    return found


def test_each_case_is_a_test() -> None:
    wanted = {f"B.{section}{number}" for section, numbers in IDS.items() for number in numbers}
    assert wanted - named() == set()
    assert named() <= wanted
