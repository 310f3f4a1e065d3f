"""The case file: the example of the contract, its schema, and errors that name their place."""

import json
from pathlib import Path

import pytest

from billing.edges import case as cases
from runtime.config import ConfigErrors

ROOT = Path(__file__).parents[3]


def errors(folder: Path, text: str) -> list[str]:
    path = folder / "case.yaml"
    path.write_text(text)
    with pytest.raises(ConfigErrors) as wrong:
        cases.read(path)
    return [f"{error.line}: {error.path}: {error.message}" for error in wrong.value.errors]


def test_the_copy_for_editors_is_the_schema() -> None:
    copy = json.loads((ROOT / "config" / "schema" / "case.json").read_text())
    assert copy == cases.schema()


def test_the_example_case_can_be_read() -> None:
    case = cases.read(ROOT / "config" / "billing" / "october.yaml")
    assert case.period == 202610
    assert {tariff.level for tariff in case.prices.tariffs} == {"customer", "resale"}


def test_every_error_at_once(tmp_path: Path) -> None:
    text = """period: "2026-13"
zone: Europe/Nowhere
vat: 20.5
tarifs: {}
accounts:
  - {id: "201", monthly: 12.00, line: {offer: nothing}}
  - {id: "202", entity: [{value: Lyon}, {value: Metz}]}
calls:
  - {id: c, dialled: "1", answer: "2026-10-21T10:00:00", seconds: 1}
"""
    found = errors(tmp_path, text)
    assert [line.partition(": ")[0] for line in found] == ["1", "2", "3", "4", "6", "7", "9"]
    assert found[3] == '4: tarifs: unknown key; did you mean "tariffs"?'
    assert "with its offset" in found[-1]


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("accounts: [{id: a}, {id: a}]", '2: accounts[1].id: "a" is there twice'),
        ("accounts: [{id: a, line: {offer: x}}]", '2: accounts[0].line.offer: there is no offer "x"'),
        (
            'options: [{kind: ivr, monthly: "1", account: a}]',
            '2: options[0].account: there is no account "a"',
        ),
        ("tariffs: {resale: []}", "2: tariffs: missing; the tariff `list` prices the level customer"),
        ("tariffs: {list: nothing.csv}", "cannot be read: No such file or directory"),
    ],
)
def test_names_that_are_not_there(tmp_path: Path, text: str, error: str) -> None:
    (found,) = errors(tmp_path, f'period: "2026-10"\n{text}\n')
    assert found.endswith(error)
