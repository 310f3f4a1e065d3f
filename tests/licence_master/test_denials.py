"""A denial tells to whom, who had the units then, when one frees, and what would help."""

import time
from pathlib import Path

from licence_master.service.past.lingering import Lingering
from licence_master.service.told.denials import denials
from licence_master.service.told.inquiry import why
from licensing import wire
from licensing.files import inventory
from licensing.files.inventory import Item
from tests.licence_master.test_answers import Agent, founded

HOUR_MS = 3_600_000


def event(n: int, name: str, what: str, at_ms: int, until_ms: int | None = None) -> wire.Activity:
    return wire.Activity(n, at_ms, name, "user", "seat", what, None, until_ms)  # type: ignore[arg-type]


def test_what_happens_to_an_object_ends_its_lingering() -> None:
    lingering = Lingering()
    gone = [event(1, "201", "lingering", 10, 100), event(2, "202", "lingering", 10, 50)]
    lingering.note("lyon", gone)
    pairs = [("lyon", "seat"), ("hq", "seat")]
    assert lingering.first(pairs, 20) == 50
    assert lingering.first(pairs, 50) == 100, "what is over frees nothing any more"
    lingering.note("lyon", [event(3, "202", "held", 20)])
    assert lingering.first(pairs, 20) == 100
    lingering.note("hq", [event(1, "201", "held", 20)])
    assert lingering.first(pairs, 20) == 100, "that is an object of another PBX"
    assert lingering.first([("hq", "seat")], 20) is None
    lingering.clear("lyon")
    assert lingering.first(pairs, 20) is None


async def test_a_denial_tells_the_whole_story(tmp_path: Path) -> None:
    now = time.time_ns() // 1_000_000
    async with founded(tmp_path) as (installation, _):
        writer = installation.writer
        change = inventory.install(writer.state, installation.assignments.catalogue, [Item("PBX-Port13", 2)])
        assert not isinstance(change, tuple)
        await writer.commit(change.state, change.events, "test")
        hq, lyon = await Agent(installation).join("hq"), await Agent(installation).join("lyon")
        began = now - HOUR_MS
        await hq.sync(1, 2, activity=(event(1, "201", "held", began), event(2, "202", "held", began)))
        await lyon.sync(1, 1, activity=(event(1, "301", "refused", now), event(2, "302", "refused", now - 1)))
        (told,) = await denials(installation, 9)
        assert (told.pbx, told.code, told.objects, told.more_objects) == (
            "lyon",
            "no_free_licence",
            ("301", "302"),
            0,
        )
        assert [(u.pbx, u.pool, u.units) for u in told.held_by] == [("hq", "port", 2)]
        assert [h.object for h in told.holders] == ["201", "202"]
        assert told.frees_ms is None
        assert told.helps == ("1 more of port, installed or freed",)
        assert (await denials(installation, 9, "lyon"))[0].holders == (), "a site hears names of its own only"
        gone = event(3, "202", "lingering", now, now + HOUR_MS)
        await hq.sync(2, 1, activity=(gone,))
        (told,) = await denials(installation, 9)
        assert told.frees_ms == now + HOUR_MS
        assert [(u.pbx, u.units) for u in told.held_by] == [("hq", 2)], "as it was when it was denied"
        assert [(u.pbx, u.units) for u in told.held_now] == [("hq", 1)]
        found = await why(installation, "301")
        assert found is not None
        assert [each.objects for each in found.denials] == [("301", "302")]
    async with founded(tmp_path) as (installation, _):
        (told,) = await denials(installation, 9)
        assert told.frees_ms == now + HOUR_MS, "also after a restart"


async def test_the_events_of_one_pbx_do_not_hide_those_of_another(tmp_path: Path) -> None:
    async with founded(tmp_path) as (installation, _):
        hq, lyon = await Agent(installation).join("hq"), await Agent(installation).join("lyon")
        await lyon.sync(1, 0, activity=(event(1, "201", "refused", 1),))
        noise = tuple(event(n, "201", "held" if n % 2 else "released", n + 1) for n in range(1, 101))
        await hq.sync(1, 0, activity=noise)
        found = await why(installation, "201", "lyon")
        assert found is not None
        assert [each.event for each in found.events] == ["refused"]
