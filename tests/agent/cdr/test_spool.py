"""The spool keeps what it was given, once, in batches that are never cut anew after they left."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from agent.store.cdr_row import Row
from agent.store.enrolment import SPOOL_FILE
from agent.store.spool import Position, Spool
from agent.store.spool_reader import SpoolReader
from telephony.cdr.asterisk import custom_parser
from telephony.cdr.reading import Part, Quarantined, Reading, Reason
from telephony.cdr.record import Cdr
from telephony.cdr.wire import Record, Unread
from tests.agent.cdr.calls import call_ref, line
from tests.telephony.cdr.samples import ORIGIN, records

AT_MS = 1_795_000_000_000
MIB = 1_048_576
SOURCE = ORIGIN.source


@asynccontextmanager
async def opened(path: Path, most_bytes: int = MIB) -> AsyncIterator[Spool]:
    """A spool that commits, until the block ends."""
    spool = await Spool.open(path / SPOOL_FILE, most_bytes)
    task = asyncio.create_task(spool.run())
    try:
        yield spool
    finally:
        spool.finish()
        await task
        await spool.close()


def cdr(number: int, seconds: int = 60) -> Cdr:
    (record,) = records(custom_parser(ORIGIN).feed(line(number, seconds), AT_MS))
    return record


async def kept(spool: Spool, *readings: Reading) -> None:
    await spool.keep(SOURCE, readings, AT_MS)


def size(row: Row) -> int:
    return len(row.body)


async def next_refs(spool: Spool, most_bytes: int = MIB) -> tuple[int, list[str]]:
    """Number of the next batch and what is in it."""
    outgoing = await spool.outgoing(size, most_bytes)
    assert outgoing is not None
    return outgoing.number, [row.read().call_ref for row in outgoing.rows]


async def test_the_same_record_twice_is_one_and_another_of_its_key_a_conflict(tmp_path: Path) -> None:
    async with opened(tmp_path) as spool:
        await kept(spool, cdr(1), cdr(1), cdr(1, seconds=61))
        await kept(spool, dataclasses.replace(cdr(1), raw=b"by another transport"))
        outgoing = await spool.outgoing(size, MIB)
        assert outgoing is not None
        assert [row.kind for row in outgoing.rows] == ["record", "conflict"]
        await spool.answered(1)
        await kept(spool, cdr(1))
        assert await spool.outgoing(size, MIB) is None
        await spool.measure()
        assert (spool.waiting, spool.waiting_bytes) == (0, 0)


async def test_unreadable_bytes_are_kept_once_with_their_reason(tmp_path: Path) -> None:
    async with opened(tmp_path) as spool:
        for _ in range(2):
            await kept(spool, Quarantined(b"\xff", Reason.MALFORMED, "no CSV"))
        outgoing = await spool.outgoing(size, MIB)
        assert outgoing is not None
        (row,) = outgoing.rows
        assert row.read() == Unread(SOURCE, Reason.MALFORMED, "no CSV", b"\xff", AT_MS)


async def test_parts_stay_until_their_call_is_over(tmp_path: Path) -> None:
    async with opened(tmp_path) as spool:
        await kept(spool, Part("", b"names"), Part("a", b"1"), Part("b", b"2"), Part("", b"new names"))
        await kept(spool, dataclasses.replace(cdr(1), call_ref="a"))
        await kept(spool, Quarantined(b"?", Reason.INVALID, ""))
    async with opened(tmp_path) as spool:
        assert [part.raw for part in await spool.parts(SOURCE)] == [b"2", b"new names"]
        assert await spool.parts("acme/lyon/other") == []


async def test_a_place_in_a_file_is_kept_with_what_was_read_up_to_it(tmp_path: Path) -> None:
    place = Position("Custom.csv", 120, b"before")
    async with opened(tmp_path) as spool:
        await spool.keep(SOURCE, [cdr(1)], AT_MS, position=place)
    async with opened(tmp_path) as spool:
        assert await spool.positions(SOURCE) == {"Custom.csv": place}
        await spool.forget_file(SOURCE, "Custom.csv")
        assert await spool.positions(SOURCE) == {}


async def test_a_batch_that_left_is_the_same_after_a_crash_and_more_records(tmp_path: Path) -> None:
    async with opened(tmp_path) as spool:
        await kept(spool, *map(cdr, range(3)))
        two = len((await spool.records_behind(0, 1))[0].body) * 2 + 10
        assert await next_refs(spool, two) == (1, [call_ref(0), call_ref(1)])
        await kept(spool, cdr(3))
        name = spool.name
    async with opened(tmp_path) as spool:
        assert spool.name == name
        assert await next_refs(spool) == (1, [call_ref(0), call_ref(1)])
        assert await spool.answered(1)
        assert await next_refs(spool) == (2, [call_ref(2), call_ref(3)])
        await spool.answered(2)
    async with opened(tmp_path) as spool:
        assert await spool.outgoing(size, MIB) is None


async def test_a_master_that_forgot_gets_again_what_it_lost(tmp_path: Path) -> None:
    async with opened(tmp_path) as spool:
        for number in range(3):
            await kept(spool, cdr(number))
            await next_refs(spool)
            await spool.answered(number + 1)
        await kept(spool, cdr(3))
        assert await next_refs(spool) == (4, [call_ref(3)])
        assert not await spool.answered(1)
        assert await next_refs(spool) == (2, [call_ref(1), call_ref(2), call_ref(3)])


async def test_a_spool_that_is_an_old_copy_takes_a_new_name(tmp_path: Path) -> None:
    async with opened(tmp_path) as spool:
        await kept(spool, cdr(0))
        await next_refs(spool)
        name = spool.name
        assert not await spool.answered(5)
        assert spool.name != name
        assert await next_refs(spool) == (1, [call_ref(0)])


async def test_it_is_full_at_its_limit_and_takes_on_after_delivery(tmp_path: Path) -> None:
    async with opened(tmp_path, most_bytes=1_000) as spool:
        await kept(spool, *map(cdr, range(5)))
        assert spool.full
        await next_refs(spool)
        await spool.answered(1)
        assert not spool.full


async def test_only_what_the_master_has_is_pruned(tmp_path: Path) -> None:
    async with opened(tmp_path) as spool:
        await kept(spool, cdr(0))
        await next_refs(spool)
        await spool.answered(1)
        await kept(spool, cdr(1))
        await spool.prune(AT_MS + 1, 2**53)
        assert [row.read().call_ref for row in await spool.records_behind(0, 10)] == [call_ref(1)]
    async with opened(tmp_path) as spool:
        assert await next_refs(spool) == (2, [call_ref(1)])


async def test_numbers_go_on_when_all_was_pruned(tmp_path: Path) -> None:
    async with opened(tmp_path) as spool:
        await kept(spool, cdr(0))
        await next_refs(spool)
        await spool.answered(1)
        await spool.prune(AT_MS + 1, 2**53)
    async with opened(tmp_path) as spool:
        await kept(spool, cdr(1))
        assert await next_refs(spool) == (2, [call_ref(1)])


async def delivered(spool: Spool, *numbers: int, source: str = SOURCE) -> int:
    """These records are one batch that the master has; its number."""
    await spool.keep(source, [dataclasses.replace(cdr(number), source=source) for number in numbers], AT_MS)
    number, _ = await next_refs(spool)
    assert await spool.answered(number)
    return number


async def test_what_was_dropped_is_lost_with_a_master_that_forgot_it(tmp_path: Path) -> None:
    """Of the batches that it has not, whatever was dropped of those before; and known after a restart."""
    async with opened(tmp_path) as spool:
        first = await delivered(spool, 1, 2)
        await delivered(spool, 3, 4, 5)
        await delivered(spool, 6, source="acme/lyon/other")
        await spool.prune(AT_MS + 1, spool.kept_last)
        last = await delivered(spool, 7)
        assert not await spool.answered(last - 1), "one batch behind: nothing of it was dropped"
        assert spool.lost == {}
        assert await next_refs(spool) == (last, [call_ref(7)])
        assert await spool.answered(last)
        assert not await spool.answered(first)
        assert spool.lost == {SOURCE: 3, "acme/lyon/other": 1}
    async with opened(tmp_path) as spool:
        assert spool.lost == {SOURCE: 3, "acme/lyon/other": 1}
        number, refs = await next_refs(spool)
        assert (number, refs) == (first + 1, [call_ref(7)])
        assert await spool.answered(number)
        assert not await spool.answered(0)
        assert spool.lost == {SOURCE: 5, "acme/lyon/other": 1}, "those of the first batch too, none twice"


async def test_an_old_copy_of_a_spool_has_lost_nothing(tmp_path: Path) -> None:
    """The master has more than it sent: it has what was dropped too."""
    async with opened(tmp_path) as spool:
        number = await delivered(spool, 1)
        await spool.prune(AT_MS + 1, spool.kept_last)
        assert not await spool.answered(number + 5)
        assert spool.lost == {}
        await kept(spool, cdr(2))
        number, _ = await next_refs(spool)
        assert await spool.answered(number)
        assert not await spool.answered(0)
        assert spool.lost == {}, "what was dropped under the old name is no batch of the new one"


async def test_batches_that_are_forgotten_still_count_what_was_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.store.spool.BATCHES_KEPT", 2)
    async with opened(tmp_path) as spool:
        for number in range(1, 7):
            await delivered(spool, number)
            await spool.prune(AT_MS + 1, spool.kept_last)
        assert not await spool.answered(5)
        assert spool.lost == {SOURCE: 1}
        assert not await spool.answered(0)
        assert spool.lost == {SOURCE: 6}


async def test_a_range_is_sent_again_and_what_waits_is_not_moved(tmp_path: Path) -> None:
    async with opened(tmp_path) as spool:
        await kept(spool, cdr(0), cdr(10))
        await next_refs(spool)
        await spool.answered(1)
        await kept(spool, cdr(1))
        begin = cdr(0).end_ms
        assert await spool.send_again(begin, begin + 5_000) == 1
        assert await next_refs(spool) == (2, [call_ref(1), call_ref(0)])


async def test_it_is_read_by_end_while_it_is_written(tmp_path: Path) -> None:
    async with opened(tmp_path) as spool:
        await kept(spool, cdr(2), cdr(0), cdr(1), cdr(1, seconds=5), Quarantined(b"?", Reason.INVALID, ""))
        reader = SpoolReader.open(tmp_path / SPOOL_FILE)
        begin = cdr(0).end_ms
        assert [record.call_ref for record in reader.records(begin, begin + 2_000)] == [
            call_ref(0),
            call_ref(1),
        ]
        assert reader.count(begin, begin + 2_000) == 2
        reader.close()


async def test_a_row_is_the_record_of_the_wire(tmp_path: Path) -> None:
    async with opened(tmp_path) as spool:
        await kept(spool, cdr(1))
        (row,) = await spool.records_behind(0, 10)
        record = row.read()
        assert isinstance(record, Record)
        assert record.raw == line(1).removesuffix(b"\n")
