"""`pbx-billing explain`: how one call got its price, from the ledger or from a case file."""

from pathlib import Path
from typing import Annotated, Any

import typer

from billing.cli.opening import ConfigOption, NowOption, Opened, with_ledger
from billing.cli.running import read_or_fail
from billing.edges import answer
from billing.edges.billing_file import DEFAULT
from billing.service import explaining
from billing.service.bill import rated
from billing.service.month import Part
from billing.service.runners import DuckDb
from billing.store.ratings import Waiting
from billing.store.records import Aside
from runtime.cli import Exit, JsonFlag, fail, print_json, table

CaseOption = Annotated[
    Path | None,
    typer.Option("--case", metavar="FILE", help="A case file that has the call; else the ledger."),
]


def explain(
    call: Annotated[str, typer.Argument(metavar="CALL", help="Its id in a case; its key in the ledger.")],
    case_file: CaseOption = None,
    config: ConfigOption = DEFAULT,
    now: NowOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Say how a call got its price: number, prefix, tariff row, seconds, basket, and the price of each level.

    The key is what the call detail of an invoice prints in its first column. A call of a closed month is
    explained by billing.yaml and tariffs as they stood then. Exit code 1 when there is no such call.

    Example: pbx-billing explain "acme/hq/0 c1 1"
    """
    found = _of_case(case_file, call) if case_file else _of_ledger(config, now, call)
    if as_json:
        print_json(found)
        return
    table([(name, str(value)) for name, value in found.items() if name != "levels"], ("WHAT", "FOUND"))
    for level, facts in found.get("levels", {}).items():
        typer.echo()
        table(
            [(name, str(value)) for name, value in facts.items() if name not in ("id", "level")], (level, "")
        )


def _of_case(file: Path, call: str) -> dict[str, Any]:
    case = read_or_fail(file)
    found = answer.explained(case, rated(case, DuckDb()), call)
    if found is None:
        fail(Exit.REFUSED, f"{call}: no such call on the invoices of {answer.month(case.period)}")
    return found


def _of_ledger(config: Path, now: str | None, call: str) -> dict[str, Any]:
    async def work(opened: Opened) -> dict[str, Any] | None:
        match await explaining.found(opened.ledger, call):
            case Aside() as aside:
                return _set_aside(call, "quarantine", aside)
            case Waiting() as waiting:
                return _set_aside(call, "suspense", waiting)
            case Part() as part:
                return answer.explained(part.case, part.rating, call)
            case None:
                return None

    told = with_ledger(config, now, work)
    if told is None:
        fail(Exit.REFUSED, f"{call}: no such call; its key is the first column of the call detail")
    return told


def _set_aside(call: str, verdict: str, why: Aside | Waiting) -> dict[str, Any]:
    return {"id": call, "verdict": verdict, "reason": why.reason, "detail": why.detail}
