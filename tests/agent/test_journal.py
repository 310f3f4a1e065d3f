"""The journal gives back what it was given, and forgets only what it was told to."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from agent.store import journal as journals
from agent.store.journal import Journal, Marks
from licensing import wire
from licensing.site.use import Leg, LineCall, Login, Use, Watch
from licensing.site.uses import Change
from runtime.store import StoreFailedError, StoreLockedError
from telephony.address import Flow
from telephony.binding import Binding, Registration

AT_MS = 1_795_000_000_000


@asynccontextmanager
async def opened(path: Path) -> AsyncIterator[Journal]:
    """A journal that commits, until the block ends."""
    journal = await Journal.open(path)
    await journal.marks()
    task = asyncio.create_task(journal.run())
    try:
        yield journal
    finally:
        journal.finish()
        await task
        await journal.close()


def registration(aor: str, *contacts: str, granted_s: int = 600) -> Registration:
    bindings = tuple(
        Binding(contact, Flow(0, "192.0.2.1", 5060), 10_000 + granted_s * 1_000, granted_s)
        for contact in contacts
    )
    return Registration(aor, aor.partition("@")[0], "user", bindings)


def event(number: int) -> wire.Activity:
    return wire.Activity(number, AT_MS, "201", "user", "seat", "held")


async def test_a_new_journal_is_empty(tmp_path: Path) -> None:
    async with opened(tmp_path / "agent.db") as journal:
        assert await journal.share() is None
        assert await journal.registrations() == []
        assert await journal.proven() == set()
        assert await journal.marks() == Marks()


async def test_registrations_come_back_oldest_first(tmp_path: Path) -> None:
    path = tmp_path / "agent.db"
    async with opened(path) as journal:
        await journal.replace(registration("300@a", "sip:300@h"), 10_000, AT_MS)
        await journal.replace(
            registration("200@a", "sip:200@h", "sip:200@i", granted_s=60), 10_000, AT_MS + 1
        )
        await journal.replace(registration("100@a", "sip:100@h"), 10_000, AT_MS + 2)
        await journal.replace(registration("300@a", "sip:300@k"), 10_000, AT_MS + 3)
        await journal.replace(registration("100@a"), 10_000, AT_MS + 4)
    async with opened(path) as journal:
        found = await journal.registrations()
        assert [(row.aor, [b.contact for b in row.bindings]) for row in found] == [
            ("300@a", ["sip:300@k"]),
            ("200@a", ["sip:200@h", "sip:200@i"]),
        ]
        binding = found[1].bindings[0]
        assert (binding.flow, binding.granted_s) == (Flow(0, "192.0.2.1", 5060), 60)
        assert await journal.proven() == {"100", "200", "300"}
        assert (await journal.marks()).longest_granted_s == 600


async def test_share_and_marks_come_back(tmp_path: Path) -> None:
    path = tmp_path / "agent.db"
    async with opened(path) as journal:
        await journal.keep_share(b"one")
        await journal.keep_share(b"two")
        await journal.keep_marks(clean_stop=1, flow_secret=b"\x00\xff", bypass_until_ms=AT_MS)
    async with opened(path) as journal:
        assert await journal.share() == b"two"
        marks = await journal.marks()
        assert (marks.clean_stop, marks.flow_secret, marks.bypass_until_ms) == (True, b"\x00\xff", AT_MS)


async def test_activity_waits_for_its_acknowledgement(tmp_path: Path) -> None:
    path = tmp_path / "agent.db"
    async with opened(path) as journal:
        journal.add_activity([event(1), event(2)])
        journal.add_activity([event(3)])
        journal.drop_activity(1)
    async with opened(path) as journal:
        assert [entry.n for entry in journal.activity()] == [2, 3]
        assert [entry.n for entry in journal.activity(1)] == [2]
        journal.drop_activity(3)
    async with opened(path) as journal:
        assert journal.activity() == ()
        assert (await journal.marks()).activity_last == 3, "numbers never start again"


async def test_activity_is_bounded_and_its_loss_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journals, "ACTIVITY_LIMIT", 3)
    path = tmp_path / "agent.db"
    async with opened(path) as journal:
        for number in range(1, 6):
            journal.add_activity([event(number)])
        assert [entry.n for entry in journal.activity()] == [3, 4, 5]
    async with opened(path) as journal:
        assert [entry.n for entry in journal.activity()] == [3, 4, 5]
        assert (await journal.marks()).activity_dropped == 2


async def test_one_process_at_a_time(tmp_path: Path) -> None:
    async with opened(tmp_path / "agent.db"):
        with pytest.raises(StoreLockedError):
            await Journal.open(tmp_path / "agent.db")


async def test_a_failed_write_ends_the_journal(tmp_path: Path) -> None:
    """Step down: who waits hears of it, nothing more is accepted, and `run` raises."""
    journal = await Journal.open(tmp_path / "agent.db")
    task = asyncio.create_task(journal.run())
    await journal._database.execute("DROP TABLE share")
    with pytest.raises(StoreFailedError):
        await journal.keep_share(b"x")
    with pytest.raises(StoreFailedError):
        await task
    with pytest.raises(StoreFailedError):
        journal.replace(registration("1@a", "sip:1@h"), 0, AT_MS)
    await journal.close()


async def test_uses_come_back_oldest_first_without_those_that_ended(tmp_path: Path) -> None:
    path = tmp_path / "agent.db"
    uses: list[Use] = [
        Leg("room/1", "c1", relay=True),
        LineCall("c1", "gw1", "pri1"),
        Login("anna", 13, "pc1"),
        Watch("support", "pc1", 13),
    ]
    async with opened(path) as journal:
        journal.keep_uses([Change(use.key, use) for use in uses])
        journal.keep_uses([Change(uses[1].key, None), Change(uses[0].key, uses[0])])
        await journal.barrier()
    async with opened(path) as journal:
        assert await journal.uses() == [*uses[2:], uses[0]]
