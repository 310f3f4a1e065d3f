"""A master's store with a long past, written by the product's own store code: `python -m bench.filled`.

Phones of each site come, linger and leave all year, some are refused; the ledger has the shares that moved
meanwhile. The master must not run. Deterministic: the same words give the same past.
"""

import argparse
import asyncio
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from licence_master.store import activity, ledger
from licence_master.store.activity import Denied, Holders, Seen
from licence_master.store.ledger import Entry
from licence_master.store.schema import MIGRATIONS
from licensing import wire
from licensing.ledger import AnyEvent, ShareChanged, replay
from runtime.store import Database, Statement, open_database

SYNC = 100  # events that one sync brings
COMMIT = 10_000
LINGER_MS = 120_000
DENIED_EVERY = 400
CLASS = "seat"


@dataclass
class Site:
    """One site: who is there, and how far its events are numbered."""

    name: str
    dice: random.Random
    objects: int
    n: int = 0

    def __post_init__(self) -> None:
        """Nobody is there."""
        self.there: dict[str, int] = {}

    def events(self, at_ms: int, count: int, step_ms: int) -> list[wire.Activity]:
        """What happens at this site in one stretch of time."""
        told: list[wire.Activity] = []
        while len(told) < count:
            at_ms += step_ms
            name = f"{self.name}-{self.dice.randrange(self.objects)}"
            if self.dice.randrange(DENIED_EVERY) == 0 and name not in self.there:
                told.append(self._event(at_ms, name, "refused", "no_free_licence"))
            elif name in self.there:
                del self.there[name]
                told.append(self._event(at_ms, name, "lingering", None, at_ms + LINGER_MS))
                told.append(self._event(at_ms + LINGER_MS, name, "released"))
            else:
                self.there[name] = at_ms
                told.append(self._event(at_ms, name, "held"))
        return told

    def _event(
        self, at_ms: int, name: str, event: str, code: str | None = None, until_ms: int | None = None
    ) -> wire.Activity:
        self.n += 1
        return wire.Activity(self.n, at_ms, name, "user", CLASS, event, code, until_ms)  # type: ignore[arg-type]


def past(
    sites: Sequence[Site], rows: int, begin_ms: int, end_ms: int
) -> Iterator[tuple[Site, list[wire.Activity]]]:
    """Every sync of every site between these times."""
    rounds = rows // (SYNC * len(sites))
    length = (end_ms - begin_ms) // max(1, rounds)
    for number in range(rounds):
        for site in sites:
            yield site, site.events(begin_ms + number * length, SYNC, (length - LINGER_MS) // SYNC)


async def fill(store: Path, rows: int, events: int, objects: int, begin_ms: int, end_ms: int) -> int:
    """Write it all behind what is there; the rows of activity."""
    database = await open_database(store, MIGRATIONS, synchronous="NORMAL")
    try:
        entries = await ledger.entries(database)
        names = sorted(replay(entry.event for entry in entries).pbxs)
        sites = [Site(name, random.Random(name), objects // len(names)) for name in names]
        await _write_ledger(database, entries[-1], names, events, begin_ms)
        written, waiting = 0, list[Statement]()
        for number, (site, told) in enumerate(past(sites, rows, begin_ms, end_ms)):
            waiting += activity.add(site.name, told)
            waiting += _denials(site.name, number, told)
            written += len(told)
            if written % COMMIT < SYNC:
                await database.write(waiting)
                waiting = []
        for site in sites:
            held = {CLASS: Holders(site.there, {})}
            waiting += [activity.holding(site.name, held), activity.saw(Seen(site.name, end_ms, site.n))]
        await database.write(waiting)
    finally:
        await database.close()
    return written


async def _write_ledger(
    database: Database, last: Entry, names: Sequence[str], events: int, at_ms: int
) -> None:
    dice = random.Random(0)
    for start in range(0, events, COMMIT):
        changes: list[AnyEvent] = []
        for number in range(start, min(start + COMMIT, events)):
            units = dice.randrange(1, 100)
            changes.append(ShareChanged(names[number % len(names)], CLASS, units, 13, {"port": units}))
        rows = ledger.chain(changes, last.seq + 1, last.hash, last.term, at_ms, "agent:bench")
        await database.write(ledger.append(rows))
        last = rows[-1]


def _denials(agent: str, number: int, told: Sequence[wire.Activity]) -> list[Statement]:
    detail = wire.Denial(asked=101, granted=100, code="no_free_licence", capacity=1_000, used=1_000)
    refused = [event for event in told if event.event == "refused"]
    return [
        activity.deny(
            Denied(number * SYNC + place + 1, agent, CLASS, detail.code, event.at_ms, event.at_ms, 1, detail)
        )
        for place, event in enumerate(refused)
    ]


def main() -> None:
    """Read the words and write."""
    parser = argparse.ArgumentParser(prog="python -m bench.filled", description=__doc__)
    parser.add_argument("store", type=Path)
    for name in ("rows", "events", "objects", "begin_ms", "end_ms"):
        parser.add_argument(name, type=int)
    given = parser.parse_args()
    words = (given.rows, given.events, given.objects, given.begin_ms, given.end_ms)
    print(asyncio.run(fill(given.store, *words)))


if __name__ == "__main__":
    main()
