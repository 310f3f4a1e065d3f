"""Every case, rule and catalogue row of docs/licence-rules.md has its tests, and its place in the code.

A test carries the ids it answers: in its name (`test_l_p2_p3_...`, `test_l_p1_to_p4_...`, `test_l_r16_...`),
or in the `id` of a parameter set ("L.P15 tiers").
"""

import ast
import importlib
import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.licensing.house import CATALOGUE

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "licence-rules.md"
ID = re.compile(r"[LB]\.[A-Zr]\d+")
WORD = re.compile(r"[a-z]\d+")


@cache
def rows(heading: str) -> list[list[str]]:
    """The rows of the table below a heading, without its head."""
    text = DOCUMENT.read_text().split(f"\n{heading}\n")[1].split("\n#")[0]
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[2:]]


def cases() -> list[str]:
    """The ids of all cases: first cells of tables."""
    return re.findall(r"^\| ([LB]\.[A-Z]\d+) \|", DOCUMENT.read_text(), re.MULTILINE)


def rules() -> set[str]:
    return {row[0].split()[0] for row in rows("## Decisions and rules")}


def written(book: str, word: str) -> str:
    """`l` and `p2` as the document writes it."""
    return f"{book.upper()}.{word if word.startswith('r') else word.upper()}"


def ids_of(name: str) -> Iterator[str]:
    """The ids in the name of a test: those at its beginning, with `to` between two of a row."""
    _, book, *words = [*name.split("_"), ""]
    last = ""
    for at, word in enumerate(words if book in ("l", "b") else ()):
        if WORD.fullmatch(word):
            if last and words[at - 1] == "to":
                yield from (written(book, f"{word[0]}{n}") for n in range(int(last[1:]), int(word[1:])))
            yield written(book, word)
            last = word
        elif word in ("l", "b") and last:
            book, last = word, ""
        elif word != "to" or not last:
            return


@cache
def carried() -> frozenset[str]:
    """Every id that some test carries."""
    found: set[str] = set()
    for path in (ROOT / "tests").rglob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                found.update(ids_of(node.name))
            elif isinstance(node, ast.keyword) and node.arg == "id" and isinstance(node.value, ast.Constant):
                text = str(node.value.value)
                found.update(ID.findall(text) if ID.match(text) else ())
    return frozenset(found)


def ids_in(cell: str) -> list[str]:
    return ID.findall(cell)


def test_every_case_has_a_test() -> None:
    assert len(cases()) >= 103
    assert sorted(set(cases()) - carried()) == []


def test_no_test_carries_an_id_that_does_not_exist() -> None:
    ours = {id_ for id_ in carried() if id_.startswith(("L.", "B.H"))}  # the others are billing's
    assert sorted(ours - set(cases()) - rules()) == []


def test_an_id_is_that_of_one_case() -> None:
    assert [id_ for id_, times in Counter(cases()).items() if times > 1] == []


def test_every_rule_has_its_place_and_its_tests() -> None:
    table = {row[0]: row[1:] for row in rows("## Where each rule lives")}
    assert set(table) == rules()
    for rule, (_, tests) in table.items():
        ids = ids_in(tests)
        assert ids, f"{rule}: no test"
        assert [each for each in ids if each not in carried()] == [], rule


@pytest.mark.parametrize("row", rows("## Where each rule lives"), ids=lambda row: row[0])
def test_the_code_of_a_rule_is_there_and_cites_it(row: list[str]) -> None:
    """Each name is one of the package `licensing`; the module that has it says which rule it follows."""
    rule, code, _ = row
    names = re.findall(r"`([a-z_.]+(?:\.[A-Za-z_]+)?)`", code)
    assert names, f"{rule}: no code"
    for name in names:
        module, thing = f"licensing.{name}".rsplit(".", 1)
        loaded = importlib.import_module(module)
        assert hasattr(loaded, thing), f"{rule}: {name}"
        assert re.search(rf"{re.escape(rule)}\b", Path(str(loaded.__file__)).read_text()), f"{rule}: {module}"


def test_every_row_of_the_catalogue_has_a_case() -> None:
    table = {row[0]: ids_in(row[1]) for row in rows("## Rows of the catalogue")}
    named = [name for cell in table for name in re.findall(r"[a-z0-9-]+", cell)]
    assert sorted(named) == sorted(CATALOGUE.rows)
    for row, ids in table.items():
        assert ids, f"{row}: no case"
        assert [each for each in ids if each not in carried()] == [], row


@pytest.mark.parametrize(
    ("name", "ids"),
    [
        ("test_l_p1_to_p4_one_unit", ["L.P1", "L.P1", "L.P2", "L.P3", "L.P4"]),
        ("test_l_v4_v5_after_the_upgrade", ["L.V4", "L.V5"]),
        ("test_l_r16_in_local_mode", ["L.r16"]),
        ("test_l_k4_34_types", ["L.K4"]),
        ("test_l_t1_b_h2_an_ssa", ["L.T1", "B.H2"]),
        ("test_b_h6_software", ["B.H6"]),
        ("test_long_names_have_no_id", []),
    ],
)
def test_how_a_name_is_read(name: str, ids: list[str]) -> None:
    assert list(ids_of(name)) == ids
