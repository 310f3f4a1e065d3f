"""Rating as one Ibis expression over four tables: what DuckDB runs embedded, Spark runs on a cluster.

Stages: distinct number openings -> longest prefix of each tariff slice -> tariff row -> billed seconds -> one
window pass per basket -> price per level. All money and time are int64 and nothing is ever negative, so that
the engines' ideas of division and sign agree; the traps are listed in docs/billing.md.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import ibis  # type: ignore[import-untyped]
from ibis import _

# Expressions of Ibis are made by operators whose results have no narrower type than this.
Value = Any
Table = Any

_OPENING: Final = ("kind", "opening", "slice")

NO_ROW: Final = -1
NOT_COVERED: Final = -1

CALLS: Final = {
    "key": "!string", "line": "!string", "offer": "!string", "kind": "!string", "number": "!string",
    "answer_ms": "!int64", "day": "!int32", "period": "!int32", "late": "!int32", "seconds": "!int64",
}  # fmt: skip
"""Calls; `day` is the local one as an ordinal, `late` 0 or the period whose invoice brings the call."""

PREFIXES: Final = {
    "level": "!int32",
    "slice": "!int32",
    "kind": "!string",
    "prefix": "!string",
    "length": "!int32",
    "row": "!int32",
}
"""Which row a prefix means in each slice: the days between two changes of any tariff."""

ROWS: Final = {
    "row": "!int32", "class_": "!string", "minute": "!int64", "call": "!int64", "first": "!int64",
    "next": "!int64", "cap": "!int64", "grace": "!int64", "is_free": "!boolean",
}  # fmt: skip
"""Rows of all tariffs; `cap` is 60 x max_price, or more than any call costs."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What the form of the expression depends on: everything else is data.

    `longest` is the length of the longest prefix, `changes` the first days (ordinals) of all slices but one.
    """

    levels: int
    longest: int
    changes: tuple[int, ...]
    baskets: int


def baskets_schema(count: int) -> dict[str, str]:
    """Seconds of each basket of an offer that covers a class, in the order in which they are used up."""
    limits = {f"limit_{rank}": "!int64" for rank in range(count)}
    return {"basket_offer": "!string", "basket_class": "!string", "is_flat": "!boolean", **limits}


def result_schema(levels: int) -> dict[str, str]:
    """One row for each call; `row_0` and so on belong to the levels. `row` is NO_ROW where there is none."""
    found = {"key": "string"}
    for level in range(levels):
        found |= {f"row_{level}": "int32", f"billed_{level}": "int64", f"inside_{level}": "int64"}
        found |= {f"price_{level}": "int64"}
    return found


@ibis.udf.scalar.builtin(name="divide", signature=(("int64", "int64"), "int64"))  # type: ignore[untyped-decorator]
def divide(_a: int, _b: int) -> int:  # type: ignore[empty-body] # the engine has it
    """Whole-number division in 64 bits; `//` of Ibis goes through a double on every engine."""


@ibis.udf.scalar.builtin(name="whole", signature=(("int64",), "int64"))  # type: ignore[untyped-decorator]
def whole(_sum: int) -> int:  # type: ignore[empty-body] # runners define it
    """A sum in 64 bits: DuckDB's has 128, and a cast to the type that Ibis takes it for is left out."""


@lru_cache(maxsize=64)
def rating(shape: Shape) -> Table:
    """The expression; its tables are `calls`, `prefixes`, `rows` and `baskets`."""
    calls = _sliced(ibis.table(CALLS, name="calls"), shape)
    found = _with_rows(calls, shape)
    billed = _billed(found, shape)
    drawn = (
        _drawn(billed, shape)
        if shape.baskets
        else billed.mutate(in_basket=_int(0), is_flat=ibis.literal(False))
    )
    return _priced(drawn, shape)


def _int(value: int) -> Value:
    return ibis.literal(value, type="int64")


def _sliced(calls: Table, shape: Shape) -> Table:
    """Each call with the slice of its day and the opening of its number: as much as prefixes look at."""
    slice_: Value = ibis.literal(0, type="int32")
    for change in shape.changes:
        slice_ = slice_ + ibis.ifelse(calls.day >= change, 1, 0)
    opening = calls.number.substr(0, shape.longest)
    return calls.mutate(slice=slice_.cast("int32"), opening=opening)


def _matches(calls: Table) -> Table:
    """The longest prefix of each distinct opening, for all levels."""
    prefixes = ibis.table(PREFIXES, name="prefixes")
    lengths = prefixes.select(cut=prefixes.length).distinct()
    openings = calls.select("kind", "opening", "slice").distinct().cross_join(lengths)
    starts = openings.mutate(start=openings.opening.substr(0, openings.cut))
    rows = prefixes.select(
        "level", "prefix", "row", "length", prefix_kind=prefixes.kind, prefix_slice=prefixes.slice
    )
    same = [
        starts.kind == rows.prefix_kind,
        starts.slice == rows.prefix_slice,
        starts.start == rows.prefix,
        starts.cut == rows.length,
    ]
    found = starts.inner_join(rows, same)
    return found.group_by("level", "kind", "opening", "slice").aggregate(row=found.row.argmax(found.length))


def _with_rows(calls: Table, shape: Shape) -> Table:
    """Each call with the tariff row of each level, null where there is none.

    The rows of all levels are put side by side for each opening first, of which there are few: then the calls
    are joined once.
    """
    matches = _matches(calls)
    rows = ibis.table(ROWS, name="rows")
    found = matches.select(**{f"on_{name}": matches[name] for name in _OPENING}).distinct()
    for level in range(shape.levels):
        own = matches.filter(_.level == level).select(*_OPENING, match_row="row")
        named = own.inner_join(rows, own.match_row == rows.row)
        columns = {f"{name}_{level}": named[name] for name in ROWS}
        table = named.select(**{f"on_{level}_{name}": named[name] for name in _OPENING}, **columns)
        found = found.left_join(
            table, [found[f"on_{name}"] == table[f"on_{level}_{name}"] for name in _OPENING]
        )
        found = found.drop(*(f"on_{level}_{name}" for name in _OPENING))
    joined = calls.left_join(found, [calls[name] == found[f"on_{name}"] for name in _OPENING])
    return joined.drop(*(f"on_{name}" for name in _OPENING), *_OPENING, "number", "day")


def _billed(found: Table, shape: Shape) -> Table:
    """Billed seconds of each level (B.r18); 0 without talk, and where a level has no price (suspense)."""
    priced = ibis.and_(*(found[f"row_{level}"].notnull() for level in range(shape.levels)))
    columns = {}
    for level in range(shape.levels):
        first, step = found[f"first_{level}"], found[f"next_{level}"]
        beyond = ibis.greatest(found.seconds - first, _int(0))
        steps = divide(beyond + step - 1, step)
        free = (found.seconds <= found[f"grace_{level}"]) | ~priced
        columns[f"billed_{level}"] = ibis.coalesce(
            ibis.ifelse(free, _int(0), ibis.ifelse(beyond == 0, first, first + steps * step)), _int(0)
        )
    return found.mutate(**columns)


def _drawn(billed: Table, shape: Shape) -> Table:
    """Each call with the seconds that baskets take of it (B.r20): one pass for each rank of basket."""
    baskets = ibis.table(baskets_schema(shape.baskets), name="baskets")
    same = [billed.offer == baskets.basket_offer, billed.class__0 == baskets.basket_class]
    known = billed.left_join(baskets, same)
    takes = known.basket_offer.notnull() & (known.billed_0 > 0) & ~known.is_free_0
    takes = ibis.coalesce(takes, ibis.literal(False))
    inside = known.filter(takes).mutate(left=_.billed_0)
    for rank in range(shape.baskets):
        inside = _pass(inside, inside[f"limit_{rank}"])
    columns = _kept(shape)
    taken = inside.mutate(in_basket=_.billed_0 - _.left).select(*columns)
    rest = known.filter(~takes).mutate(in_basket=_int(0), is_flat=ibis.literal(False)).select(*columns)
    return taken.union(rest)


def _kept(shape: Shape) -> Sequence[str]:
    names = ("row", "billed", "minute", "call", "cap")
    return ("key", "in_basket", "is_flat", *(f"{name}_{n}" for n in range(shape.levels) for name in names))


def _pass(inside: Table, limit: Value) -> Table:
    """What one basket takes of what earlier ones left: in order of answer and key, late calls last."""
    counted = ibis.ifelse(limit >= 0, inside.left, _int(0))
    window = ibis.window(
        group_by=["line", "offer", "period"],
        order_by=["late", "answer_ms", "key"],
        preceding=(None, 0),
        following=None,
    )
    before = whole(counted.sum().over(window)) - counted
    taken = ibis.least(counted, ibis.greatest(limit - before, _int(0)))
    return inside.mutate(left=inside.left - taken)


def _priced(drawn: Table, shape: Shape) -> Table:
    """The price of each level: exact, capped, then rounded to micro-euro once (B.r2, B.r19, B.r22)."""
    columns: dict[str, Value] = {"key": drawn.key}
    for level in range(shape.levels):
        billed = drawn[f"billed_{level}"]
        inside = drawn.in_basket if level == 0 else ibis.ifelse(drawn.is_flat, drawn.in_basket, _int(0))
        charged = ibis.greatest(billed - inside, _int(0))
        exact = ibis.ifelse(
            charged > 0, drawn[f"call_{level}"] * 60 + drawn[f"minute_{level}"] * charged, _int(0)
        )
        exact = ibis.coalesce(ibis.least(exact, drawn[f"cap_{level}"]), _int(0))
        columns[f"row_{level}"] = ibis.coalesce(drawn[f"row_{level}"], NO_ROW)
        columns[f"billed_{level}"] = billed
        columns[f"inside_{level}"] = inside
        columns[f"price_{level}"] = divide(exact * 2 + 60_000, _int(120_000))
    return drawn.select(**columns).cast(result_schema(shape.levels))
