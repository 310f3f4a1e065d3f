"""Rating as one Ibis expression over four tables: what DuckDB runs embedded, Spark runs on a cluster.

Stages: distinct number openings -> longest prefix of each tariff slice -> terms of its row -> billed seconds
-> one window pass per basket -> price per level. All money and time are int64 and no negative is divided, so
that the engines' ideas of division and sign agree; the traps are listed in docs/billing.md. The right side
of a join is the small one: no engine can guess how few openings there are (decision 0050).
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

NO_ROW: Final = -1
NOT_COVERED: Final = -1
ENDLESS: Final = 2**62
"""A grace that no call outlasts."""

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
    """The expression; its tables are `calls`, `prefixes`, `rows` and `baskets`.

    Only calls of offers with baskets are kept for a second look; all others pass through.
    """
    calls = ibis.table(CALLS, name="calls")
    terms = _terms(_opened(calls, shape), shape).alias("terms")  # used twice, worked out once
    if not shape.baskets:
        return _priced(_outside(_billed(calls, terms, shape), shape), shape)
    baskets = ibis.table(baskets_schema(shape.baskets), name="baskets")
    offers = baskets.select("basket_offer").distinct()
    has_basket = calls.offer == offers.basket_offer
    rest = _outside(_billed(calls.anti_join(offers, has_basket), terms, shape), shape)
    drawn = _drawn(_billed(calls.semi_join(offers, has_basket), terms, shape), baskets, shape)
    return _priced(rest.union(drawn), shape)


def _int(value: int) -> Value:
    return ibis.literal(value, type="int64")


def _on(shape: Shape) -> tuple[str, ...]:
    return ("kind", "opening", "slice") if shape.changes else ("kind", "opening")


def _opened(calls: Table, shape: Shape) -> Table:
    """Each call with the opening of its number, as much as prefixes look at, and the slice of its day."""
    columns = {"opening": calls.number.substr(0, shape.longest)}
    if shape.changes:
        passed = (ibis.ifelse(calls.day >= change, 1, 0) for change in shape.changes)
        columns["slice"] = sum(passed, ibis.literal(0, type="int32")).cast("int32")
    return calls.mutate(**columns)


def _terms(calls: Table, shape: Shape) -> Table:
    """What each distinct opening costs at all levels, side by side: by the row of its longest prefix."""
    on, prefixes = _on(shape), ibis.table(PREFIXES, name="prefixes")
    exact = [name for name in on if name != "opening"]
    lengths = prefixes.select(cut=prefixes.length).distinct()
    openings = calls.select(*on).distinct().cross_join(lengths)
    starts = openings.mutate(start=openings.opening.substr(0, openings.cut))
    known = prefixes.select("level", "prefix", "row", "length", **{f"known_{name}": name for name in exact})
    same = [starts.start == known.prefix, starts.cut == known.length]
    found = starts.inner_join(known, same + [starts[name] == known[f"known_{name}"] for name in exact])
    rows = {
        f"row_{level}": ibis.coalesce(found.row.argmax(found.length, where=found.level == level), NO_ROW)
        for level in range(shape.levels)
    }
    matched = found.group_by(*on).aggregate(**rows)
    return _side_by_side(matched.rename({f"on_{name}": name for name in on}), shape)


def _side_by_side(found: Table, shape: Shape) -> Table:
    """The terms of the rows of all levels.

    A call that any level does not price never outlasts its grace: nothing is billed (suspense).
    """
    priced = ibis.and_(*(found[f"row_{level}"] != NO_ROW for level in range(shape.levels)))
    found = found.mutate(priced=priced)
    for level in range(shape.levels):
        own = _row_terms(level)
        found = found.left_join(own, found[f"row_{level}"] == own[f"match_{level}"]).drop(f"match_{level}")
    graces = {
        f"grace_{level}": ibis.ifelse(found.priced, found[f"grace_{level}"], _int(ENDLESS))
        for level in range(shape.levels)
    }
    return found.mutate(**graces).drop("priced")


def _row_terms(level: int) -> Table:
    """What a row says, prices as `_priced` wants them: doubled 60ths of nano-euro, the half for rounding in.

    Baskets look at the class of the customer's level alone; free calls take no minutes (B.r20).
    """
    rows = ibis.table(ROWS, name="rows")
    columns = {
        "match": rows.row, "first": rows.first, "next": rows.next, "grace": rows.grace,
        "call": rows.call * 120 + 60_000, "minute": rows.minute * 2, "cap": rows.cap * 2 + 60_000,
    }  # fmt: skip
    if level == 0:
        columns["class"] = ibis.ifelse(rows.is_free, ibis.null("string"), rows.class_)
    return rows.select(**{f"{name}_{level}": column for name, column in columns.items()})


def _billed(calls: Table, terms: Table, shape: Shape) -> Table:
    """Each call with its terms and billed seconds of each level (B.r18); 0 without talk or price."""
    on, calls = _on(shape), _opened(calls, shape)
    found = calls.left_join(terms, [calls[name] == terms[f"on_{name}"] for name in on])
    columns = {}
    for level in range(shape.levels):
        first, step = found[f"first_{level}"], found[f"next_{level}"]
        beyond = ibis.greatest(found.seconds - first, _int(0))
        billed = first + divide(beyond + step - 1, step) * step
        columns[f"billed_{level}"] = ibis.ifelse(found.seconds > found[f"grace_{level}"], billed, _int(0))
    return found.mutate(**columns)


def _outside(billed: Table, shape: Shape) -> Table:
    """Calls that take nothing of a basket."""
    return billed.mutate(in_basket=_int(0), is_flat=ibis.literal(False)).select(*_kept(shape))


def _drawn(billed: Table, baskets: Table, shape: Shape) -> Table:
    """Each call with the seconds that baskets take of it (B.r20): one pass for each rank of basket."""
    same = [billed.offer == baskets.basket_offer, billed.class_0 == baskets.basket_class]
    known = billed.left_join(baskets, same)
    takes = known.basket_offer.notnull() & (known.billed_0 > 0)
    inside = known.filter(takes).mutate(left=_.billed_0)
    for rank in range(shape.baskets):
        inside = _pass(inside, inside[f"limit_{rank}"])
    taken = inside.mutate(in_basket=_.billed_0 - _.left).select(*_kept(shape))
    return taken.union(_outside(known.filter(~takes), shape))


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
        charged = billed - inside
        exact = drawn[f"call_{level}"] + drawn[f"minute_{level}"] * charged
        price = divide(ibis.least(exact, drawn[f"cap_{level}"]), _int(120_000))
        columns[f"row_{level}"] = ibis.coalesce(drawn[f"row_{level}"], NO_ROW)
        columns[f"billed_{level}"] = billed
        columns[f"inside_{level}"] = inside
        columns[f"price_{level}"] = ibis.ifelse(charged > 0, price, _int(0))
    return drawn.select(**columns).cast(result_schema(shape.levels))
