"""The store across processes: kill -9, a full file system, the lock, and the syncs that strace counts."""

import contextlib
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from runtime.store import StoreLockedError, open_database

SCHEMA = ("CREATE TABLE event (seq INTEGER PRIMARY KEY, body TEXT NOT NULL)",)
ROOT = Path(__file__).parents[2]
IMPORTS = """
import asyncio, os, sqlite3
from pathlib import Path
from runtime.store import *
"""
ACKNOWLEDGE = """
async def main():
    database = await open_database(Path({path!r}), {schema!r})
    commits = GroupCommit(database)
    task = asyncio.create_task(commits.run())
    start = (await (await database.execute("SELECT coalesce(max(seq), 0) FROM event")).fetchone())[0]
    async def one(number):
        await commits.submit([("INSERT INTO event VALUES (?, 'x')", [(number,)])])
        os.write(1, b"%d\\n" % number)
    number = start
    while True:
        await asyncio.gather(*(one(number + n) for n in range(1, 8)))
        number += 7
asyncio.run(main())
"""


SIXTY = """
async def main():
    database = await open_database(Path({path!r}), {schema!r})
    database._log_limit = 20
    commits = GroupCommit(database)
    task = asyncio.create_task(commits.run())
    for number in range(60):
        await commits.submit([("INSERT INTO event VALUES (?, ?)", [(number, "x" * 3000)])])
        os.write(1, b"%d\\n" % number)
asyncio.run(main())
"""


def rows(path: Path) -> set[int]:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return {seq for (seq,) in connection.execute("SELECT seq FROM event")}


def run_child(code: str, *prefix: str) -> subprocess.CompletedProcess[str]:
    command = [*prefix, sys.executable, "-c", IMPORTS + code]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT)


def start_child(code: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", IMPORTS + code], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )


async def test_a_second_opener_is_told_whose_store_it_is(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    database = await open_database(path, SCHEMA)
    with pytest.raises(StoreLockedError, match=f"in use by process {os.getpid()}; stop it first"):
        await open_database(path, SCHEMA)
    child = run_child(f"asyncio.run(open_database(Path({str(path)!r}), ()))")
    assert f"StoreLockedError: {path} is in use by process {os.getpid()}" in child.stderr
    await database.close()
    await (await open_database(path, SCHEMA)).close()


def test_a_program_that_dies_without_closing_its_store_ends(tmp_path: Path) -> None:
    code = f"""
async def main():
    database = await open_database(Path({str(tmp_path / "ledger.db")!r}), ())
    keep.append(database)
    raise SystemExit(1)
keep = []
asyncio.run(main())
"""
    assert run_child(code).returncode == 1


def test_what_was_acknowledged_before_kill_9_is_there(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    acknowledged: set[int] = set()
    for wanted in (3, 50, 11, 100, 29):
        with start_child(ACKNOWLEDGE.format(path=str(path), schema=SCHEMA)) as child:
            assert child.stdout is not None
            for _ in range(wanted):
                acknowledged.add(int(child.stdout.readline()))
            child.send_signal(signal.SIGKILL)
            acknowledged |= {
                int(line) for line in child.stdout.read().splitlines(keepends=True) if line[-1] == "\n"
            }
        with contextlib.closing(sqlite3.connect(path)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert acknowledged <= rows(path)
    assert len(acknowledged) >= 193


@pytest.mark.skipif(not shutil.which("strace"), reason="strace is not installed")
def test_a_checkpoint_whose_sync_fails_ends_the_writer(tmp_path: Path) -> None:
    """SQLite's own would swallow it and try again, when the kernel has perhaps forgotten the pages."""
    path, trace = tmp_path / "ledger.db", tmp_path / "trace"
    code = SIXTY.format(path=str(path), schema=SCHEMA)
    strace = ("strace", "-f", "-y", "-o", str(trace), "-e", "trace=fdatasync")
    assert len(run_child(code, *strace).stdout.split()) == 60
    calls = [line for line in trace.read_text().splitlines() if "fdatasync(" in line]
    of_the_file = [number for number, line in enumerate(calls, 1) if f"{path}>" in line]
    for file in tmp_path.glob("ledger.db*"):
        file.unlink()
    done = run_child(code, *strace, "-e", f"inject=fdatasync:error=EIO:when={of_the_file[1]}")
    acknowledged = {int(number) for number in done.stdout.split()}
    assert "StoreFailedError: the fate of this write is unknown" in done.stderr
    assert 0 < len(acknowledged) < 60
    assert acknowledged <= rows(path)


@pytest.mark.skipif(not shutil.which("strace"), reason="strace is not installed")
@pytest.mark.parametrize("call", ["fdatasync", "pwrite64"])
def test_a_commit_that_fails_is_not_tried_again(tmp_path: Path, call: str) -> None:
    path = tmp_path / "ledger.db"
    code = SIXTY.format(path=str(path), schema=SCHEMA).replace("_log_limit = 20", "_log_limit = 10_000")
    error = "EIO" if call == "fdatasync" else "ENOSPC"
    inject = f"inject={call}:error={error}:when=30"
    done = run_child(code, "strace", "-f", "-o", "/dev/null", "-e", f"trace={call}", "-e", inject)
    acknowledged = {int(number) for number in done.stdout.split()}
    assert "StoreFailedError" in done.stderr
    assert 0 < len(acknowledged) < 60
    assert acknowledged <= rows(path)


@pytest.mark.skipif(not shutil.which("strace"), reason="strace is not installed")
def test_every_group_is_synced_before_its_answer(tmp_path: Path) -> None:
    """The trace shows an fdatasync before each acknowledgement, one for a group of seven."""
    path, trace = tmp_path / "ledger.db", tmp_path / "trace"
    code = ACKNOWLEDGE.format(path=str(path), schema=SCHEMA).replace("while True", "while number < 70")
    done = run_child(
        code.replace(
            "number += 7\n", "number += 7\n    commits.close(); await task; await database.close()\n"
        ),
        "strace",
        "-f",
        "-o",
        str(trace),
        "-e",
        "trace=fdatasync,write",
    )
    assert done.stdout.split() == [str(number) for number in range(1, 71)], done.stderr
    syncs = 0
    per_group: list[int] = []
    for line in trace.read_text().splitlines():
        if "fdatasync(" in line:
            syncs += 1
        elif "write(1, " in line:
            number = int(line.split('"')[1].split("\\")[0])
            if number % 7 == 1:
                per_group.append(syncs)
                syncs = 0
            assert number % 7 == 1 or syncs == 0
    assert len(per_group) == 10
    assert all(count >= 1 for count in per_group), per_group


@pytest.mark.skipif(not shutil.which("unshare"), reason="unshare is not installed")
def test_a_full_file_system_steps_down_and_keeps_what_it_acknowledged(tmp_path: Path) -> None:
    """A real tmpfs of 1 MiB in a mount namespace of our own."""
    code = f"""
async def main():
    path = Path({str(tmp_path)!r}) / "ledger.db"
    database = await open_database(path, {SCHEMA!r})
    commits = GroupCommit(database)
    task = asyncio.create_task(commits.run())
    number = 0
    try:
        while True:
            await commits.submit([("INSERT INTO event VALUES (?, ?)", [(number + 1, "x" * 3000)])])
            number += 1
    except StoreFailedError:
        pass
    try:
        await task
    except StoreFailedError as error:
        print(error)
    await database.close()
    found = sqlite3.connect(path).execute("SELECT count(*), max(seq) FROM event").fetchone()
    print(number > 50, found == (number, number))
asyncio.run(main())
"""
    wrapped = (
        "import subprocess; subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=1m', 'none', "
        + repr(str(tmp_path))
        + "], check=True)\n"
        + code
    )
    done = run_child(wrapped, "unshare", "-rm")
    if "Operation not permitted" in done.stderr or "permission denied" in done.stderr:
        pytest.skip("this machine allows no mount namespace")
    assert done.stdout.splitlines()[-1] == "True True", done.stdout + done.stderr
    assert "disk is full" in done.stdout or "disk I/O error" in done.stdout
