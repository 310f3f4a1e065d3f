"""Every transport brings records in; a place in a file survives rotation, truncation and a restart."""

import asyncio
import os
import shutil
import socket
from pathlib import Path

import httpx
import pytest
from structlog.testing import capture_logs

from agent.edges.cdr import directory, tail
from agent.service.cdr import collection, dialect
from telephony.cdr.asterisk import SHIPPED, CsvReader
from telephony.cdr.framing import Lines
from telephony.cdr.reading import Origin, Piece, Reading, Reason, Stream
from tests.agent.cdr.calls import bound, call_ref, line, post, repeated, until, until_open
from tests.agent.conftest import House
from tests.agent.scripted_manager import SECRET, ScriptedManager
from tests.agent.scripted_pbx import free_port
from tests.telephony.cdr.samples import made

ACCOUNTED = (
    b"ACC: transaction answered: timestamp=%d;method=%b;from_tag=a;to_tag=b;call_id=c;code=200;reason=OK;"
    b"src_user=201;dst_user=0611\n"
)
RFC3164 = b"<134>Nov 30 12:00:00 pbx asterisk[7]: "


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks that come soon: the steps are the same."""
    monkeypatch.setattr(tail, "LOOK_S", 0.02)
    monkeypatch.setattr(directory.Directory.__init__, "__defaults__", (0.02,))
    monkeypatch.setattr(tail.Tail.__init__, "__defaults__", (0.1,))
    monkeypatch.setattr(collection, "OPEN_AGAIN_S", 0.05)


def sources(house: House, **transport: str) -> int:
    """One source of cdr_custom lines; the port for listeners."""
    port = free_port()
    settings = {name: value.format(port=port) for name, value in transport.items()}
    house.cdrs = {"sources": [{"name": "cdr", "dialect": "asterisk_custom", **settings}]}
    return port


async def arrived(house: House, *numbers: int) -> None:
    """Wait until these records are at the master; then exactly these are."""
    await house.master.until_records(lambda: len(house.master.records()) >= len(numbers))
    assert sorted(record.call_ref for record in house.master.records()) == sorted(map(call_ref, numbers))


async def connected(port: int) -> asyncio.StreamWriter:
    await until_open(port)
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    return writer


async def test_the_pbx_connects(house: House) -> None:
    port = sources(house, tcp_listen="127.0.0.1:{port}")
    async with house.running():
        one, other = await connected(port), await connected(port)
        one.write(line(1)[:50])
        other.write(line(2) + line(3).rstrip())
        await other.drain()
        other.close()
        one.write(line(1)[50:])
        await arrived(house, 1, 2, 3)
        one.close()


async def test_we_connect_to_the_pbx_again_and_again(house: House) -> None:
    port = sources(house, tcp_connect="127.0.0.1:{port}")
    numbers = iter((1, 2))

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number = next(numbers, None)
        if number is not None:
            writer.write(line(number))
            await writer.drain()
            writer.close()

    async with house.running():
        server = await asyncio.start_server(serve, "127.0.0.1", port)
        async with server:
            await arrived(house, 1, 2)


async def test_syslog_in_datagrams(house: House) -> None:
    port = sources(house, syslog="udp:127.0.0.1:{port}")
    async with house.running():
        await until(lambda: bound(port))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            for number, head in enumerate((RFC3164, b"", b"<134>1 - pbx asterisk - - - ")):
                sender.sendto(head + line(number), ("127.0.0.1", port))
        await arrived(house, 0, 1, 2)


async def test_syslog_over_tcp_counted_and_by_line(house: House) -> None:
    port = sources(house, syslog="tcp:127.0.0.1:{port}")
    async with house.running():
        writer = await connected(port)
        for number in range(2):
            message = RFC3164 + line(number).rstrip()
            writer.write(b"%d %b" % (len(message), message))
        other = await connected(port)
        other.write(RFC3164 + line(2))
        await arrived(house, 0, 1, 2)
        writer.close()
        other.close()


async def test_a_file_that_grows_is_renamed_cut_and_made_anew(house: House, tmp_path: Path) -> None:
    file = tmp_path / "Custom.csv"
    sources(house, file=str(file))
    async with house.running():
        file.write_bytes(line(1) + line(2)[:30])
        await arrived(house, 1)
        with file.open("ab") as appended:
            appended.write(line(2)[30:] + line(3))
        await arrived(house, 1, 2, 3)
        file.rename(tmp_path / "Custom.csv.1")
        with (tmp_path / "Custom.csv.1").open("ab") as late:
            late.write(line(4))
        file.write_bytes(line(5))
        await arrived(house, 1, 2, 3, 4, 5)
        cut(file)
        with file.open("ab") as appended:
            appended.write(line(6) + line(7))  # longer than what was cut
        await arrived(house, 1, 2, 3, 4, 5, 6, 7)
    assert house.master.unread() == []


async def test_a_file_is_read_on_after_a_stop_also_where_it_was_renamed(house: House, tmp_path: Path) -> None:
    file = tmp_path / "Custom.csv"
    sources(house, file=str(file))
    file.write_bytes(line(1) + line(2)[:30])
    async with house.running():
        await arrived(house, 1)
    with file.open("ab") as appended:
        appended.write(line(2)[30:])
    async with house.running():
        await arrived(house, 1, 2)
    with file.open("ab") as appended:
        appended.write(line(3))
    file.rename(tmp_path / "Custom.csv.1")
    file.write_bytes(line(4))
    async with house.running():
        await arrived(house, 1, 2, 3, 4)
    assert house.master.unread() == []


def turned(file: Path, written: bytes, name: str) -> None:
    """What logrotate does once more: what was written meanwhile is in a file of another name."""
    file.write_bytes(written)
    file.rename(file.with_name(name))


async def test_files_that_were_renamed_before_anybody_looked_are_read(house: House, tmp_path: Path) -> None:
    """A weekend without an agent, and a busy minute with one; other files that begin alike are not ours."""
    file = tmp_path / "Custom.csv"
    sources(house, file=str(file))
    file.write_bytes(line(1))
    async with house.running():
        await arrived(house, 1)
    with file.open("ab") as appended:
        appended.write(line(2))
    file.rename(tmp_path / "Custom.csv.3")
    turned(file, line(3), "Custom.csv.2")
    turned(file, line(4), "Custom-20261128.csv")
    for name in ("Custom2.csv", "Custom.csv.old", "Custom.csv.4.gz", "CustomOf1.csv"):
        (tmp_path / name).write_bytes(line(99))
    file.write_bytes(line(5))
    async with house.running():
        await arrived(house, 1, 2, 3, 4, 5)
        file.rename(tmp_path / "Custom.csv.1")
        turned(file, line(6), "Custom.csv.0")
        file.write_bytes(line(7))
        await arrived(house, 1, 2, 3, 4, 5, 6, 7)
    assert house.master.unread() == []


def cut(file: Path, *, last: bytes = b"") -> None:
    """What logrotate does with copytruncate, when `last` is written just before."""
    with file.open("ab") as appended:
        appended.write(last)
    shutil.copy(file, file.with_name(f"{file.name}.2"))
    os.truncate(file, 0)


async def test_what_was_written_just_before_a_file_was_cut_is_in_its_copy(
    house: House, tmp_path: Path
) -> None:
    file = tmp_path / "Custom.csv"
    sources(house, file=str(file))
    file.write_bytes(line(1))
    async with house.running():
        await arrived(house, 1)
        cut(file, last=line(2))
        await arrived(house, 1, 2)
        file.write_bytes(line(3))
        await arrived(house, 1, 2, 3)
    cut(file, last=line(4))
    file.write_bytes(line(5))
    async with house.running():
        await arrived(house, 1, 2, 3, 4, 5)
    assert house.master.unread() == []


async def test_a_directory_of_files_that_name_their_columns(house: House, tmp_path: Path) -> None:
    folder = tmp_path / "cucm"
    folder.mkdir()
    settings = {"name": "cdr", "dialect": "cucm", "directory": str(folder), "pattern": "cdr_*"}
    house.cdrs = {"sources": [settings]}
    (folder / "other").write_bytes(b"not ours\n")
    (folder / "cdr_1").write_bytes(made("cucm.csv"))
    async with house.running():
        await house.master.until_records(lambda: bool(house.master.records()))
    first = len(house.master.records())
    another = made("cucm.csv").splitlines()[2].replace(b"5001", b"6001")
    (folder / "cdr_2").write_bytes(made("cucm.csv") + another)
    async with house.running():
        await house.master.until_records(lambda: len(house.master.records()) > first)
    assert len(house.master.records()) == first + 1, "the others are known"
    assert house.master.unread() == []


async def test_innovaphone_by_http_with_parts_across_a_restart(house: House) -> None:
    port = free_port()
    lines = made("gateway.txt").decode().splitlines()[:8]
    settings = {"name": "gw", "dialect": "innovaphone_gateway", "http": f"127.0.0.1:{port}"}
    house.cdrs = {"sources": [settings]}
    for part in (lines[:4], lines[4:7], lines[7:]):
        async with house.running(), httpx.AsyncClient() as client:
            await until_open(port)
            for each in part:
                answer = await client.get(f"http://127.0.0.1:{port}/cdr0?{each}")
                assert answer.status_code == 200
    async with house.running():
        await house.master.until_records(lambda: len(house.master.records()) == 2)
    leg_b, leg_a = house.master.records()
    assert (leg_b.leg, leg_b.talk_s, leg_a.leg) == ("B", 44, "A")
    assert house.master.unread() == []


async def test_a_call_that_goes_on_over_a_restart_is_one_record(house: House) -> None:
    port = free_port()
    settings = {"name": "acc", "dialect": "kamailio_log", "http": f"127.0.0.1:{port}"}
    house.cdrs = {"sources": [settings]}
    for method, at_s in (("INVITE", 1_795_000_000), ("BYE", 1_795_000_042)):
        async with house.running(), httpx.AsyncClient() as client:
            await until_open(port)
            accounted = ACCOUNTED % (at_s, method.encode())
            assert await post(client, f"http://127.0.0.1:{port}/", accounted) == 200
    async with house.running():
        await house.master.until_records(lambda: bool(house.master.records()))
    (record,) = house.master.records()
    assert (record.caller, record.talk_s, record.raw.count(b"ACC:")) == ("201", 42, 2)


async def test_freeswitch_wraps_its_record_into_a_form(house: House) -> None:
    port, plain = free_port(), made("freeswitch.json")
    settings = {"name": "fs", "dialect": "freeswitch_json", "http": f"127.0.0.1:{port}"}
    house.cdrs = {"sources": [settings]}
    async with house.running(), httpx.AsyncClient() as client:
        await until_open(port)
        url = f"http://127.0.0.1:{port}/?uuid=a_1"
        assert (await client.post(url, data={"cdr": plain.decode()})).status_code == 200
        await house.master.until_records(lambda: bool(house.master.records()))
        wrapped = [record.call_ref for record in house.master.records()]
        assert await post(client, url, plain) == 200
        assert await post(client, url, b"") == 200, "then the query is the entry"
        await house.master.until_records(lambda: bool(house.master.unread()))
    assert [record.call_ref for record in house.master.records()] == wrapped, "the same without a form"


async def test_a_source_is_connected_once_it_listens(house: House, tmp_path: Path) -> None:
    """Events of before are lost: who waits for the source must not be told too early."""
    (tmp_path / "secret").write_text(SECRET)
    house.cdrs = {"sources": [{"name": "cel", "dialect": "asterisk_ami_cel", "ami": True}]}
    async with ScriptedManager().serving() as manager:
        manager.booted.clear()
        address = f"127.0.0.1:{manager.port}"
        house.asterisk = {"manager": address, "user": "agent", "secret": str(tmp_path / "secret")}

        def listens() -> bool:
            (source,) = house.status()["cdrs"]["sources"]
            return bool(source["connected"])

        async with house.running():
            await until(lambda: [action["Action"] for action in manager.actions].count("Login") == 2)
            assert not listens()
            manager.booted.set()
            await until(listens)


async def test_who_is_not_allowed_is_sent_away(house: House) -> None:
    port = sources(house, http="127.0.0.1:{port}")
    house.sip["pbx"] = "udp:127.0.0.9:5060"
    async with house.running(), httpx.AsyncClient() as client:
        await until_open(port)
        assert await post(client, f"http://127.0.0.1:{port}/", line(1)) == 403


async def test_a_full_spool_is_told_to_the_source(house: House) -> None:
    port = sources(house, http="127.0.0.1:{port}")
    house.cdrs["most_mib"] = 1
    house.master.takes_records = False
    url = f"http://127.0.0.1:{port}/"
    async with house.running(), httpx.AsyncClient() as client:
        await until_open(port)
        bulk = b"".join(map(line, range(3_000)))
        statuses = [await post(client, url, bulk) for _ in range(2)]
        assert statuses == [200, 503]
        house.master.takes_records = True
        await house.master.until_records(lambda: len(house.master.records()) == 3_000)
        await repeated(client, url, line(1))


async def test_a_disk_that_is_nearly_full_takes_nothing_in(house: House) -> None:
    port = sources(house, http="127.0.0.1:{port}")
    url = f"http://127.0.0.1:{port}/"
    async with house.running(), httpx.AsyncClient() as client:
        await until_open(port)
        assert house.lyon.cdrs is not None
        house.lyon.cdrs.hold_back(True)
        assert await post(client, url, line(1)) == 503
        house.lyon.cdrs.hold_back(False)
        assert await post(client, url, line(1)) == 200
        await arrived(house, 1)


async def test_files_that_were_read_are_read_again_under_the_same_name(house: House, tmp_path: Path) -> None:
    """After a loss: what is known stays one record, what was dropped comes again."""
    file, old = tmp_path / "Custom.csv", tmp_path / "old"
    old.mkdir()
    sources(house, file=str(file))
    async with house.running():
        file.write_bytes(line(1))
        await arrived(house, 1)
    shutil.copy(file, old / "Custom.csv.1")
    (old / "Custom.csv.2").write_bytes(line(1) + line(2))
    sources(house, directory=str(old))
    async with house.running():
        await arrived(house, 1, 2)


class Mistaken:
    """A reader with a mistake: it counts on something that the bytes do not have."""

    def __init__(self, origin: Origin) -> None:
        self._right = CsvReader(origin, SHIPPED, ())

    def read(self, raw: bytes, now_ms: int) -> list[Reading]:
        if raw.startswith(b"odd"):
            raise KeyError(raw.decode())
        return self._right.read(raw, now_ms)


async def test_a_readers_mistake_costs_one_record(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """The agent goes on, in the same connection; the log says which dialect and where, no numbers."""
    monkeypatch.setitem(dialect.MAKERS, "asterisk_custom", lambda _, origin: Stream(Lines, Mistaken(origin)))
    port = sources(house, tcp_listen="127.0.0.1:{port}")
    with capture_logs() as logs:
        async with house.running():
            writer = await connected(port)
            writer.write(line(1) + b"odd 0611223344\n" + line(2))
            await arrived(house, 1, 2)
            writer.close()
    (unread,) = house.master.unread()
    assert (unread.raw, unread.reason) == (b"odd 0611223344", Reason.MALFORMED)
    assert "KeyError at test_transports.py:" in unread.detail
    (said,) = [entry for entry in logs if entry["event"] == "cdr.reader_failed"]
    assert (said["dialect"], said["source"], "0611223344" in str(said)) == (
        "asterisk_custom",
        unread.source,
        False,
    )


class Misframed(Lines):
    """A framer with a mistake."""

    def feed(self, data: bytes) -> list[Piece]:
        pieces = super().feed(data)
        if any(piece.raw.startswith(b"odd") for piece in pieces):
            raise KeyError("no number of a caller")
        return pieces


@pytest.mark.parametrize("way", ["tcp_listen", "file"])
async def test_a_framers_mistake_costs_the_bytes_up_to_the_next_record(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """What came with them is read; the place in a file is behind them, so that they come once."""
    make = lambda _, origin: Stream(Misframed, CsvReader(origin, SHIPPED, ()))  # noqa: E731
    monkeypatch.setitem(dialect.MAKERS, "asterisk_custom", make)
    stream, file = line(1) + b"odd 0611223344\n" + line(2), tmp_path / "Custom.csv"
    port = sources(house, **{way: str(file) if way == "file" else "127.0.0.1:{port}"})
    with capture_logs() as logs:
        async with house.running():
            if way == "file":
                file.write_bytes(stream)
            else:
                writer = await connected(port)
                writer.write(stream)
            await arrived(house, 1, 2)
            if way == "file":
                with file.open("ab") as appended:
                    appended.write(line(3))
            else:
                writer.write(line(3))
            await arrived(house, 1, 2, 3)
            if way != "file":
                writer.close()
    (unread,) = house.master.unread()
    assert (unread.raw, unread.reason) == (b"odd 0611223344\n", Reason.MALFORMED)
    assert "KeyError at test_transports.py:" in unread.detail
    (said,) = [entry for entry in logs if entry["event"] == "cdr.reader_failed"]
    assert (said["dialect"], "0611223344" in str(said)) == ("asterisk_custom", False)
