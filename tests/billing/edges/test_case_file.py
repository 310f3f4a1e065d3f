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
        (
            "accounts: [{id: a, from: 2026-10-20, until: 2026-10-10}]",
            "2: accounts[0].until: expected a day not before 2026-10-20, found 2026-10-10",
        ),
        (
            "accounts: [{id: a, line: {numbers: [01 42]}}]",
            '2: accounts[0].line.numbers[0]: expected a number in full such as "+33142000001", found "01 42"',
        ),
        (
            'accounts: [{id: a, line: {numbers: ["+331420"]}}, {id: b, line: {numbers: ["+331420"]}}]',
            '2: accounts[1].line.numbers[0]: "+331420" is a number of account "a" on the same days',
        ),
        (
            'options: [{kind: ivr, monthly: "1", active: [[2026-10-20, 2026-10-10]]}]',
            "2: options[0].active[0]: it ends before it begins",
        ),
        (
            'accounts: [{id: a}]\noptions: [{kind: ivr, monthly: "1", account: a, entity: Lyon}]',
            "3: options[0].entity: an option is of an `account` or of an `entity`, not of both",
        ),
        (
            'entities: [Lyon]\noptions: [{kind: ivr, monthly: "1", entity: Lyons}]',
            '3: options[0].entity: there is no entity "Lyons"',
        ),
        (
            "entities: [Lyon]\ninvoices: {mode: by_entity, groups: [[Lyon]]}",
            "3: invoices.groups: only the mode mixed has groups, this one is by_entity",
        ),
        ("tariffs: {resale: []}", "2: tariffs: missing; the tariff `list` prices the level customer"),
        ("tariffs: {list: nothing.csv}", "cannot be read: No such file or directory"),
    ],
)
def test_names_that_are_not_there(tmp_path: Path, text: str, error: str) -> None:
    (found,) = errors(tmp_path, f'period: "2026-10"\n{text}\n')
    assert found.endswith(error)


def test_tariff_rows_in_the_file_name_their_cells(tmp_path: Path) -> None:
    """Line, column and path of the cell, or of the row that lacks it; overlaps name both rows."""
    text = """period: "2026-10"
tariffs:
  list:
    - {prefix: "+336", class: FR_MOBILE, per_minute: "0,10"}
    - {prefix: "+331", per_minute: "0.10", class: "", first: 0}
  resale: [{prefix: x, class: A, setup: "0"}]
"""
    path = tmp_path / "case.yaml"
    path.write_text(text)
    with pytest.raises(ConfigErrors) as caught:
        cases.read(path)
    assert [(e.line, e.column, e.path) for e in caught.value.errors] == [
        (4, 54, "tariffs.list[0].per_minute"),
        (5, 51, "tariffs.list[1].class"),
        (5, 62, "tariffs.list[1].first"),
        (6, 21, "tariffs.resale[0].prefix"),
    ]
    assert "not a comma" in caught.value.errors[0].message
    rows = '[{prefix: "+33", class: A, setup: "1"}, {prefix: "+33", class: B, setup: "1"}]'
    text = f'period: "2026-10"\ntariffs: {{list: {rows}}}\n'
    path.write_text(text)
    with pytest.raises(ConfigErrors) as caught:
        cases.read(path)
    (error,) = caught.value.errors
    assert (error.line, error.column, error.path) == (2, 66, "tariffs.list[1].prefix")
    assert f"priced at {path}:2:18 and at {path}:2:57 on the same days" in error.message


@pytest.mark.parametrize(
    ("calls", "error"),
    [
        (
            "id,account,dialled,answer,seconds\nc,201,0612345678,2026-10-21T10:00:00Z,12,5\n",
            ":2:1: 6 cells for 5 columns; is a decimal comma among them?",
        ),
        ('id,account\n"c,201\n', ":2:1: not CSV: unexpected end of data"),
        ("id,name\nc,x\n", ":1:1: name: expected each of these columns once at most: id, account,"),
        ("id,id\nc,x\n", ":1:1: id: expected each of these columns once at most: id, account,"),
        (
            "id;dialled;answer;seconds\n\nc;1;2026-10-21;5\n",
            ':3:1: answer: expected an instant in quotes with its offset, such as "2026-10-21T10:00:00Z"',
        ),
        ("id,dialled,answer,seconds\nc,1,2026-10-21T10:00:00Z,-5\n", ":2:1: seconds: expected seconds"),
    ],
)
def test_a_file_of_calls(tmp_path: Path, calls: str, error: str) -> None:
    """A row that does not fit refuses the file: nothing of it is taken."""
    (tmp_path / "calls.csv").write_text(calls)
    case = tmp_path / "case.yaml"
    case.write_text('period: "2026-10"\ncalls: calls.csv\n')
    with pytest.raises(ConfigErrors) as caught:
        cases.read(case)
    (found,) = caught.value.errors
    assert str(found).startswith(f"{tmp_path / 'calls.csv'}{error}")
