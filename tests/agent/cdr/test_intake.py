"""Call records come in on every transport, are on disk before they are acknowledged, and reach the master."""

import httpx

from tests.agent.cdr.calls import call_ref, line, post, until_open
from tests.agent.conftest import House
from tests.agent.scripted_pbx import free_port


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
