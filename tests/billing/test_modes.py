"""Section D of the examples: four kinds of invoice, one net total (seed 000)."""

from pathlib import Path
from typing import Any

import pytest

from billing.core import money
from runtime.config import ConfigErrors
from tests.billing.cases import Json, nets, refused, row, run

ENTITIES = {"201": "Lyon", "202": "Lyon", "301": "Nancy", "302": "Nancy", "401": "Metz"}
ROWS = [
    row("+331", "FR_FIXE", per_minute="0.06"),
    row("+336", per_minute="0.06"),
    row("+338", "SPECIAL", per_minute="0.06"),
]


def consumption(account: str, seconds: int, dialled: str) -> Json:
    return {
        "id": account,
        "account": account,
        "dialled": dialled,
        "answer": "2026-10-21T10:00:00Z",
        "seconds": seconds,
    }


# At 0.001 a second: Lyon 3.475 and 8.064, Nancy 2.115 and 0.335, Metz 1.005.
CASE: dict[str, Any] = {
    "accounts": [{"id": id_, "entity": entity} for id_, entity in ENTITIES.items()],
    "tariffs": {"list": ROWS},
    "calls": [
        consumption("201", 3475, "0142681234"),
        consumption("202", 8064, "0612345678"),
        consumption("301", 2115, "0142681234"),
        consumption("302", 335, "0892123456"),
        consumption("401", 1005, "0142681234"),
    ],
}


def totals(found: Json) -> list[tuple[str | None, str, str, str]]:
    return [(each["entity"], each["net"], each["vat"], each["gross"]) for each in found["invoices"]]


def test_d1_d2_global(tmp_path: Path) -> None:
    """B.D1, B.D2: one invoice by account and class, no entity named."""
    found = run(tmp_path, **CASE)
    assert totals(found) == [(None, "15.01", "3.00", "18.01")]
    lines = found["invoices"][0]["lines"]
    assert [(each["account"], each["class"], each["net"]) for each in lines] == [
        ("201", "FR_FIXE", "3.48"),
        ("202", "FR_MOBILE", "8.06"),
        ("301", "FR_FIXE", "2.12"),
        ("302", "SPECIAL", "0.34"),
        ("401", "FR_FIXE", "1.01"),
    ]
    assert not any(name in str(found["invoices"]) for name in ("Lyon", "Nancy", "Metz"))


def test_d3_by_entity(tmp_path: Path) -> None:
    """B.D3."""
    found = run(tmp_path, **CASE, invoices={"mode": "by_entity", "entity_option": True})
    assert totals(found) == [(None, "15.01", "3.00", "18.01")]
    assert found["invoices"][0]["sections"] == [
        {"entity": "Lyon", "net": "11.54"},
        {"entity": "Nancy", "net": "2.46"},
        {"entity": "Metz", "net": "1.01"},
    ]


def test_d4_per_entity(tmp_path: Path) -> None:
    """B.D4."""
    found = run(tmp_path, **CASE, invoices={"mode": "per_entity", "entity_option": True})
    assert totals(found) == [
        ("Lyon", "11.54", "2.31", "13.85"),
        ("Nancy", "2.46", "0.49", "2.95"),
        ("Metz", "1.01", "0.20", "1.21"),
    ]


def test_mixed(tmp_path: Path) -> None:
    """Design billing.md 10: {Lyon, Nancy} together, Metz alone."""
    invoices = {"mode": "mixed", "entity_option": True, "groups": [["Lyon", "Nancy"]]}
    found = run(tmp_path, **CASE, invoices=invoices)
    assert totals(found) == [("Lyon + Nancy", "14.00", "2.80", "16.80"), ("Metz", "1.01", "0.20", "1.21")]
    assert [each["entity"] for each in found["invoices"][0]["sections"]] == ["Lyon", "Nancy"]


@pytest.mark.parametrize("mode", ["by_entity", "per_entity", "mixed"])
def test_d6_the_option_is_needed(tmp_path: Path, mode: str) -> None:
    """B.D6."""
    assert refused(tmp_path, **CASE, invoices={"mode": mode}) == ["entity_option_missing"]


@pytest.mark.parametrize("mode", ["global", "by_entity", "per_entity", "mixed"])
def test_d6_its_fee_is_a_line(tmp_path: Path, mode: str) -> None:
    """B.D6, B.D10: where each entity has its invoice, the fee is split."""
    option = {"mode": mode, "entity_option": {"monthly": "10.00"}}
    found = run(tmp_path, **CASE, invoices=option)
    fees = [
        line["net"]
        for invoice in found["invoices"]
        for line in invoice["lines"]
        if line["item"] == "entities"
    ]
    assert fees == (["10.00"] if mode in ("global", "by_entity") else ["3.34", "3.33", "3.33"])
    assert sum(money.read(each["net"], 2) or 0 for each in found["invoices"]) == 2501


def test_d7_a_move(tmp_path: Path) -> None:
    """B.D7: the fee by days, calls by their answer."""
    entity = [{"value": "Lyon"}, {"from": "2026-10-16", "value": "Metz"}]
    case: dict[str, Any] = {
        "accounts": [{"id": "202", "monthly": "12.00", "entity": entity}],
        "tariffs": {"list": ROWS},
        "calls": [
            {**consumption("202", 1000, "0612345678"), "id": "a", "answer": "2026-10-15T21:59:59Z"},
            {**consumption("202", 2000, "0612345678"), "id": "b", "answer": "2026-10-15T22:00:00Z"},
        ],
    }
    found = run(tmp_path, **case, invoices={"mode": "per_entity", "entity_option": True})
    assert [(each["entity"], [line["net"] for line in each["lines"]]) for each in found["invoices"]] == [
        ("Lyon", ["5.81", "1.00"]), ("Metz", ["6.19", "2.00"])
    ]  # fmt: skip
    assert [line["days"] for line in found["invoices"][1]["lines"]] == [[["2026-10-16", "2026-10-31"]], []]
    assert nets(run(tmp_path, **case)) == ["12.00", "3.00"]


def test_a_shared_option_is_split_as_a_whole(tmp_path: Path) -> None:
    """500 x 0.02 over four entities is 2.50 each: the sum is split, not each unit."""
    accounts = [{"id": name, "monthly": "1.00", "entity": name} for name in "abcd"]
    options = [{"kind": "alias", "monthly": "0.02", "quantity": 500}]
    case: dict[str, Any] = {"accounts": accounts, "options": options}
    found = run(tmp_path, **case, invoices={"mode": "per_entity", "entity_option": True})
    assert nets(found) == ["1.00", "2.50"] * 4
    alone = run(
        tmp_path,
        accounts=accounts[:1],
        options=options,
        invoices={"mode": "per_entity", "entity_option": True},
    )
    assert [(line["quantity"], line["net"]) for line in alone["invoices"][0]["lines"]][1:] == [(500, "10.00")]


def test_d8_an_account_without_entity(tmp_path: Path) -> None:
    """B.D8."""
    accounts = [{"id": id_, "entity": None if id_ == "401" else name} for id_, name in ENTITIES.items()]
    case = {**CASE, "accounts": accounts}
    found = run(tmp_path, **case, invoices={"mode": "by_entity", "entity_option": True})
    assert found["invoices"][0]["sections"][-1] == {"entity": "(none)", "net": "1.01"}
    for mode in ("per_entity", "mixed"):
        no = run(tmp_path, **case, invoices={"mode": mode, "entity_option": True})["refused"]
        assert [each["code"] for each in no] == ["account_without_entity"]
        assert "401" in no[0]["why"]


def test_d10_splits() -> None:
    """B.D10."""
    assert money.split(1000, (1, 1, 1)) == (334, 333, 333)
    assert money.split(1000, (7, 2, 2)) == (636, 182, 182)
    assert money.split(-1000, (1, 1, 1)) == (-334, -333, -333)


def test_d12_each_group_is_an_entity(tmp_path: Path) -> None:
    """B.D12: sites, activities, franchises and firms alike; who has nothing gets no invoice."""
    accounts = [*CASE["accounts"], {"id": "501", "entity": "Franchise Sud"}]
    found = run(
        tmp_path, **{**CASE, "accounts": accounts}, invoices={"mode": "per_entity", "entity_option": True}
    )
    assert [each["entity"] for each in found["invoices"]] == ["Lyon", "Nancy", "Metz"]
    assert found["no_invoice"] == ["Franchise Sud"]


def test_entities_that_are_not_there(tmp_path: Path) -> None:
    """A group names entities, each in one group."""
    for groups in ([["Lyon", "Nowhere"]], [["Lyon"], ["Lyon", "Metz"]]):
        invoices = {"mode": "mixed", "entity_option": True, "groups": groups}
        with pytest.raises(ConfigErrors, match="groups"):
            run(tmp_path, **CASE, invoices=invoices)
