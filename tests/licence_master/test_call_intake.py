"""Batches of call records at a real master: what it takes, counts, puts aside and refuses."""

import sqlite3
from contextlib import closing
from pathlib import Path

import msgspec

from telephony.cdr.reading import Reason
from telephony.cdr.wire import MAX_BATCH, BatchAnswer, Missing, SourceState, Unread
from tests.licence_master.conftest import join
from tests.licence_master.master import Master
from tests.licence_master.recorder import DAY_MS, PATH, Recorder, record


def index(master: Master) -> Path:
    return master.ledger().with_name("calls.db")


def rows(master: Master, sql: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(f"file:{index(master)}?mode=ro", uri=True)) as store:
        return store.execute(sql).fetchall()


def verdicts(master: Master) -> dict[object, object]:
    """How many of each verdict were counted."""
    return dict(rows(master, "SELECT verdict, sum(count) FROM arrived GROUP BY verdict"))  # type: ignore[arg-type]


async def test_a_batch_is_kept_with_every_field(master: Master) -> None:
    async with await join(master, "lyon") as peer:
        lyon = Recorder(peer)
        sent = lyon.record("c1")
        assert await lyon.send(sent) == 1
        columns = ", ".join(each for each in msgspec.structs.asdict(sent))
        (kept,) = rows(master, f"SELECT {columns} FROM call")
        assert kept == tuple(msgspec.structs.asdict(sent).values())


async def test_a_batch_is_taken_once_and_in_its_turn(master: Master) -> None:
    """B.I1: sent again it is nothing new; one that is ahead is answered with the number that is there."""
    async with await join(master, "lyon") as peer:
        lyon = Recorder(peer)
        first, second = lyon.batch([lyon.record()]), lyon.batch([lyon.record()], number=2)
        assert (await lyon.post(second)).decoded(BatchAnswer).kept == 0
        for batch, kept in ((first, 1), (first, 1), (second, 2), (first, 2)):
            assert (await lyon.post(batch)).decoded(BatchAnswer).kept == kept
        assert verdicts(master) == {"kept": 2}
        other = Recorder(peer)
        assert await other.send(*first.records, other.record()) == 1
        assert verdicts(master) == {"kept": 3, "duplicate": 1}


async def test_a_conflict_is_put_aside_and_the_first_stays(master: Master) -> None:
    """B.I2: the same key with another duration, in this batch and in a later one."""
    async with await join(master, "lyon") as peer:
        lyon = Recorder(peer)
        first = lyon.record("c1")
        other = msgspec.structs.replace(first, talk_s=61)
        await lyon.send(first, other)
        await lyon.send(other, first, msgspec.structs.replace(first, talk_s=62))
        assert rows(master, "SELECT talk_s FROM call") == [(60,)]
        assert verdicts(master) == {"kept": 1, "conflict": 3, "duplicate": 1}
        aside = master.ask("/calls/quarantine")
        assert [(row["verdict"], row["record"]["talk_s"], row["first"]["talk_s"]) for row in aside] == [
            ("conflict", 62, 60),
            ("conflict", 61, 60),
        ]


async def test_records_of_another_time_are_put_aside(master: Master) -> None:
    """B.I9, and one that ends tomorrow."""
    async with await join(master, "lyon") as peer:
        lyon = Recorder(peer)
        now = lyon.record().end_ms
        await lyon.send(
            lyon.record("old", end_ms=now - 400 * DAY_MS),
            lyon.record("kept", end_ms=now - 364 * DAY_MS),
            lyon.record("soon", end_ms=now + DAY_MS - 60_000),
            lyon.record("ahead", end_ms=now + DAY_MS + 60_000),
        )
        assert verdicts(master) == {"kept": 2, "too_old": 1, "future": 1}
        found = {row["call_ref"]: row["verdict"] for row in master.ask("/calls/quarantine")}
        assert found == {"old": "too_old", "ahead": "future"}


async def test_what_could_not_be_read_is_put_aside_with_its_bytes(master: Master) -> None:
    async with await join(master, "lyon") as peer:
        lyon = Recorder(peer)
        unread = Unread("acme/lyon/cdr", Reason.MALFORMED, "no CSV", b"\xff;\0", 1)
        state = SourceState("acme/lyon/cdr", last_ms=5, silent=True, missing=(Missing(3, 4), Missing(9, 9)))
        await lyon.send(unread=[unread, unread], sources=[state])
        await lyon.send(sources=[msgspec.structs.replace(state, silent=False)])
        (row,) = master.ask("/calls/quarantine")
        assert (row["verdict"], row["reason"], row["detail"], row["raw"]) == (
            "unreadable",
            "malformed",
            "no CSV",
            "/zsA",
        )
        (source,) = master.ask("/calls/sources")
        assert (source["source"], source["silent"], source["missing_numbers"]) == ("acme/lyon/cdr", False, 3)
        assert source["arrived"] == {"unreadable": 2}


FOREIGN = ("acme/nice/cdr", "other/lyon/cdr", "acme/lyon/", "acme/lyon", "acme/lyon2/x", "acme/lyon/a/b", "")


async def test_a_source_of_somebody_else_is_refused(master: Master) -> None:
    async with await join(master, "lyon") as peer:
        lyon = Recorder(peer)
        good = lyon.record()
        for source in FOREIGN:
            bad = msgspec.structs.replace(lyon.record(), source=source)
            for batch in (
                lyon.batch([good, bad]),
                lyon.batch([good], sources=[SourceState(source)]),
                lyon.batch([good], [Unread(source, Reason.INVALID, "", b"", 1)]),
                lyon.batch([msgspec.structs.replace(good, pbx="nice")]),
            ):
                said = await lyon.post(batch)
                assert (said.status, said.code) == (403, "forbidden"), source
                assert peer.is_signed(said)
        assert rows(master, "SELECT * FROM call") == []
        assert await lyon.send(good) == 1


async def test_a_batch_of_another_agent_or_of_nobody_is_refused(master: Master) -> None:
    async with await join(master, "lyon") as peer, await join(master, "nice") as other:
        lyon = Recorder(peer)
        body = msgspec.json.encode(lyon.batch([lyon.record()]))
        assert (await peer.send("POST", PATH, body, key=other.key)).code == "signature_invalid"
        assert (await peer.send_signed("POST", PATH, body, "")).code == "signature_invalid"
        unknown = msgspec.json.encode(msgspec.structs.replace(lyon.batch(), agent="nowhere"))
        assert (await peer.send("POST", PATH, unknown)).code == "unknown_agent"
        elsewhere = msgspec.json.encode(msgspec.structs.replace(lyon.batch(), installation="nowhere"))
        assert (await peer.send("POST", PATH, elsewhere)).code == "unknown_installation"
        newer = msgspec.structs.replace(lyon.batch(), v=2)
        assert (await lyon.post(newer)).code == "version_unsupported"
        assert (await peer.post(PATH, b" " * (MAX_BATCH + 1))).code == "too_large"
        assert (await peer.post(PATH, b"{}")).code == "invalid_request"
        many = [
            msgspec.structs.replace(record("lyon", "c"), raw=b"", caller="", called="", dialled="")
        ] * 1_001
        assert (await lyon.post(lyon.batch(many))).status == 413
        master.order("/agents/lyon/revoke", {})
        assert (await lyon.post(lyon.batch([lyon.record()]))).code == "agent_revoked"


async def test_a_record_as_large_as_a_reader_takes_fits(master: Master) -> None:
    async with await join(master, "lyon") as peer:
        lyon = Recorder(peer)
        large = msgspec.structs.replace(lyon.record(), raw=bytes(65_536))
        assert await lyon.send(large, msgspec.structs.replace(large, call_ref="c2")) == 1
        assert rows(master, "SELECT length(raw) FROM call") == [(65_536,), (65_536,)]
