"""A master is killed under load and its log is damaged: what opens is a prefix, and the agents find it out.

kill -9 keeps what the kernel has: only a damaged log shows what a power cut on a lying disk would do.
"""

import asyncio
import base64
import contextlib
import random
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx
import msgspec
import pytest

from licence_master.store import ledger
from licence_master.store.ledger import Entry
from licence_master.store.schema import MIGRATIONS
from licensing import administration, wire
from licensing.codes import Code, Refusal
from licensing.ledger import RecoveryStarted, replay
from licensing.lender import allocator, contact
from licensing.lender.contact import Contact, Fresh, Rejected
from licensing.state import State
from runtime.store import open_database
from tests.chaos.conftest import CHAOS
from tests.chaos.damage import current_end, damaged, generation
from tests.licence_master.conftest import join, stock
from tests.licence_master.master import Master
from tests.licence_master.peer import Peer, happened

CASES = 10_000 if CHAOS else 300
SERVED = 20 if CHAOS else 2
SITES = ("hq", "lyon", "nice")
CAPACITY = 40


@dataclass(frozen=True)
class Killed:
    """What a kill left on the disk, the history that was there, and the agents as they are."""

    master: Master
    database: bytes
    wal: bytes
    history: list[Entry]
    peers: tuple[Peer, ...]

    def place(self, wal: bytes, folder: Path) -> Path:
        """A store with this log."""
        folder.mkdir(exist_ok=True)
        for path in folder.iterdir():
            path.unlink()
        (folder / "ledger.db").write_bytes(self.database)
        (folder / "ledger.db-wal").write_bytes(wal)
        return folder / "ledger.db"


async def demand(peer: Peer, drawn: random.Random) -> None:
    """Ask until the master is gone; the last answer is what the agent holds."""
    step = 0
    with contextlib.suppress(httpx.TransportError):
        while True:
            step += 1
            events = [happened(step, f"{drawn.randrange(99)}")]
            class_ = "virtual_seat" if peer.name == "nice" else "seat"
            await peer.sync({class_: drawn.randrange(25)}, activity=events)


@contextlib.asynccontextmanager
async def killed_under_load(home: Path, seed: int) -> AsyncIterator[Killed]:
    """A master whose log has begun anew at least once, killed in the middle of its work."""
    async with AsyncExitStack() as stack:
        master = stack.enter_context(Master(home).init().start())
        stock(master, f"PBX-Port13,{CAPACITY}", f"PBX-IPVA13,{CAPACITY}")
        peers = [await stack.enter_async_context(await join(master, name)) for name in SITES]
        log = master.ledger().with_name("ledger.db-wal")
        drawn = random.Random(seed)
        running = [asyncio.create_task(demand(peer, random.Random(drawn.random()))) for peer in peers]
        began = generation(log.read_bytes()[:32])
        while (
            generation((wal := log.read_bytes())[:32]) == began
            or not 1_200_000 < current_end(wal) < 3_000_000
        ):
            await asyncio.sleep(0.02)
            assert not any(task.done() for task in running)
        await asyncio.to_thread(master.kill)
        await asyncio.gather(*running)
        database, wal = master.ledger().read_bytes(), log.read_bytes()
        killed = Killed(master, database, wal, [], tuple(peers))
        history = ledger.read_file(killed.place(wal, home / "whole"))
        yield Killed(master, database, wal, history, tuple(peers))


@dataclass(frozen=True)
class Opened:
    """What a store holds after it was opened as `serve` opens it."""

    entries: list[Entry]
    state: State
    contacts: Mapping[str, Contact]
    sound: bool
    term: int

    @classmethod
    async def read(cls, path: Path) -> "Opened":
        database = await open_database(path, MIGRATIONS)
        try:
            entries = await ledger.entries(database)
            contacts, answers = await ledger.contacts(database), await ledger.answers(database)
            checked = list(await database.execute_fetchall("PRAGMA integrity_check"))
            ((term,),) = await database.execute_fetchall("SELECT term FROM meta")
        finally:
            await database.close()
        assert {name: each.seq for name, each in contacts.items()} == {
            a.agent: a.seq for a in answers.values()
        }
        state = replay(entry.event for entry in entries)
        return cls(entries, state, contacts, [tuple(row) for row in checked] == [("ok",)], term)


def request_of(peer: Peer, want: int, *, hello: bool) -> wire.Sync:
    """What this agent would send next."""
    class_ = "virtual_seat" if peer.name == "nice" else "seat"
    classes = {class_: wire.ClassDemand(used=0, want=want)}
    body = peer.sync_body(classes, seq=peer.seq + 1, **({"proofs": peer.proofs} if hello else {}))
    return msgspec.json.decode(body, type=wire.Hello if hello else wire.Sync)


def assert_found_out(opened: Opened, peer: Peer) -> bool:
    """An agent that knows more than the store starts its recovery; it is lent no more than it proves."""
    state = administration.raise_term(opened.state).state  # as every start does
    known = opened.contacts.get(peer.name)
    behind = known is None or peer.prev not in (known.confirmed, known.issued)
    said = contact.examine(state, known, request_of(peer, 25, hello=False), "h", hello=False)
    if not behind:
        assert isinstance(said, Fresh)
        assert not said.behind
        return False
    assert isinstance(said, Rejected)
    assert said.refusal.code is Code.HELLO_NEEDED
    hello = request_of(peer, 25, hello=True)
    assert isinstance(hello, wire.Hello)
    found = contact.examine(state, known, hello, "h", hello=True)
    assert found == Fresh(behind=True)
    proofs = [msgspec.json.decode(base64.b64decode(proof.body), type=wire.Answer) for proof in peer.proofs]
    key = state.agents[peer.name].public_key
    outcome = allocator.hello(state, {}, hello, proofs, key, behind=True)
    assert not isinstance(outcome, Refusal)
    assert any(isinstance(event, RecoveryStarted) for event in outcome.events)
    assert outcome.state.recovering
    assert outcome.state.term > peer.term
    for class_, grant in outcome.shares.items():
        assert grant.granted <= peer.shares.get(class_, 0)
    return True


@pytest.mark.timeout(3_600 if CHAOS else 120)
async def test_whatever_the_end_of_the_log_a_prefix_opens_and_lost_rows_are_found_out(
    tmp_path: Path, seed: int, record_property: Callable[[str, object], None]
) -> None:
    async with killed_under_load(tmp_path, seed) as killed:
        lost, most, shortened = 0, 0, 0
        for number in range(CASES):
            case = f"SEED={seed}, case {number}"
            what, wal = damaged(killed.wal, random.Random(f"{seed}/{number}"))
            opened = await Opened.read(killed.place(wal, tmp_path / "case"))
            assert opened.sound, f"{case}: {what}: corrupt"
            assert opened.entries == killed.history[: len(opened.entries)], f"{case}: {what}: no prefix"
            assert opened.term == opened.state.term, f"{case}: {what}"
            missing = len(killed.history) - len(opened.entries)
            shortened, most = shortened + (missing > 0), max(most, missing)
            lost += sum([assert_found_out(opened, peer) for peer in killed.peers])
        told = f"{CASES} damaged logs: {shortened} lost up to {most} events; {lost} agents found it out"
        record_property("measured", told)
        assert shortened > CASES // 2
        assert lost > CASES // 2


@pytest.mark.timeout(900 if CHAOS else 120)
async def test_a_real_master_with_a_damaged_log_waits_for_everyone(tmp_path: Path, seed: int) -> None:
    async with killed_under_load(tmp_path, seed) as killed:
        master, drawn = killed.master, random.Random(seed)
        for _ in range(SERVED):
            at = drawn.randrange(32, current_end(killed.wal) // 2)
            killed.place(killed.wal[:at], master.ledger().parent)
            before, over = len(master.logged("recovery.started")), len(master.logged("recovery.ended"))
            await asyncio.to_thread(master.start)
            for peer in killed.peers:
                await peer.move_to(master.url)
            first = killed.peers[0]
            assert (await first.sync({"seat": 25})).code == "hello_needed"
            held = first.shares.get("seat", 0)
            await first.hello({"seat": 25})
            await asyncio.to_thread(master.wait_for, "recovery.started", before + 1)
            assert len(master.logged("recovery.started")) == before + 1
            assert first.shares["seat"] <= held
            for peer in killed.peers[1:]:
                await peer.hello({})
                await peer.sync({})
            await first.sync({"seat": 25})
            await asyncio.to_thread(master.wait_for, "recovery.ended", over + 1)
            assert first.shares == {"seat": 25}
            assert sum(row["granted"] for row in master.ask("/shares")) <= CAPACITY
            assert "unbroken" in master.command("audit", "verify")
            await asyncio.to_thread(master.kill)
