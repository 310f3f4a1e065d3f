"""billing.yaml: the example, errors with their places, and the house as it stood at a close."""

import json
from pathlib import Path
from typing import Any

import pytest

from billing.edges import houses
from billing.edges.billing_file import schema
from runtime.config import ConfigErrors
from tests.billing.desk import Desk, Json, customer

EXAMPLE = Path(__file__).parents[3] / "config" / "billing" / "billing.yaml"


def test_the_example() -> None:
    written, house = houses.read(EXAMPLE)
    assert written.customers[0].name == "dubois"
    assert sorted(house.files) == ["billing.yaml", "list.csv", "resale.csv"]


def test_the_files_of_a_close_make_the_same_house(tmp_path: Path) -> None:
    """Wherever billing.yaml stands by then."""
    (tmp_path / "tariffs").mkdir()
    (tmp_path / "tariffs" / "list.csv").write_text("prefix;class;per_minute\n+33;FR;0.10\n")
    desk = Desk(tmp_path).write(customer(tariffs={"list": "tariffs/list.csv"}))
    house = houses.read(desk.config)[1]
    (tmp_path / "tariffs" / "list.csv").unlink()
    then = houses.of_files(house.files)
    assert then.contracts["dubois"].terms.prices == house.contracts["dubois"].terms.prices


@pytest.mark.parametrize(
    ("customers", "said"),
    [
        ([customer(colour="red")], "customers[0].colour: unknown key"),
        ([customer(), customer()], 'customers[1].name: "dubois" is there twice'),
        ([customer(name="../x")], "customers[0].name: "),
        (
            [customer(accounts=[{"id": "1", "credit": "5.00"}])],
            "accounts[0].credit: a credit is not",
        ),
        ([customer(invoices={"mode": "mixed"})], "invoices.mode: mixed needs the paid entity option"),
        ([customer(tariffs={"list": [], "../up": []})], "a level becomes a folder"),
        ([customer(tariffs={"list": "none.csv"})], "none.csv:1:1: cannot be read"),
        ([customer(tariffs={"list": [{"prefix": "x", "class": "A"}]})], "expected a prefix such as +336"),
    ],
)
def test_errors_name_their_place(tmp_path: Path, customers: list[Json], said: str) -> None:
    desk = Desk(tmp_path).write(*customers)
    found: Any = desk.do("report")
    assert found.exit_code == 2
    assert said in found.output
    assert not (tmp_path / "data").exists()


def test_series_differ(tmp_path: Path) -> None:
    desk = Desk(tmp_path).write(customer(), series={"invoice": "F", "credit_note": "F"})
    with pytest.raises(ConfigErrors, match="credit notes need numbers of their own"):
        houses.read(desk.config)


def test_the_schema_for_editors_is_that_of_the_model() -> None:
    """`make schema` writes it."""
    copy = json.loads((EXAMPLE.parents[1] / "schema" / "billing.json").read_text())
    assert copy == schema()
