"""What calls cost: the rated rows of a month and customer, always written as a whole."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

import aiosqlite
import msgspec

from runtime.store import Statement, insert

_CLEAR: Final = (
    "DELETE FROM rating WHERE landing = ?1 AND (?2 IS NULL OR customer = ?2)",
    "DELETE FROM rated WHERE landing = ?1 AND (?2 IS NULL OR customer = ?2)",
    "DELETE FROM waiting WHERE landing = ?1 AND (?2 IS NULL OR customer = ?2)",
)
_RATING: Final = "INSERT INTO rating (landing, customer, digest, body) VALUES (?, ?, ?, ?)"
_RATED: Final = (
    "INSERT INTO rated"
    " (landing, customer, key, level, class, tariff, place, billed_s, inside_s, price) VALUES"
)
_WAITING: Final = "INSERT INTO waiting (landing, customer, key, reason, detail) VALUES"


@dataclass(frozen=True, slots=True)
class Row:
    """A call at one level; `tariff` is the digest of its tariff, `place` file:line of the row ("": none)."""

    key: str
    level: str
    class_: str
    tariff: str
    place: str
    billed_s: int
    inside_s: int
    price_micro: int


@dataclass(frozen=True, slots=True)
class Waiting:
    """A call without a price."""

    customer: str
    key: str
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class Result:
    """The rating of a month and customer; `digest` is equal when every row is."""

    customer: str
    digest: str
    counts: dict[str, int]
    levels: dict[str, int]
    """What all calls cost at each level, micro-euro."""
    rows: Sequence[Row] = ()
    waiting: Sequence[Waiting] = ()


class _Body(msgspec.Struct, frozen=True):
    counts: dict[str, int]
    levels: dict[str, int]


def replace(landing: int, results: Sequence[Result], only: Collection[str] | None = None) -> list[Statement]:
    """Write the ratings of a month in place of those of these customers; None: of all that were there."""
    names = [None] if only is None else sorted(only)
    found: list[Statement] = [(clear, [(landing, name) for name in names]) for clear in _CLEAR]
    for each in results:
        found.append((_RATING, [(landing, each.customer, each.digest, _encoded(each))]))
        found += insert(_RATED, [_cells(landing, each.customer, row) for row in each.rows])
        found += insert(_WAITING, [(landing, each.customer, w.key, w.reason, w.detail) for w in each.waiting])
    return found


def _encoded(result: Result) -> bytes:
    return msgspec.json.encode(_Body(result.counts, result.levels))


def _cells(landing: int, customer: str, row: Row) -> tuple[str | int, ...]:
    return (
        landing, customer, row.key, row.level, row.class_, row.tariff, row.place, row.billed_s, row.inside_s,
        row.price_micro,
    )  # fmt: skip


async def results(database: aiosqlite.Connection, landing: int) -> list[Result]:
    """The ratings of a month without their rows, in order of customer."""
    wanted = "SELECT customer, digest, body FROM rating WHERE landing = ? ORDER BY customer"
    found = []
    for customer, digest, body in await database.execute_fetchall(wanted, (landing,)):
        read = msgspec.json.decode(body, type=_Body)
        found.append(Result(customer, digest, read.counts, read.levels))
    return found


async def waiting(database: aiosqlite.Connection, landing: int) -> list[Waiting]:
    """What has no price in a month, in order of customer and key."""
    wanted = "SELECT customer, key, reason, detail FROM waiting WHERE landing = ? ORDER BY customer, key"
    return [Waiting(*row) for row in await database.execute_fetchall(wanted, (landing,))]


async def missing(database: aiosqlite.Connection, behind: int) -> list[tuple[int, str]]:
    """(landing, customer) of records in months behind this one that have no rating, in order."""
    wanted = (
        "SELECT DISTINCT landing, customer FROM record WHERE landing > ? AND NOT EXISTS (SELECT 1 FROM rating"
        " WHERE rating.landing = record.landing AND rating.customer = record.customer) ORDER BY 1, 2"
    )
    return [(row[0], row[1]) for row in await database.execute_fetchall(wanted, (behind,))]


async def of_call(database: aiosqlite.Connection, landing: int, key: str) -> list[Row]:
    """The rows of a call on a month's invoice, one for each level."""
    wanted = (
        "SELECT key, level, class, tariff, place, billed_s, inside_s, price FROM rated"
        " WHERE landing = ? AND key = ? ORDER BY level"
    )
    return [Row(*row) for row in await database.execute_fetchall(wanted, (landing, key))]
