"""Every answer follows a sync, and when write or sync number n fails the process ends and nothing is lost.

strace counts the calls of the shipped programs, and makes one of them fail.
"""

import asyncio
import contextlib
import json
import re
import shutil
import sqlite3
from asyncio.subprocess import PIPE
from collections.abc import Callable
from contextlib import AsyncExitStack, closing
from pathlib import Path

import httpx
import pytest

from licence_master.store import ledger
from licensing.ledger import replay
from tests.acceptance.peers.waiting import until
from tests.agent.conftest import House
from tests.agent.scripted_master import ScriptedMaster
from tests.agent.scripted_pbx import ScriptedPbx
from tests.agent.test_program import PROGRAM, Agent
from tests.chaos.conftest import CHAOS
from tests.licence_master.conftest import join, stock
from tests.licence_master.master import Master
from tests.licence_master.peer import Peer, happened

pytestmark = pytest.mark.skipif(not shutil.which("strace"), reason="NOT RUN: strace is not installed")

SYNC = re.compile(r"\d+ +(<\.\.\. )?(fdatasync|fsync)( resumed>|\().*= 0$")
REACHED, LEFT = r"(read|recvfrom|recvmsg|recvmmsg)\((\d+)<{}:", r"(write|sendto|sendmsg|sendmmsg)\((\d+)<{}:"
STRACE = ("strace", "-D", "-f", "-yy", "-s", "16")  # -D: signals reach the program, not strace
CALLS = "trace=fdatasync,fsync,read,write,recvfrom,recvmsg,recvmmsg,sendto,sendmsg,sendmmsg"

WRITES = range(1, 501) if CHAOS else (2, 9, 17, 33)
SYNCS = range(3, 201) if CHAOS else (3, 12)  # the second is SQLite's of the directory, after ours


def unsynced(trace: str, protocol: str, skip: int) -> tuple[int, list[str]]:
    """How many messages left on sockets, and those that did with no sync since the last one arrived there.

    The first `skip` of each socket are not looked at.
    """
    reached, left = re.compile(REACHED.format(protocol)), re.compile(LEFT.format(protocol))
    synced: dict[str, bool] = {}
    seen: dict[str, int] = {}
    wrong, count, answered = [], 0, set()
    for line in trace.splitlines():
        if SYNC.match(line):
            synced = dict.fromkeys(synced, True)
        elif (found := reached.search(line)) and not re.search(r"= (-1|0)( |$)", line):
            synced[found[2]] = False
            answered.discard(found[2])
            seen[found[2]] = seen.get(found[2], 0) + 1
        elif (found := left.search(line)) and seen.get(found[2], 0) > skip and found[2] not in answered:
            answered.add(found[2])  # an answer may leave in several pieces
            count += 1
            if not synced[found[2]]:
                wrong.append(line)
    return count, wrong


async def test_the_master_syncs_between_each_request_and_its_answer(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    trace = tmp_path / "trace"
    master = Master(tmp_path).init()
    master.prefix = [*STRACE, "-o", str(trace), "-e", CALLS]
    async with AsyncExitStack() as stack:
        stack.enter_context(master.start())
        stock(master, "PBX-Port13,40")
        peers = [await stack.enter_async_context(await join(master, name)) for name in ("hq", "lyon")]
        began = len(trace.read_text())

        async def work(peer: Peer) -> None:
            for step in range(40):
                await peer.sync({"seat": step % 25})

        await asyncio.gather(*map(work, peers))
        await asyncio.to_thread(master.stop)
    count, wrong = unsynced(trace.read_text()[began:], "TCP", 0)
    assert count >= 80
    assert not wrong
    record_property("measured", f"{count} answers of licence-master, each after a sync of its own request")


async def test_the_agent_syncs_before_a_first_register_leaves_and_before_its_200(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    home, phones = tmp_path, 12
    (home / "master").mkdir()
    pbx = await ScriptedPbx.open()
    async with ScriptedMaster(home / "master", capacity=phones).serving() as master:
        house = House(home / "data", master, pbx)
        house.enrol()
        config = home / "agent.yaml"
        config.write_text(house.config_text())
        trace = home / "trace"
        command = [*STRACE, "-o", str(trace), "-e", CALLS, PROGRAM, "run", "--config", str(config)]
        agent = Agent(await asyncio.create_subprocess_exec(*command, stderr=PIPE))
        await agent.until("agent.ready")
        began = len(trace.read_text())
        for number in range(phones):
            assert await house.register(f"3{number:02}") == 200
        agent.process.terminate()
        assert await agent.ended() == 0
    pbx.close()
    for phone in house.phones:
        phone.close()
    count, wrong = unsynced(trace.read_text()[began:], "UDP", 0)
    assert count >= 2 * phones, "to the PBX, and to the phone"
    assert not wrong
    record_property("measured", f"{count} messages of pbx-agent about first registrations, each after a sync")


@pytest.mark.timeout(3_000 if CHAOS else 120)
@pytest.mark.parametrize(
    ("call", "error", "numbers"), [("pwrite64", "ENOSPC", WRITES), ("fdatasync", "EIO", SYNCS)]
)
async def test_when_write_number_n_fails_the_master_ends_and_nothing_acknowledged_is_lost(
    tmp_path: Path, call: str, error: str, numbers: range | tuple[int, ...]
) -> None:
    async with AsyncExitStack() as stack:
        master = stack.enter_context(Master(tmp_path).init().start())
        stock(master, "PBX-Port13,40")
        lyon = await stack.enter_async_context(await join(master, "lyon"))
        await lyon.sync({"seat": 1})
        await asyncio.to_thread(master.stop)
        for number in numbers:
            inject = f"inject={call}:error={error}:when={number}"
            master.prefix = [*STRACE, "-o", "/dev/null", "-e", f"trace={call}", "-e", inject]
            asked = await until_it_fails(master, lyon)
            assert "Traceback" not in json.dumps(master.lines), f"{call} number {number}"
            failed = master.logged("daemon.failed")[-1]
            assert "ledger.db" in str(failed["error"]), failed
            state = replay(entry.event for entry in ledger.read_file(master.ledger()))
            held = lyon.shares["seat"]
            assert state.share("lyon", "seat").granted in (held, asked), f"{call} number {number}"
            master.prefix = ()
            await asyncio.to_thread(master.start)
            await lyon.move_to(master.url)
            if lyon.last_sent[0] and asked != held:
                lyon.take(await lyon.again())
                assert lyon.shares["seat"] == asked
            await lyon.sync({"seat": asked % 30 + 1})
            assert lyon.shares["seat"] == asked % 30 + 1
            await asyncio.to_thread(master.stop)


async def test_when_the_audit_row_cannot_be_written_nothing_of_the_change_is(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        master = stack.enter_context(Master(tmp_path).init().start())
        stock(master, "PBX-Port13,40")
        lyon = await stack.enter_async_context(await join(master, "lyon"))
        await lyon.sync({"seat": 1})

        def kept() -> list[tuple[object, ...]]:
            with closing(sqlite3.connect(master.ledger())) as connection:
                tables = ("answer", "contact", "event", "holding", "activity")
                return [row for name in tables for row in connection.execute(f"SELECT * FROM {name}")]

        with closing(sqlite3.connect(master.ledger())) as connection:
            fails = "CREATE TRIGGER audit BEFORE INSERT ON event BEGIN SELECT RAISE(ABORT, 'audit'); END"
            connection.execute(fails)
            connection.commit()
        before = kept()
        with contextlib.suppress(httpx.TransportError):
            events = [happened(1, "201")]
            assert (await lyon.sync({"seat": 9}, activity=events)).code == "store_failed"
        assert await asyncio.to_thread(master.exit_code) == 1
        assert kept() == before


async def until_it_fails(master: Master, peer: Peer) -> int:
    """Start it and sync until no answer comes; the seats asked for last."""
    asked = peer.shares["seat"]
    with contextlib.suppress(AssertionError):
        await asyncio.to_thread(master.start)
        await peer.move_to(master.url)
        with contextlib.suppress(httpx.TransportError):
            for _ in range(600):
                asked = asked % 30 + 1
                said = await peer.sync({"seat": asked})
                if said.status != 200:
                    assert said.code == "store_failed"
                    break
            else:
                pytest.fail("it never failed")
        assert await asyncio.to_thread(master.exit_code) == 1
    until(lambda: master.logged("daemon.failed"), what="daemon.failed")
    return asked
