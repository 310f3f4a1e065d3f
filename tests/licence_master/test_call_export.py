"""`licence-master cdr`: what comes out is what went in, in each form, masked where it must be."""

import base64
import csv
import datetime
import io
import json
import os
import pty
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import duckdb
import httpx
import msgspec
import pytest

from runtime.tls import pinned_context
from telephony.cdr.columns import COLUMNS
from telephony.cdr.reading import Reason
from telephony.cdr.wire import Missing, Record, SourceState, Unread
from tests.licence_master.conftest import join
from tests.licence_master.master import PROGRAM, STARTED, Master, Row
from tests.licence_master.recorder import DAY_MS, Recorder

NAMES = [column.name for column in COLUMNS]


def as_row(record: Record) -> Row:
    """A record as JSON has it."""
    return {name: getattr(record, name) for name in NAMES} | {"raw": base64.b64encode(record.raw).decode()}


def day(at_ms: int) -> str:
    return f"{datetime.datetime.fromtimestamp(at_ms / 1_000, datetime.UTC):%Y-%m-%d}"


def named(directory: Path, pattern: str) -> list[str]:
    return [path.name for path in directory.glob(pattern)]


def in_parquet(path: Path) -> list[Row]:
    """What DuckDB reads there, with the names of the columns."""
    with duckdb.connect() as connection:
        found = connection.execute("SELECT * FROM read_parquet(?)", [str(path)])
        names = [str(column[0]) for column in found.description or ()]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def midnight(at_ms: int) -> int:
    return at_ms // DAY_MS * DAY_MS


async def test_what_comes_out_is_what_went_in(master: Master, tmp_path: Path) -> None:
    async with await join(master, "lyon") as peer, await join(master, "nice") as other:
        lyon, nice = Recorder(peer), Recorder(other)
        begin = midnight(lyon.record().end_ms) - 2 * DAY_MS
        inside = [
            lyon.record("first", end_ms=begin),
            msgspec.structs.replace(
                lyon.record("odd", end_ms=begin + 1), called='é,"\n\r;', answer_ms=None, cause=None
            ),
            lyon.record("last", end_ms=begin + DAY_MS - 1),
        ]
        await lyon.send(
            lyon.record(end_ms=begin - 1), inside[2], inside[0], lyon.record(end_ms=begin + DAY_MS)
        )
        await lyon.send(inside[1])
        await nice.send(nice.record(end_ms=begin))
    span = ("--from", day(begin), "--to", day(begin), "--pbx", "lyon")
    expected = [as_row(record) for record in inside]
    lines = master.command("cdr", "export", *span, "--format", "jsonl").splitlines()
    assert [json.loads(line) for line in lines] == expected
    assert list(json.loads(lines[0])) == NAMES

    table = tmp_path / "x.csv"
    told = json.loads(master.command("cdr", "export", *span, "--output", str(table), "--json"))
    assert told == {"file": str(table), "rows": 3, "format": "csv"}
    assert table.stat().st_mode & 0o777 == 0o600
    read = list(csv.DictReader(io.StringIO(table.read_bytes().decode(), newline="")))
    assert read == [
        {name: "" if value is None else str(value) for name, value in row.items()} for row in expected
    ]
    again = master.run("cdr", "export", *span, "--output", str(table))
    assert (again.returncode, "is there already" in again.stderr) == (2, True)

    columnar = tmp_path / "x.parquet"
    master.command("cdr", "export", *span, "--format", "parquet", "--output", str(columnar))
    assert columnar.stat().st_mode & 0o777 == 0o600
    assert in_parquet(columnar) == [row | {"raw": base64.b64decode(row["raw"])} for row in expected]
    master.command(
        "cdr", "export", *span, "--format", "parquet", "--no-raw", "--output", str(tmp_path / "y.parquet")
    )
    assert [list(row) for row in in_parquet(tmp_path / "y.parquet")] == [NAMES[:-1]] * 3
    assert named(tmp_path, ".*") == []


def test_days_that_are_none_are_named(master: Master) -> None:
    for words, why in (
        (("--from", "2026-13", "--to", "2026-12"), "2026-13"),
        (("--from", "2026-02-29", "--to", "2026-03"), "2026-02-29"),
        (("--from", "1.10.2026", "--to", "2026-12"), "1.10.2026"),
        (("--from", "2026-12", "--to", "2026-11"), "is behind"),
        (("--from", "2026-12", "--to", "2026-12", "--format", "parquet"), "--output FILE"),
    ):
        done = master.run("cdr", "export", *words)
        assert (done.returncode, done.stdout) == (2, "")
        assert why in done.stderr
    assert master.command("cdr", "export", "--from", "2026-02", "--to", "2026-02", "--format", "jsonl") == ""


@pytest.mark.parametrize("far", ["2099-12", "2100-02", "2099-12-31", "9999-12"])
async def test_all_until_a_far_day(master: Master, far: str) -> None:
    async with await join(master, "lyon") as peer:
        lyon = Recorder(peer)
        await lyon.send(lyon.record("c1"))
    said = master.command("cdr", "export", "--from", "1970-01", "--to", far, "--format", "jsonl")
    assert json.loads(said)["call_ref"] == "c1"


async def test_the_archive_is_made_in_steps_that_a_terminal_shows(master: Master) -> None:
    async with await join(master, "lyon") as peer:
        lyon = Recorder(peer)
        await lyon.send(*(lyon.record() for _ in range(5)))
    said = [
        posted(master, "calls/archive", most=2, rebuild=rebuild) for rebuild in (True, False, False, False)
    ]
    assert said == [
        {"rows": 2, "added": 2, "parts": 1, "left": 3},
        {"rows": 4, "added": 2, "parts": 2, "left": 1},
        {"rows": 5, "added": 1, "parts": 3, "left": 0},
        {"rows": 5, "added": 0, "parts": 3, "left": 0},
    ]
    told, shown = on_terminal(master, "cdr", "archive", "--rebuild")
    assert told == "5 call records in 1 files, 5 new\n"
    assert "archive of acme" in shown
    assert "5/5" in shown


def posted(master: Master, what: str, **order: object) -> object:
    """What the master answers to this order of an administrator."""
    transport = httpx.HTTPTransport(uds=str(master.data / "admin.sock"), verify=False)
    with httpx.Client(transport=transport, base_url="http://master") as client:
        answer = client.post(f"/api/v1/installations/acme/{what}", json=order)
    assert answer.is_success, answer.text
    return answer.json()


def on_terminal(master: Master, *words: str) -> tuple[str, str]:
    """A command whose stderr is a terminal: what it printed, and what was shown there."""
    ours, theirs = pty.openpty()
    try:
        line = [*PROGRAM, *words, "--config", str(master.config)]
        environment = {**os.environ, "TERM": "xterm", "COLUMNS": "120"}
        with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=theirs, env=environment) as command:
            told, _ = command.communicate(timeout=60)
        assert command.returncode == 0
        return told.decode(), os.read(ours, 65_536).decode()
    finally:
        os.close(ours)
        os.close(theirs)


async def test_numbers_are_hidden_from_whoever_is_not_admin(tmp_path: Path) -> None:
    master = Master(tmp_path)
    config = master.config.read_text().replace(
        "    software: 13\n", "    software: 13\n    calls: {mask: 5}\n"
    )
    master.config.write_text(config)
    with master.init().start():
        async with await join(master, "lyon") as peer:
            lyon = Recorder(peer)
            first = lyon.record("0612345678")
            await lyon.send(first, msgspec.structs.replace(first, talk_s=1))
            await lyon.send(
                unread=[Unread("acme/lyon/cdr", Reason.INVALID, "called 0612345678", b"0612345678", 1)]
            )
        asked = {"from_ms": first.end_ms, "to_ms": first.end_ms + 1}
        told = {}
        for role in ("admin", "auditor"):
            token = master.order("/tokens", {"role": role})["token"]
            base = f"{master.admin_url}/api/v1/installations/acme"
            headers = {"Authorization": f"Bearer {token}"}
            context = pinned_context([master.pin])
            async with httpx.AsyncClient(base_url=base, headers=headers, verify=context) as client:
                answers = [
                    await client.get("/calls", params=asked),
                    await client.get("/calls", params={**asked, "mask": 7, "format": "csv"}),
                    await client.get("/calls/quarantine"),
                ]
            raw = base64.b64decode(answers[0].json()["raw"]).decode()
            told[role] = [raw, *(answer.text for answer in answers)]
        raw, shown, csv_text, aside = told["admin"]
        assert "+33612345678" in shown
        assert "+33612345678" in raw
        assert "+3361234xxxx" in csv_text
        assert "612345678" in aside
        for text in told["auditor"]:
            assert "45678" not in text
            assert base64.b64encode(b"0612345678")[:8].decode() not in text
        assert "+33612xxxxxx" in told["auditor"][0]


async def test_what_is_missing_is_told(master: Master) -> None:
    assert json.loads(master.command("cdr", "gaps", "--json")) == []
    async with await join(master, "lyon") as peer:
        lyon = Recorder(peer)
        state = SourceState("acme/lyon/cdr", last_ms=1_800_000_000_000)
        first = lyon.record("c1")
        await lyon.send(first, first, sources=[state])
        quiet = master.command("cdr", "gaps")
        assert [line.split() for line in quiet.splitlines()][1][-5:] == ["0", "2", "1", "1", "0"]
        missing = (Missing(3, 4), Missing(9, 9))
        await lyon.send(sources=[msgspec.structs.replace(state, missing=missing, forgotten=5)])
        told = master.command("cdr", "gaps", code=1)
        assert "3-4, 9" in told
        assert [line.split() for line in told.splitlines()][1][4] == "8"
        await lyon.send(sources=[msgspec.structs.replace(state, silent=True)])
        assert "silent" in master.command("cdr", "gaps", code=1)
        await lyon.send(
            msgspec.structs.replace(first, talk_s=61),
            sources=[msgspec.structs.replace(state, connected=False)],
        )
        assert "not connected" in master.command("cdr", "gaps", code=1)
    told = master.command("cdr", "quarantine")
    assert "conflict" in told
    assert "other talk_s" in told


async def test_what_breaks_off_leaves_no_file(master: Master, tmp_path: Path) -> None:
    async with await join(master, "lyon") as peer:
        lyon = Recorder(peer)
        await lyon.send(lyon.record(), lyon.record())
        month = day(lyon.record().end_ms)
    with closing(sqlite3.connect(master.ledger().with_name("calls.db"))) as store, store:
        store.execute("UPDATE call SET kind = 'nothing'")  # a page that cannot be read
    target = tmp_path / "x.jsonl"
    words = ("cdr", "export", "--from", month, "--to", month, "--format", "jsonl", "--output", str(target))
    assert master.run(*words).returncode == 3
    assert not target.exists()
    assert named(tmp_path, ".x*") == []


async def test_a_backup_holds_the_call_records_and_a_restore_puts_them_where_there_are_none(
    tmp_path: Path,
) -> None:
    """What is there stays, for it knows more; the archive is made anew."""
    target = tmp_path / "kept"
    with Master(tmp_path).init().start() as master:
        calls = master.ledger().with_name("calls.db")
        async with await join(master, "lyon") as peer:
            lyon = Recorder(peer)
            await lyon.send(lyon.record("c1"), lyon.record("c2"))
            master.command("cdr", "archive")
            told = json.loads(master.command("backup", str(target), "--json"))
            assert (told["calls_file"], told["calls"]) == (f"{target}.calls.db", 2)
            await lyon.send(lyon.record("c3"))
        master.stop()
        assert json.loads(master.command("restore", str(target), "--json"))["calls"] is None
        assert refs(calls) == {"c1", "c2", "c3"}
        for damage in (None, b"no database at all, but long enough to be read as one" * 50):
            remove(calls)
            if damage is not None:
                write(calls, damage)
            restored = master.command("restore", str(target), "--json", "--discard-newer")
            assert json.loads(restored)["calls"] == 2
            assert refs(calls) == {"c1", "c2"}
        with master.start():
            archived = json.loads(master.command("cdr", "archive", "--json"))
            assert archived == {"rows": 2, "added": 2, "parts": 1}


def refs(index: Path) -> set[str]:
    with closing(sqlite3.connect(index)) as store:
        return {row[0] for row in store.execute("SELECT call_ref FROM call")}


def remove(index: Path) -> None:
    for path in index.parent.glob("calls.db*"):
        path.unlink()


def write(path: Path, content: bytes) -> None:
    path.write_bytes(content)


async def test_without_the_extra_records_stay_in_the_index_and_come_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "sitecustomize.py", b"import sys; sys.modules['duckdb'] = None")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with Master(tmp_path).init() as master:
        master.prefix = STARTED
        master.start()
        async with await join(master, "lyon") as peer:
            lyon = Recorder(peer)
            sent = lyon.record()
            await lyon.send(sent)
        refused = master.run("cdr", "archive")
        assert (refused.returncode, "extra parquet is not installed" in refused.stderr) == (1, True)
        today = day(sent.end_ms)
        out = master.command("cdr", "export", "--from", today, "--to", today, "--format", "jsonl")
        assert json.loads(out) == as_row(sent)
        assert not master.ledger().with_name("calls").exists()
