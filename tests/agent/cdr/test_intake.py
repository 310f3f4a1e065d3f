"""Call records come in on every transport, are on disk before they are acknowledged, and reach the master."""

import base64
import hashlib
import json
from pathlib import Path

import httpx
import msgspec

from agent.service.cdr.delivery import CUT_RAW
from telephony.cdr.reading import MAX_TEXT, Reason
from telephony.cdr.wire import MAX_BATCH
from tests.agent.cdr.calls import call_ref, line, post, until_open
from tests.agent.conftest import House
from tests.agent.scripted_pbx import free_port
from tests.agent.test_program import command
from tests.telephony.cdr.samples import made


async def test_http_is_acknowledged_and_delivered(house: House) -> None:
    port = free_port()
    house.cdrs = {"sources": [{"name": "web", "dialect": "asterisk_custom", "http": f"127.0.0.1:{port}"}]}
    async with house.running(), httpx.AsyncClient() as client:
        await until_open(port)
        url = f"http://127.0.0.1:{port}/cdr"
        assert await post(client, url, line(1)) == 200
        assert await post(client, url, line(1)) == 200
        assert await post(client, url, b"no record") == 200
        await house.master.until_records(lambda: bool(house.master.records() and house.master.unread()))
        (record,) = house.master.records()
        assert (record.source, record.call_ref) == ("acme/lyon/web", call_ref(1))
        (unread,) = house.master.unread()
        assert (unread.reason, unread.raw) == ("malformed", b"no record")


async def test_of_a_long_record_the_beginning_travels_and_says_so(house: House, tmp_path: Path) -> None:
    """At the master 96 KiB of it and how long it is, in quarantine too; here all of it."""
    port, config = free_port(), tmp_path / "agent.yaml"
    way = {"dialect": "freeswitch_json", "http": f"127.0.0.1:{port}"}
    house.cdrs = {"sources": [{"name": "web", **way}]}
    config.write_text(house.config_text())
    sample = made("freeswitch.json").strip()
    long = sample.replace(b'"core-uuid"', b'"notes": "' + b"n" * 300_000 + b'", "core-uuid"')
    odd = sample.replace(b'"2bbe83f7-0001"', b'""').replace(b'"c0"', b'"' + b"m" * 100_000 + b'"')
    fits = sample.replace(b"2bbe83f7-0001", b"2").replace(
        b'"c0"', b'"' + b"k" * (CUT_RAW - len(sample)) + b'"'
    )
    endless = sample.replace(b'"0612345678", "dest', b'"' + b"6" * (MAX_TEXT + 1) + b'", "dest')
    async with house.running(), httpx.AsyncClient() as client:
        await until_open(port)
        for body in (long, odd, fits, endless):
            assert await post(client, f"http://127.0.0.1:{port}/", body) == 200
        await house.master.until_records(lambda: len(house.master.records() + house.master.unread()) == 4)
    record, whole = house.master.records()
    assert (record.called, record.talk_s) == (whole.called, whole.talk_s)
    assert whole.raw == fits
    assert len(fits) <= CUT_RAW
    unread, refused = house.master.unread()
    for raw, sent in ((record.raw, long), (unread.raw, odd)):
        assert raw[:CUT_RAW] == sent[:CUT_RAW]
        digest = hashlib.sha256(sent).hexdigest()
        note = f"\n[pbx-agent: cut, the first {CUT_RAW} of {len(sent)} bytes; SHA-256 of all: {digest}]\n"
        assert raw[CUT_RAW:] == note.encode()
    assert unread.detail == f"no uuid (cut, the first {CUT_RAW} of {len(odd)} bytes)"
    assert (refused.reason, refused.raw) == (Reason.INVALID, endless)
    assert refused.detail.endswith(f"expected at most {MAX_TEXT} characters, found {MAX_TEXT + 1}")
    for batches in house.master.spools.values():
        assert all(len(msgspec.json.encode(batch)) <= MAX_BATCH for batch in batches)
    _, told, _ = await command("cdr", "export", "--format", "jsonl", "--config", str(config))
    here = [base64.b64decode(json.loads(each)["raw"]) for each in told.splitlines()]
    assert sorted(here, key=len) == sorted((fits, long), key=len)
