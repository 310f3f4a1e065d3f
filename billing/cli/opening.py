"""What the commands on the ledger share: billing.yaml, billing.db under its lock, refusals as exit codes."""

import asyncio
import datetime
import re
import sqlite3
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, NoReturn, TypeVar

import typer

from billing.core.refusal import Refused
from billing.edges import houses, instants
from billing.edges.artefacts.directory import DifferentArtefactsError
from billing.edges.artefacts.printer import Printer
from billing.edges.artefacts.shelf import Shelf
from billing.service.explaining import NotAsIssuedError
from billing.service.ledger import Ledger
from billing.service.runners import DuckDb
from billing.store.chain import ChainBrokenError
from billing.store.schema import MIGRATIONS
from runtime.cli import Exit, fail, print_json
from runtime.config import ConfigErrors
from runtime.store import StoreError, StoreLockedError, open_database

T = TypeVar("T")

STORE: Final = "billing.db"
ARTEFACTS: Final = "artefacts"
_MONTH: Final = re.compile("20[0-9]{2}-(0[1-9]|1[0-2])", re.ASCII)

ConfigOption = Annotated[Path, typer.Option("--config", metavar="FILE", help="billing.yaml.")]
NowOption = Annotated[
    str | None,
    typer.Option("--now", help="An instant instead of the clock's: 2026-11-05T09:00:00Z."),
]
PeriodArgument = Annotated[str, typer.Argument(metavar="PERIOD", help="A month: 2026-10.")]


@dataclass(frozen=True, slots=True)
class Opened:
    """The ledger, whoever prints, and where files stand."""

    ledger: Ledger
    printer: Printer
    shelf: Shelf
    now_ms: int


def with_ledger(
    config: Path, now: str | None, work: Callable[[Opened], Awaitable[T]], *, begins: bool = False
) -> T:
    """Do the work on an opened ledger that nobody else has; errors end the program with their exit code.

    Only work that `begins` one makes a ledger where there is none.
    """
    now_ms = instant(now)
    try:
        written, house = houses.read(config)
    except ConfigErrors as errors:
        fail(Exit.USAGE, errors.report("nothing was done"))
    data: Path = written.data
    if not begins and not (data / STORE).is_file():
        hint = "pbx-billing import makes it; if it was there, look whether its disk is mounted"
        fail(Exit.USAGE, f"{data / STORE}: there is no ledger yet; {hint}")

    async def run() -> T:
        database = await open_database(data / STORE, MIGRATIONS)
        try:
            ledger = await Ledger.opened(database, house, houses.of_files, DuckDb())
            printer = Printer(einvoice=written.einvoice, ubl=written.ubl)
            return await work(Opened(ledger, printer, Shelf(data / ARTEFACTS), now_ms))
        finally:
            await database.close()

    try:
        data.mkdir(mode=0o750, parents=True, exist_ok=True)
        return asyncio.run(run())
    except StoreLockedError as locked:
        fail(Exit.REFUSED, f"{locked}{_since(data / STORE)}")
    except StoreError as error:
        fail(Exit.REFUSED, str(error))
    except (ChainBrokenError, DifferentArtefactsError, NotAsIssuedError) as error:
        fail(Exit.BAD_DATA, str(error))
    except (OSError, sqlite3.Error) as error:
        fail(Exit.REFUSED, f"{data}: {error}; mend it and run the command again")


def _since(store: Path) -> str:
    """Since when somebody holds the lock: he wrote his number into it then."""
    try:
        taken = store.with_name(f"{store.name}.lock").stat().st_mtime_ns
    except OSError:
        return ""
    at = datetime.datetime.fromtimestamp(taken // 1_000_000_000, datetime.UTC)
    return f" (since {at.isoformat().replace('+00:00', 'Z')})"


def instant(text: str | None) -> int:
    """UTC ms of --now, or of the clock."""
    if text is None:
        return time.time_ns() // 1_000_000
    found = instants.read(text)
    if found is None:
        fail(Exit.USAGE, f"--now: expected an instant such as 2026-11-05T09:00:00Z, found {text}")
    return found


def period_of(text: str) -> int:
    """yyyymm of 2026-10."""
    if not _MONTH.fullmatch(text):
        fail(Exit.USAGE, f"PERIOD: expected a month such as 2026-10, found {text}")
    return int(text.replace("-", ""))


def refuse(refused: Sequence[Refused], *, as_json: bool) -> NoReturn:
    """Say why and leave with exit code 1."""
    if as_json:
        print_json({"refused": [{"code": each.code, "why": each.why} for each in refused]})
    fail(Exit.REFUSED, "\n".join(f"{each.code}: {each.why}" for each in refused))
