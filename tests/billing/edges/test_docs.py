"""docs/invoices.md says what the artefacts are: files, columns, keys, checks, what to install."""

import inspect
import json
import re
from pathlib import Path

import pytest

from billing.edges.artefacts import detail_csv, statement
from billing.edges.artefacts.run import run_json
from billing.edges.einvoice import checks
from billing.edges.einvoice.schematron import BATCH, TIMEOUT_S
from billing.edges.extra import HINT
from billing.edges.pdf.catalogue import LANGUAGES
from tests.billing.documents import PERIOD, reference

PAGE = (Path(__file__).parents[3] / "docs" / "invoices.md").read_text()


def keys(value: object) -> set[str]:
    """All keys of a JSON document, but the names of files."""
    if isinstance(value, dict):
        inner = set[str]().union(*(keys(each) for each in value.values()))
        return {key for key in value if "." not in key} | inner
    return set[str]().union(*(keys(each) for each in value)) if isinstance(value, list) else set()


@pytest.mark.parametrize("columns", [detail_csv.COLUMNS, statement.COLUMNS])
def test_columns_are_said(columns: tuple[str, ...]) -> None:
    assert f"`{','.join(columns)}`" in PAGE


def test_keys_of_run_json_are_said() -> None:
    said = json.loads(run_json(PERIOD, [reference()], 1, {"a.xml": b""}))
    assert {key for key in keys(said) if f"`{key}`" not in PAGE} == set()


def test_own_checks_are_said() -> None:
    source = inspect.getsource(checks)
    own = set(re.findall(r'(?:yield|OWN,) "([a-z-]+)"', source))
    assert len(own) == 9
    assert {rule for rule in own if f"`{rule}`" not in PAGE} == set()


def test_what_to_install_is_said() -> None:
    packages = re.findall(r"lib[a-z0-9.-]+\d|fonts-[a-z]+", HINT)
    assert len(packages) == 4
    assert {package for package in packages if package not in PAGE} == set()


def test_limits_and_languages_are_said() -> None:
    assert f"{TIMEOUT_S} s" in PAGE
    assert f"at most {BATCH} documents" in " ".join(PAGE.split())
    assert ", ".join(LANGUAGES) in PAGE
