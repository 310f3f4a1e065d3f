"""Who holds what, in memory and as a start finds it: written down now and then, and the events since."""

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from licence_master.service.past.holdings import Holder, Holdings
from licence_master.store import activity
from licence_master.store.activity import Seen
from licence_master.store.schema import HOLDERS, MIGRATIONS
from licensing import wire
from licensing.site.holders import digest, fingerprint
from runtime.store import Database, Statement, open_database

NAMES = st.sampled_from(["201", "202", "203", "carrier"])
EVENTS = st.sampled_from(["held", "released", "lingering", "refused", "surplus", "reported"])
HAPPENED = st.tuples(NAMES, EVENTS)
AGENTS = st.sampled_from(["hq", "lyon"])
# What an agent may tell: events, the names of a page, that it holds nothing; or the master starts again.
STEPS = st.one_of(
    st.tuples(AGENTS, st.lists(HAPPENED, min_size=1, max_size=4)),
    st.tuples(AGENTS, st.frozensets(NAMES)),
    st.tuples(AGENTS, st.none()),
)


def event(n: int, name: str, what: str) -> wire.Activity:
    return wire.Activity(n=n, at_ms=n, object=name, kind="user", class_="seat", event=what)  # type: ignore[arg-type]


def told(names: set[str]) -> dict[str, wire.HolderDigest]:
    fingerprints = 0
    for name in names:
        fingerprints ^= fingerprint(name)
    return {"seat": digest(len(names), fingerprints)}


@given(st.lists(st.tuples(st.sampled_from(["201", "202"]), EVENTS), max_size=30))
@settings(max_examples=300)
def test_holders_follow_the_events_and_their_digest_agrees(steps: list[tuple[str, str]]) -> None:
    holdings, model = Holdings(), dict[str, str]()
    for n, (name, what) in enumerate(steps):
        holdings.apply("lyon", [event(n, name, what)])
        if what in ("held", "surplus"):
            model[name] = what
        elif what in ("released", "lingering"):
            model.pop(name, None)
        assert {holder.object: holder.state for holder in holdings.all()} == model
        held = {name for name, state in model.items() if state == "held"}
        assert holdings.doubted("lyon", told(held)) == ()
        assert holdings.doubted("lyon", told(held | {"9"})) == ("seat",)


@given(st.sets(st.text(min_size=1, max_size=3)), st.sets(st.text(min_size=1, max_size=3)), st.integers(1, 4))
def test_pages_make_the_list_what_the_agent_says(before: set[str], after: set[str], size: int) -> None:
    holdings = Holdings()
    holdings.apply("lyon", [event(n, name, "held") for n, name in enumerate(before)])
    names, last_name = sorted(after), ""
    for start in range(0, max(len(names), 1), size):
        part = tuple(names[start : start + size])
        page = wire.HolderPage("seat", last_name, part, last=start + size >= len(names))
        holdings.correct("lyon", page, 0)
        last_name = part[-1] if part else last_name
    assert {holder.object for holder in holdings.all()} == after
    assert holdings.doubted("lyon", told(after)) == ()


async def stored(database: Database) -> Holdings:
    """As `assemble` reads them at a start."""
    found = Holdings(await activity.holders(database), write_after=3)
    async for agent, events in activity.since_holders(database):
        found.follow(agent, events)
    return found


def told_by(holdings: Holdings, agent: str, what: object, n: int) -> list[Statement]:
    """The statements of one step, in the order of the history's."""
    match what:
        case None:
            return [*holdings.clear(agent), activity.saw(Seen(agent, n, n))]
        case frozenset():
            page = wire.HolderPage("seat", "", tuple(sorted(map(str, what))), last=True)
            return [*holdings.correct(agent, page, n), activity.saw(Seen(agent, n, n))]
        case _:
            assert isinstance(what, list)
            events = [event(n, *happened) for happened in what]
            seen = activity.saw(Seen(agent, n, n))
            return [*activity.add(agent, events), *holdings.apply(agent, events), seen]


def by_name(holders: Sequence[Holder]) -> set[tuple[str, str, str]]:
    return {(holder.agent, holder.object, holder.state) for holder in holders}


@given(st.lists(STEPS, max_size=20))
@settings(max_examples=100, deadline=None)
def test_a_start_finds_whom_the_memory_had(steps: list[tuple[str, object]]) -> None:
    """After every step, whatever was written down and whatever came after it; also after several starts."""

    async def follow() -> None:
        with TemporaryDirectory() as folder:
            database = await open_database(Path(folder) / "acme.db", MIGRATIONS, synchronous="NORMAL")
            try:
                holdings = Holdings(write_after=3)
                for n, (agent, what) in enumerate(steps, start=1):
                    await database.write(told_by(holdings, agent, what, n))
                    again = await stored(database)
                    assert by_name(again.all()) == by_name(holdings.all())
                    if n % 5 == 0:
                        holdings = again
            finally:
                await database.close()

    asyncio.run(follow())


async def test_holders_of_an_older_store_are_read(tmp_path: Path) -> None:
    path, before = tmp_path / "acme.db", MIGRATIONS[: MIGRATIONS.index(HOLDERS)]
    rows = [
        ["hq", "seat", "201", "held", 5],
        ["hq", "seat", '9"9', "surplus", 7],
        ["hq", "seat", "a\0b", "surplus", 7],
        ["hq", "seat", "a\0c", "surplus", 8],
        ["hq", "uc", "201", "held", 6],
    ]
    database = await open_database(path, before)
    written = [("hq", 0, json.dumps(rows).encode()), ("lyon", 0, b"[]")]
    await database.write([("INSERT INTO holding VALUES (?, ?, ?)", written)])
    await database.close()
    database = await open_database(path, MIGRATIONS)
    found = Holdings(await activity.holders(database))
    await database.close()
    assert [[h.agent, h.class_, h.object, h.state, h.since_ms] for h in found.all()] == rows
    assert found.doubted("hq", told({"201"}) | {"uc": told({"201"})["seat"]}) == ()
