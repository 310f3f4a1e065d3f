"""The statement of one price level: calls and amounts by account and class, exact to the micro-euro.

A customer's and a reseller's statement are made of different rows, and no row knows the other's price.
Source: seed 002 (two prices); B.E18, B.E19.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from billing.core.detail import Detail
from billing.edges.artefacts.detail_csv import csv_of
from billing.edges.pdf import plain
from billing.edges.pdf.catalogue import Catalogue, catalogue
from billing.edges.pdf.figures import clock, micro
from billing.edges.pdf.usage import days_plot, labels

COLUMNS = ("account", "class", "calls", "seconds", "billed_seconds", "included_seconds", "amount")


class LevelError(ValueError):
    """Calls of another price level than the statement's: it would tell somebody what somebody else pays."""


@dataclass(frozen=True, slots=True)
class Used:
    """What an account used of a class. Times in seconds, amount in micro-euro."""

    account: str
    class_: str
    calls: int
    seconds: int
    billed_seconds: int
    in_basket_seconds: int
    amount: int


def used(details: Sequence[Detail], level: str) -> list[Used]:
    """One row for each account and class, in their order; LevelError for a call of another level."""
    strange = sorted({detail.level for detail in details} - {level})
    if strange:
        raise LevelError(f"statement of {level}: found calls priced for {', '.join(strange)}")
    ordered = sorted(details, key=lambda detail: (detail.account, detail.class_))
    return [
        summed(list(calls)) for _, calls in groupby(ordered, key=lambda each: (each.account, each.class_))
    ]


def summed(calls: Sequence[Detail]) -> Used:
    """The sum of calls of one account and class."""
    return Used(
        calls[0].account,
        calls[0].class_,
        len(calls),
        sum(call.seconds for call in calls),
        sum(call.billed_seconds for call in calls),
        sum(call.in_basket_seconds for call in calls),
        sum(call.price for call in calls),
    )


def statement_files(
    details: Sequence[Detail], level: str, period: int, language: str, whose: str
) -> dict[str, bytes]:
    """`statement.csv` and `statement.html` of one level; `whose` heads the page."""
    rows = used(details, level)
    table = [
        (
            row.account,
            row.class_,
            str(row.calls),
            str(row.seconds),
            str(row.billed_seconds),
            str(row.in_basket_seconds),
            micro(row.amount),
        )
        for row in rows
    ]
    return {
        "statement.csv": csv_of(COLUMNS, table),
        "statement.html": page(rows, details, period, catalogue(language), whose),
    }


def page(rows: Sequence[Used], details: Sequence[Detail], period: int, words: Catalogue, whose: str) -> bytes:
    """For people: the same rows, their total, and the days."""
    title = f"{words.say('statement')} {period // 100}-{period % 100:02} {whose}".strip()
    keys = ("class", "call_count", "billed", "included", "net")
    columns = [words.say("account", name="").strip(), *(words.say(key) for key in keys)]
    total = micro(sum(row.amount for row in rows))
    classes = sorted({row.class_ for row in rows})
    blocks = [
        plain.heading(title),
        plain.table(columns, cells(rows, words, labels((each.class_, each.label) for each in details))),
        plain.pairs([(words.say("total"), f"{total} EUR")]),
        days_plot(period, details, classes, words),
    ]
    return plain.document(words.language, title, blocks)


def cells(rows: Sequence[Used], words: Catalogue, named: Mapping[str, str]) -> Iterator[tuple[str, ...]]:
    """The rows as people read them; `named` are the tariff's labels of classes."""
    for row in rows:
        yield (
            row.account,
            words.item(row.class_, named[row.class_]),
            str(row.calls),
            clock(row.billed_seconds),
            clock(row.in_basket_seconds),
            micro(row.amount),
        )
