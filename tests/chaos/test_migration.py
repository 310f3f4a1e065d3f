"""A migration is killed at each of its writes: the old store or the new one is there, its copy whole."""

import contextlib
import itertools
import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from tests.acceptance.peers.installed import ROOT
from tests.chaos.conftest import CHAOS

FIRST = "CREATE TABLE event (seq INTEGER PRIMARY KEY, body TEXT NOT NULL)"
SECOND = (
    "ALTER TABLE event ADD COLUMN note TEXT; UPDATE event SET note = 'was ' || body; CREATE TABLE extra (a)"
)
OPEN = """
import asyncio
from pathlib import Path
from runtime.store import open_database
async def main():
    await (await open_database(Path({path!r}), {migrations!r})).close()
asyncio.run(main())
"""
ROWS = 300
STEP = 1 if CHAOS else 6


def opened(path: Path, *migrations: str, inject: str = "") -> int:
    """Open the store as a program does at its start; the exit code."""
    strace = [
        "strace",
        "-f",
        "-o",
        "/dev/null",
        "-e",
        f"trace={inject.split(':')[0]}",
        "-e",
        f"inject={inject}",
    ]
    code = OPEN.format(path=str(path), migrations=migrations)
    command = [*(strace if inject else ()), sys.executable, "-c", code]
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, check=False).returncode


def contents(path: Path) -> tuple[int, list[tuple[object, ...]]]:
    """Schema version and rows, of a sound file."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        return version, connection.execute("SELECT * FROM event ORDER BY seq").fetchall()


@pytest.mark.skipif(not shutil.which("strace"), reason="NOT RUN: strace is not installed")
@pytest.mark.timeout(900 if CHAOS else 120)
@pytest.mark.parametrize("call", ["pwrite64", "fdatasync", "rename"])
def test_a_killed_migration_leaves_the_old_store_or_the_new_one(tmp_path: Path, call: str) -> None:
    old = tmp_path / "old"
    old.mkdir()
    assert opened(old / "ledger.db", FIRST) == 0
    with contextlib.closing(sqlite3.connect(old / "ledger.db")) as connection, connection:
        connection.executemany("INSERT INTO event VALUES (?, ?)", [(n, f"body {n}") for n in range(ROWS)])
    before, after = contents(old / "ledger.db"), (2, [(n, f"body {n}", f"was body {n}") for n in range(ROWS)])
    versions = []
    for number in itertools.count(1, STEP if call == "pwrite64" else 1):
        place = tmp_path / f"{call}-{number}"
        shutil.copytree(old, place)
        path = place / "ledger.db"
        code = opened(path, FIRST, SECOND, inject=f"{call}:signal=SIGKILL:when={number}")
        found = contents(path)
        assert found in (before, after), f"{call} {number}"
        versions.append(found[0])
        copy = place / "ledger.db.before-2"
        assert found == before or copy.exists()
        assert not copy.exists() or contents(copy) == before
        assert opened(path, FIRST, SECOND) == 0, "the next start goes on"
        assert contents(path) == after
        assert contents(copy) == before
        if code == 0:
            break
    assert versions == sorted(versions), "old until it is new"
    assert versions[-1] == 2
    assert 1 in versions or call == "rename"
