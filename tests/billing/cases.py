"""Cases as Python values: written to a file, read by the real reader, answered by the real engine."""

import json
from pathlib import Path
from typing import Any

from billing.edges import answer
from billing.edges import case as cases
from billing.service.bill import Bill, Case, bill
from billing.service.runners import DuckDb

Json = dict[str, Any]

FREE: Json = {"list": [{"prefix": "+3", "class": "FR_FIXE"}]}


def read(folder: Path, written: Json, name: str = "case.yaml") -> Case:
    """The case as the program reads it; JSON is YAML."""
    path = folder / name
    path.write_text(json.dumps({"period": "2026-10", **written}))
    return cases.read(path)


def run(folder: Path, **written: Any) -> Json:
    """The answer of `pbx-billing run`, or {"refused": …}."""
    case = read(folder, written)
    found = bill(case, DuckDb())
    return answer.of_bill(case, found) if isinstance(found, Bill) else answer.of_refusals(found)


def refused(folder: Path, **written: Any) -> list[str]:
    """The codes of a refusal."""
    return [each["code"] for each in run(folder, **written)["refused"]]


def call(id_: str, seconds: int, dialled: str = "0612345678", **further: Any) -> Json:
    """A call of account 201 on 21 October."""
    return {
        "id": id_, "account": "201", "dialled": dialled, "answer": "2026-10-21T10:00:00Z", "seconds": seconds,
        **further,
    }  # fmt: skip


def row(prefix: str = "+336", class_: str = "FR_MOBILE", **further: Any) -> Json:
    """A tariff row; what it does not say costs nothing."""
    return {"prefix": prefix, "class": class_, "per_minute": "0", **further}


def prices(found: Json, level: str = "customer") -> dict[str, str]:
    """What each call costs at a level."""
    return {each["id"]: each["price"] for each in found["rated"] if each["level"] == level}


def nets(found: Json) -> list[str]:
    """The net of every line."""
    return [line["net"] for invoice in found["invoices"] for line in invoice["lines"]]


def total(found: Json) -> str:
    """The net of the one invoice."""
    (invoice,) = found["invoices"]
    net: str = invoice["net"]
    return net
