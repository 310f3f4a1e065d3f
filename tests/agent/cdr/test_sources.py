"""What a source says of itself: when it was last heard, whether it is silent, what is missing."""

from pathlib import Path
from urllib.parse import quote_from_bytes

import pytest

from agent.cdrs import CdrSource
from agent.service.cdr import collection
from agent.service.cdr.source import Source
from runtime.clock import Monotonic, Wall
from telephony.cdr.reading import Origin
from telephony.cdr.wire import Missing
from tests.agent.cdr.calls import line, until
from tests.agent.cdr.test_spool import opened
from tests.agent.conftest import House
from tests.telephony.cdr.samples import ORIGIN, recorded

HOUR_MS = 3_600_000


class HandClock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.at_ms = 1_795_000_000_000

    def monotonic_ms(self) -> Monotonic:
        return Monotonic(self.at_ms)

    def wall_ms(self) -> Wall:
        return Wall(self.at_ms)


def settings(dialect: str, silent_after_s: int | None = None) -> CdrSource:
    way = {"file": Path("f"), "silent_after_s": silent_after_s}
    return CdrSource.model_validate({"name": "cdr", "dialect": dialect, **way})


async def test_silence_counts_from_the_start_and_from_the_last_record(tmp_path: Path) -> None:
    clock = HandClock()
    async with opened(tmp_path) as spool:
        source = Source(settings("asterisk_custom", 3_600), ORIGIN, spool, clock)
        clock.at_ms += HOUR_MS
        assert not source.state().silent
        clock.at_ms += 1
        assert source.state().silent
        await source.take(source.branch(), [line(1)])
        assert (source.state().silent, source.state().last_ms) == (False, clock.at_ms)
        clock.at_ms += HOUR_MS + 1
        assert source.state().silent


def numbered(number: int) -> bytes:
    """A record of innovaphone 14r2 with this number, and a call of its own."""
    whole = recorded("innovaphone-14r2.xml").replace(b'seq="41"', b'seq="%d"' % number)
    return whole.replace(b'id="0badc0de1ee567010001009033aabb01"', b'id="%d"' % number)


async def test_missing_numbers_are_known_also_after_a_restart(tmp_path: Path) -> None:
    clock, origin = HandClock(), Origin("acme/lyon/cdr", "lyon")
    for number in (41, 45, 43):
        async with opened(tmp_path) as spool:
            source = Source(settings("innovaphone"), origin, spool, clock)
            await source.resume()
            await source.take(source.branch(), [numbered(number)])
            await source.take(source.branch(), [numbered(number)])
            state = source.state()
    assert state.missing == (Missing(42, 42), Missing(44, 44))
    async with opened(tmp_path) as spool:
        source = Source(settings("innovaphone"), origin, spool, clock)
        await source.resume()
        assert source.state().missing == state.missing


async def test_innovaphone_by_http_is_xml_or_carries_it(tmp_path: Path) -> None:
    carried = quote_from_bytes(numbered(2)).encode()
    way = CdrSource.model_validate({"name": "cdr", "dialect": "innovaphone", "http": "127.0.0.1:80"})
    async with opened(tmp_path) as spool:
        source = Source(way, ORIGIN, spool, HandClock())
        for request in (numbered(1), b"event=syslog&time=1&msg=" + carried, b"event=syslog&msg=started"):
            await source.take(source.branch(), [request], end=True)
        assert [row.read().call_ref for row in await spool.records_behind(0, 9)] == ["1", "2"]
        assert source.state().missing == ()


async def test_missing_numbers_are_an_alarm_and_told_to_the_master(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collection, "LOOK_S", 0.05)
    file = tmp_path / "cdr.xml"
    file.write_bytes(numbered(1) + b"\n" + numbered(3) + b"\n")
    house.cdrs = {"sources": [{"name": "cdr", "dialect": "innovaphone", "file": str(file)}]}
    async with house.running():
        await until(lambda: any(alarm["code"] == "cdr_missing" for alarm in house.status()["alarms"]))
        (source,) = house.status()["cdrs"]["sources"]
        assert (source["missing"], source["connected"]) == (1, True)
        await house.master.until_records(lambda: len(house.master.records()) == 2)
        (batches,) = house.master.spools.values()
        assert batches[-1].sources[0].missing == (Missing(2, 2),)
