"""The default table of destinations for lines in France and Italy, out of the data file that is shipped."""

import csv
from collections.abc import Sequence
from functools import cache
from importlib.resources import files

from billing.core.destinations import Destination


@cache
def destinations(country: str) -> Sequence[Destination]:
    """The blocks as a line in this country (FR or IT) sees them; of two for one the earlier row counts."""
    text = files("billing").joinpath("data/destinations.csv").read_text(encoding="utf-8")
    rows = csv.DictReader(line for line in text.splitlines() if not line.startswith("#"))
    found: dict[tuple[str, str], Destination] = {}
    for row in rows:
        if row["country"] in (country, "*"):
            made = Destination(row["kind"], row["prefix"], row["class"], row["label"], row["source"])
            found.setdefault((made.kind, made.prefix), made)
    return tuple(found.values())
