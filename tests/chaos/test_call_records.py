"""Call records at a master that is killed, and on a full disk: every acknowledged one exactly once."""

import asyncio
import contextlib
import random
import shutil
import sqlite3
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import msgspec
import pytest

from telephony.cdr.wire import Batch, BatchAnswer, Record
from tests.chaos.conftest import CHAOS
from tests.chaos.small_disk import SmallDisk
from tests.chaos.test_disk import BALLAST, SIZE, DiskMaster
from tests.licence_master.conftest import join
from tests.licence_master.master import Master
from tests.licence_master.recorder import Recorder

KILLS = 200 if CHAOS else 10
BATCHES_A_KILL = 12
PBXS = ("hq", "lyon", "nice")
UNHURRIED = ", agent_per_s: 10000, address_per_s: 10000"

Kept = set[tuple[object, ...]]


def kept_in(index: Path) -> Kept:
    """Key and duration of each record, of a copy; none may be there twice."""
    with TemporaryDirectory() as folder:
        for suffix in ("", "-wal"):
            with contextlib.suppress(FileNotFoundError):
                shutil.copy(index.with_name(index.name + suffix), folder)
        with closing(sqlite3.connect(Path(folder) / index.name)) as store:
            found = store.execute("SELECT source, call_ref, leg, talk_s FROM call").fetchall()
            assert store.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert len(found) == len(set(found))
    assert len({row[:3] for row in found}) == len(found), "one key twice"
    return set(found)


def counted_in(index: Path) -> Counter[str]:
    with closing(sqlite3.connect(f"file:{index}?mode=ro", uri=True)) as store:
        return Counter(dict(store.execute("SELECT verdict, sum(count) FROM arrived GROUP BY verdict")))


def row(record: Record) -> tuple[object, ...]:
    return (record.source, record.call_ref, record.leg, record.talk_s)


@dataclass
class Sender:
    """An agent that delivers its spool badly: it repeats, goes ahead, and tells a record again as another."""

    recorder: Recorder
    drawn: random.Random
    taken: Callable[[], None]
    spool: list[Batch] = field(default_factory=list)
    acknowledged: int = 0
    first: dict[str, Record] = field(default_factory=dict)
    told: Counter[str] = field(default_factory=Counter)

    def more(self) -> None:
        """A batch behind the others: new records, some that were sent before, some of them changed."""
        records = []
        for _ in range(self.drawn.randrange(1, 25)):
            if self.first and self.drawn.random() < 0.2:
                record = self.drawn.choice(list(self.first.values()))
                if self.drawn.random() < 0.3:
                    record = msgspec.structs.replace(
                        record, talk_s=record.talk_s + self.drawn.randrange(1, 9)
                    )
                    self.told["conflict"] += 1
                else:
                    self.told["duplicate"] += 1
            else:
                record = self.recorder.record()
                self.first[record.call_ref] = record
                self.told["kept"] += 1
            records.append(record)
        self.spool.append(self.recorder.batch(records, number=len(self.spool) + 1))

    async def deliver(self) -> None:
        """One message, mostly the right one; what the answer says is durable."""
        turn = self.acknowledged + self.drawn.choice([0, 1, 1, 1, 1, 2, 3])
        said = await self.recorder.post(self.spool[min(max(1, turn), len(self.spool)) - 1])
        if said.status == 429:
            return
        answer = said.decoded(BatchAnswer)
        assert answer.kept >= self.acknowledged, "it lost what it had acknowledged"
        if answer.kept > self.acknowledged:  # by more than one where kills hid what became of some
            self.acknowledged = answer.kept
            self.taken()


@pytest.mark.timeout(7_200 if CHAOS else 120)
async def test_kill_9_of_the_master_loses_no_record_and_keeps_none_twice(
    tmp_path: Path, seed: int, record_property: Callable[[str, object], None]
) -> None:
    """B.I3: killed at any moment, everything sent again: the same as without the crash."""
    drawn = random.Random(seed)
    master = Master(tmp_path, agents=UNHURRIED)
    master.init()
    index = master.ledger().with_name("calls.db")
    progress, serving, over = asyncio.Semaphore(0), asyncio.Event(), asyncio.Event()

    async def work(sender: Sender) -> None:
        while not over.is_set():
            await serving.wait()
            while len(sender.spool) < sender.acknowledged + 3:
                sender.more()
            try:
                await sender.deliver()
            except httpx.TransportError:  # killed: what became of the batch is not known
                await serving.wait()
                await sender.recorder.peer.move_to(master.url)

    with master:
        await asyncio.to_thread(master.start)
        peers = [await join(master, pbx) for pbx in PBXS]
        senders = [
            Sender(Recorder(peer), random.Random(drawn.getrandbits(32)), progress.release) for peer in peers
        ]
        serving.set()
        async with asyncio.TaskGroup() as group:
            for sender in senders:
                group.create_task(work(sender))
            for _ in range(KILLS):
                for _ in range(drawn.randrange(1, BATCHES_A_KILL)):
                    await progress.acquire()
                serving.clear()
                await asyncio.to_thread(master.kill)
                promised = {
                    row(r) for each in senders for b in each.spool[: each.acknowledged] for r in b.records
                }
                firsts = {row(r) for each in senders for r in each.first.values()}
                assert promised & firsts <= kept_in(index) <= firsts
                await asyncio.to_thread(master.start)
                serving.set()
            over.set()
        for sender in senders:
            while sender.acknowledged < len(sender.spool):
                await sender.deliver()
            await sender.recorder.peer.http.aclose()
        assert kept_in(index) == {row(r) for each in senders for r in each.first.values()}
        told = sum((each.told for each in senders), Counter[str]())
        assert counted_in(index) == told, "each batch was counted once"
    batches = sum(each.acknowledged for each in senders)
    record_property("measured", f"{KILLS} kills, {batches} batches, {dict(told)}: each exactly once")


@pytest.mark.timeout(120)
async def test_a_full_disk_refuses_records_and_keeps_what_it_has(tmp_path: Path) -> None:
    with SmallDisk(tmp_path / "data", SIZE) as disk, DiskMaster(tmp_path, disk) as master:
        await asyncio.to_thread(master.command, "init")
        await asyncio.to_thread(master.start)
        index = master.ledger().with_name("calls.db")
        async with await join(master, "lyon") as peer:
            lyon = Recorder(peer)
            acknowledged: Kept = set()

            async def send(size: int) -> str:
                """The code of the refusal; "": taken."""
                record = msgspec.structs.replace(lyon.record(), raw=bytes(size))
                said = await lyon.post(lyon.batch([record]))
                if said.status != 200:
                    assert peer.is_signed(said)
                    return said.code
                lyon.number = said.decoded(BatchAnswer).kept
                acknowledged.add(row(record))
                return ""

            assert await send(10) == ""
            for _ in range(400):
                if code := await send(20_000):
                    break
            assert code == "disk_full"
            assert len(acknowledged) > 5
            assert disk.free > BALLAST // 4, "what licences need is still there"
            assert kept_in(index) == acknowledged
            await peer.sync({"seat": 0})
            assert peer.last is not None
            assert peer.last.status == 200

            await asyncio.to_thread(master.kill)
            assert kept_in(index) == acknowledged
