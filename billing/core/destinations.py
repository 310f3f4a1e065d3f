"""Destinations, and which of them a tariff does not price; the table is billing/data/destinations.csv."""

from collections.abc import Iterable, Sequence
from datetime import date
from typing import NamedTuple

from billing.core.tariff import Tariff


class Destination(NamedTuple):
    """A block of numbers; `kind` and `prefix` as in a tariff."""

    kind: str
    prefix: str
    class_: str
    label: str
    source: str
    """Whose numbering plan it is from."""


def unpriced(tariff: Tariff, wanted: Iterable[Destination], day: date) -> Sequence[Destination]:
    """The destinations that no row of the tariff prices on this day, not even in part."""
    valid = {(row.kind, row.prefix) for row in tariff.rows if row.valid(day)}
    return [
        each
        for each in wanted
        if tariff.covering(each.kind, each.prefix, day) is None
        and not any(kind == each.kind and prefix.startswith(each.prefix) for kind, prefix in valid)
    ]
