"""No float and no Decimal near money: read in the syntax tree of billing/ (B.r1)."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

BILLING = Path(__file__).parents[2] / "billing"


def floats(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """(line, what) of every float literal, true division, `float` and `Decimal`."""
    for node in ast.walk(tree):
        match node:
            case ast.Constant(value=float()):
                yield node.lineno, "a float literal"
            case ast.BinOp(op=ast.Div()) | ast.AugAssign(op=ast.Div()):
                yield node.lineno, "a true division"
            case ast.Name(id="float" | "Decimal" | "round"):
                yield node.lineno, node.id
            case _:
                pass


@pytest.mark.parametrize("room", ["core", "service"])
def test_no_float_touches_money(room: str) -> None:
    found = [
        f"{path.relative_to(BILLING)}:{line}: {what}"
        for path in sorted((BILLING / room).rglob("*.py"))
        for line, what in floats(ast.parse(path.read_text()))
    ]
    assert found == []


def test_the_check_can_fail() -> None:
    text = "a = 0.1\nb = c / d\ne = float('1')\nf = Decimal('1')\ng /= 2\n"
    assert [line for line, _ in sorted(floats(ast.parse(text)))] == [1, 2, 3, 4, 5]
