"""`pbx-agent cdr export` and `cdr replay` beside a running agent, and records pushed to others."""

import asyncio
import csv
import io
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.agent.cdr.calls import call_ref, line, post, until, until_open
from tests.agent.conftest import House
from tests.agent.scripted_pbx import free_port
from tests.agent.test_program import command

MAPPING = """format: csv
columns: [id, from, to, begin, seconds]
time: epoch_s
fields: {{call_ref: id, caller: from, called: {called}, setup: begin, talk: seconds}}
"""


@pytest.fixture
async def config(house: House) -> AsyncIterator[Path]:
    """A running agent that has the records 1 to 5; its file."""
    port = free_port()
    house.cdrs["sources"] = [{"name": "web", "dialect": "asterisk_custom", "http": f"127.0.0.1:{port}"}]
    path = house.data.parent / "agent.yaml"
    path.write_text(house.config_text())
    async with house.running(), httpx.AsyncClient() as client:
        await until_open(port)
        body = b"".join(map(line, range(1, 6)))
        assert await post(client, f"http://127.0.0.1:{port}/", body) == 200
        await house.master.until_records(lambda: len(house.master.records()) == 5)
        await until(lambda: house.status()["cdrs"]["waiting"] == 0)  # the agent knows that they arrived
        yield path


async def cdr(config: Path, *words: str) -> str:
    code, out, err = await command("cdr", *words, "--config", str(config))
    assert code == 0, err
    return out


async def test_a_range_is_exported_as_csv_and_json_lines(config: Path, tmp_path: Path) -> None:
    span = ("--from", "2026-11-18T00:01:02", "--to", "2026-11-18T01:01:04+01:00")
    rows = list(csv.DictReader(io.StringIO(await cdr(config, "export", *span))))
    assert [row["call_ref"] for row in rows] == [call_ref(2), call_ref(3)]
    for day, count in (("2026-11-18", 5), ("2026-11", 5), ("2026-11-19", 0)):
        text = await cdr(config, "export", "--from", day, "--to", day)
        assert len(text.splitlines()) == count + 1
    for far in ("2099-12", "9999-12", "9999-12-31"):
        assert len((await cdr(config, "export", "--from", "0001-01", "--to", far)).splitlines()) == 6
    file = tmp_path / "out.jsonl"
    told = await cdr(config, "export", "--format", "jsonl", "--no-raw", "--output", str(file), "--json")
    assert json.loads(told) == {"records": 5, "file": str(file)}
    assert [json.loads(each)["talk_s"] for each in file.read_text().splitlines()] == [60] * 5


async def test_wrong_words_are_refused(config: Path) -> None:
    code, _, err = await command("cdr", "export", "--from", "yesterday", "--config", str(config))
    assert (code, 'found "yesterday"; write a month' in err) == (2, True)
    for what in ("export", "replay"):
        code, _, err = await command("cdr", what, "--pbx", "metz", "--config", str(config))
        assert (code, "no PBX of that name" in err) == (2, True)


async def test_a_range_is_sent_again(house: House, config: Path) -> None:
    told = json.loads(await cdr(config, "replay", "--from", "2026-11-18T00:01:04", "--json"))
    assert told["pbxs"] == [{"name": "lyon", "sent_again": 2, "read": 0, "still_unread": 0}]
    await house.master.until_records(lambda: len(house.master.records()) == 7)
    assert [record.call_ref for record in house.master.records()[5:]] == [call_ref(4), call_ref(5)]


async def test_quarantine_is_read_again_by_a_corrected_mapping(house: House, tmp_path: Path) -> None:
    port, mapping = free_port(), tmp_path / "map.yaml"
    mapping.write_text(MAPPING.format(called="to"))
    way = {"http": f"127.0.0.1:{port}", "mapping": str(mapping)}
    house.cdrs = {"sources": [{"name": "web", "dialect": "mapping", **way}]}
    path = house.data.parent / "agent.yaml"
    path.write_text(house.config_text())
    async with house.running(), httpx.AsyncClient() as client:
        await until_open(port)
        assert await post(client, f"http://127.0.0.1:{port}/", b"7,201,0611,1795000000,60,more\n?\n") == 200
        await house.master.until_records(lambda: len(house.master.unread()) == 2)
        mapping.write_text(MAPPING.format(called="to").replace("seconds]", "seconds, more]"))
        told = json.loads(await cdr(path, "replay", "--unread", "--json"))
        assert told["pbxs"] == [{"name": "lyon", "sent_again": 0, "read": 1, "still_unread": 1}]
        await house.master.until_records(lambda: bool(house.master.records()))
        assert [record.call_ref for record in house.master.records()] == ["7"]


async def test_without_an_agent_nothing_is_replayed_and_all_is_exported(house: House, tmp_path: Path) -> None:
    house.cdrs = {"sources": [{"name": "f", "dialect": "asterisk_custom", "file": str(tmp_path / "f")}]}
    path = house.data.parent / "agent.yaml"
    path.write_text(house.config_text())
    assert (await command("cdr", "replay", "--config", str(path)))[0] == 3
    assert (await command("cdr", "export", "--config", str(path)))[0] == 4


@pytest.mark.parametrize("house_push", ["directory", "url"])
async def test_records_are_pushed_as_they_come(house: House, tmp_path: Path, house_push: str) -> None:
    folder, got = tmp_path / "out", asyncio.Event()
    folder.mkdir()

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        (folder / "posted").write_bytes(await reader.readexactly(length))
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n" if got.is_set() else b"HTTP/1.1 500 Not now\r\n\r\n")
        got.set()
        writer.close()

    server = await asyncio.start_server(take, "127.0.0.1", 0)
    ways: dict[str, Any] = {
        "directory": str(folder), "url": f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/cdrs",
    }  # fmt: skip
    file = tmp_path / "Custom.csv"
    file.write_bytes(line(1) + line(2))
    settings = {"name": "f", "dialect": "asterisk_custom", "file": str(file)}
    house.cdrs = {"sources": [settings], "push": {house_push: ways[house_push], "every_s": 1}}
    async with server, house.running():
        await until(lambda: house.status()["cdrs"]["pushed_ms"] is not None)
    (pushed,) = folder.iterdir()
    refs = [json.loads(each)["call_ref"] for each in pushed.read_text().splitlines()]
    assert refs == [call_ref(1), call_ref(2)]
