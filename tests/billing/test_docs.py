"""docs/billing.md names every command, key, column, reason and code that there is."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from billing.cli import app
from billing.core.number import Form
from billing.core.rated import Reason
from billing.core.refusal import Code
from billing.core.tariff_text import COLUMNS
from billing.edges import case as cases
from billing.edges.billing_file import BillingFile
from runtime.config import schema
from tests.billing.cases import Json

DOC = (Path(__file__).parents[2] / "docs" / "billing.md").read_text()


def keys(schema: Json) -> Iterator[str]:
    for model in (schema, *schema["$defs"].values()):
        yield from model.get("properties", ())


def names() -> Iterator[str]:
    yield from (f"`{each}`" for each in (*Reason, *Code, *COLUMNS))
    yield from (name for name in keys(cases.schema()) if name != "value")
    for group in app.registered_groups:
        yield f"{group.name} check"
    commands: Any = app.info.cls
    assert commands is not None
    yield from (f"`{name}`" for name in keys(schema(BillingFile)) if name not in keys(cases.schema()))
    yield from (
        f"pbx-billing {name}"
        for name in ("import", "rate", "close", "invoice", "credit", "report", "channels")
    )
    yield from ("pbx-billing run", "pbx-billing explain", "pbx-billing simulate", "pbx-billing tariff check")


@pytest.mark.parametrize("name", sorted(set(names())))
def test_the_page_names(name: str) -> None:
    assert name in DOC


def test_forms_are_classes_of_calls_without_a_row() -> None:
    assert {Form.INTERNAL, Form.EMERGENCY} <= set(Form)
