"""JSON-RPC of Kamailio from recordings: whole answers, empty ones, refusals, and what is none of them."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from pydantic import ValidationError

from agent.config import PbxEntry
from agent.edges.firewall.passage import NOTHING_HERE, redirected, set_aside
from agent.edges.kamailio.reg_event import Watched
from agent.edges.kamailio.rpc import Rpc
from agent.kamailio import Kamailio
from agent.service.driver import CannotEvictError, LinkLostError, RefusedError, UnansweredError
from agent.service.opening import _named
from telephony.directory import Directory, Row, Unknown
from telephony.pbx.kamailio import Held, read

RECORDED = Path(__file__).parents[1] / "telephony" / "recorded" / "kamailio"


def recorded(name: str, question: str, nth: int = 0) -> bytes:
    """What Kamailio answered to this question of a recording."""
    blocks = re.split(r"^### ", (RECORDED / name).read_text(), flags=re.MULTILINE)
    found = [block.partition("\n")[2] for block in blocks if block.startswith(question)]
    return found[nth].partition("[http")[0].encode()


@asynccontextmanager
async def answering(body: bytes, status: int = 200) -> AsyncIterator[Rpc]:
    """The calls of an HTTP server that has one answer."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(
            b"HTTP/1.1 %d X\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % (status, len(body))
        )
        writer.write(body)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()
        rpc = Rpc(Kamailio.model_validate({"rpc": f"{host}:{port}"}))
        try:
            yield rpc
        finally:
            await rpc.close()


async def test_a_recorded_table_is_read_whole() -> None:
    async with answering(recorded("jsonrpc.txt", "ul.dump")) as rpc:
        assert await rpc.location() == [
            ("2002", "sip:2002@10.77.0.3:5095", 120),
            ("2001", "sip:2001@10.77.0.3:5090", 57),
            ("2001", "sip:2001@10.77.0.3:5092", 4),
        ]
    async with answering(recorded("jsonrpc.txt", "ul.dump", 1)) as rpc:
        assert [uri for _, uri, _ in await rpc.location()] == [
            "sip:2002@10.77.0.3:5095",
            "sip:2001@10.77.0.3:5090",
        ]


async def test_a_contact_that_is_no_utf_8_is_named_as_evapi_names_it() -> None:
    table = recorded("jsonrpc.txt", "ul.dump").replace(b"sip:2002@", b"sip:\xff\xc3\xa4@")
    async with answering(table) as rpc:
        (_, uri, _), *others = await rpc.location()
    assert uri == "sip:\\xff\u00e4@10.77.0.3:5095"
    assert len(others) == 2
    held = read(f"set - 1 0\nsip:2002@a\n60 {uri}\n".encode().replace(rb"\xff", b"\xff"))
    assert isinstance(held, Held)
    assert held.contacts == ((uri, 60),)


async def test_only_an_empty_table_is_an_empty_table() -> None:
    empty = recorded("jsonrpc-empty.txt", "ul.dump")
    async with answering(empty) as rpc:
        assert await rpc.location() == []
    for body, status in (
        (recorded("jsonrpc-empty.txt", "ul.lookup"), 500),
        (empty.replace(b'"location"', b'"aliases"'), 200),
        (empty[:100], 200),
        (recorded("jsonrpc-empty.txt", "dlg.list"), 200),
        (b"<html>no</html>", 200),
        (b'{"result": {"Domains": []}}', 200),
        (b"", 404),
    ):
        async with answering(body, status) as rpc:
            with pytest.raises(LinkLostError):
                await rpc.location()


async def test_an_unknown_method_and_an_unknown_aor_differ_by_their_text() -> None:
    """Both are error 500."""
    unknown_method = recorded("jsonrpc-empty.txt", "no.such")
    async with answering(unknown_method, 500) as rpc:
        with pytest.raises(RefusedError, match="loadmodule usrloc"):
            await rpc.location()
    async with answering(unknown_method, 500) as rpc:
        with pytest.raises(CannotEvictError, match="Method Not Found"):
            await rpc.remove("2001", "sip:a")
    async with answering(recorded("jsonrpc-empty.txt", "ul.lookup"), 500) as rpc:
        await rpc.remove("2001", "sip:a")  # it is gone already
    async with answering(b"no", 403) as rpc:
        with pytest.raises(RefusedError, match="403"):
            await rpc.location()


async def test_a_dialog_that_is_over_is_no_call() -> None:
    """It stays in the list for some seconds, in state 5; an empty list is a list."""
    over = recorded("jsonrpc.txt", "dlg.list")
    async with answering(over) as rpc:
        assert await rpc.dialogs() == set()
    for state in range(1, 5):
        async with answering(over.replace(b'"state":\t5', b'"state":\t%d' % state)) as rpc:
            assert await rpc.dialogs() == {b"1-2461@10.77.0.3"}
    async with answering(recorded("jsonrpc-empty.txt", "dlg.list")) as rpc:
        assert await rpc.dialogs() == set()
    async with answering(recorded("jsonrpc.txt", "core.uptime")) as rpc:
        assert await rpc.uptime_s() == 5


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b'{"jsonrpc": "2.0", "id": 1}', "not understood"),
        (b'{"result": null}', "not understood"),
        (b'{"result": {}}', "not understood"),
        (b'{"result": [{"call-id": "a"}]}', "not understood"),
        (b'{"result": [{"call-id": "a", "state": 4}, {"state": 4}]}', "not understood"),
        (b'{"result": [{"call-id": "a\xff", "state": 4}]}', "not understood"),
        (b"", "not understood"),
        (b"<html>", "not understood"),
        (recorded("jsonrpc-empty.txt", "dlg.list")[:40], "not understood"),
        (recorded("jsonrpc-empty.txt", "no.such"), "loadmodule dialog.so"),
        (recorded("jsonrpc-empty.txt", "ul.lookup"), "AOR not found"),
    ],
)
async def test_an_empty_answer_is_no_empty_list_of_dialogs(body: bytes, why: str) -> None:
    async with answering(body) as rpc:
        with pytest.raises(UnansweredError, match=why):
            await rpc.dialogs()


async def test_nobody_there_is_a_lost_link() -> None:
    rpc = Rpc(Kamailio.model_validate({"rpc": "127.0.0.1:9"}))
    with pytest.raises(LinkLostError):
        await rpc.location()
    await rpc.close()


def test_what_passes_unasked_is_not_counted_when_the_pbx_shows_it() -> None:
    """The guard forwards it without asking for a licence (`unknown: pass`)."""
    rows = [Row("user", ("20*",))]
    assert _named(Directory(rows, Unknown.PASS), "example.com", "2001") is not None
    assert _named(Directory(rows, Unknown.PASS), "example.com", "3001@example.com") is None


def test_exact_aors_of_agent_yaml_are_watched_from_the_beginning() -> None:
    """A pattern names no AOR, and what passes unasked is not counted."""
    rows = (
        {"kind": "user", "aor": ("2001", "20*", "200?")},
        {"kind": "pass", "aor": ("9000",)},
        {"kind": "group", "aor": ("11@example.com",)},
    )
    entry = {"name": "hq", "software": 13, "objects": rows}
    for sip, domain in (({}, "192.0.2.1"), ({"domain": "example.com"}, "example.com")):
        listening = {"listen": ("udp:192.0.2.2:5060",), "pbx": "udp:192.0.2.1:5060", **sip}
        watched = Watched.of(PbxEntry.model_validate({**entry, "sip": listening}))
        assert (watched.domain, str(watched.pbx)) == (domain, "192.0.2.1:5060")
        assert watched.aors == ("2001", "11@example.com")


def test_nothing_leads_around_where_kamailio_is_the_edge() -> None:
    kamailio = {"rpc": "127.0.0.1:5060", "evapi": "127.0.0.1:8448", "asks": True}
    entry = {"name": "hq", "software": 13, "sip": {"pbx": "udp:192.0.2.1:5060"}, "kamailio": kamailio}
    asked = PbxEntry.model_validate(entry)
    assert redirected(asked) == set_aside(asked) == NOTHING_HERE


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"kamailio": {"rpc": "127.0.0.1:5060", "asks": True}}, "found asks without evapi"),
        (
            {"kamailio": {"rpc": "127.0.0.1:1", "evapi": "127.0.0.1:2", "asks": True, "dialogs": True}},
            "found dialogs with asks",
        ),
        (
            {"kamailio": {"rpc": "127.0.0.1:1", "evapi": "127.0.0.1:2", "reg_event": "127.0.0.1:3"}},
            "found reg_event beside evapi",
        ),
        ({"kamailio": {"rpc": "127.0.0.1:1", "reg_event": "0.0.0.0:3"}}, "write the one address"),
        ({"kamailio": {"rpc": "127.0.0.1:1", "reg_event": "pbx:3"}}, "write the IP address"),
        (
            {
                "kamailio": {"rpc": "127.0.0.1:1", "reg_event": "127.0.0.1:3"},
                "sip": {"listen": ("tcp:192.0.2.2:5060",), "pbx": "tcp:192.0.2.1:5060"},
            },
            "reg event goes by udp",
        ),
        ({"sip": {"pbx": "udp:192.0.2.1:5060"}, "kamailio": None}, "found an empty list"),
        (
            {"sip": {"listen": ("udp:192.0.2.2:5060",), "pbx": "udp:192.0.2.1:5060"}},
            "leave listen out, or asks",
        ),
        (
            {"asterisk": {"manager": "127.0.0.1:5038", "user": "a", "secret": "s"}},
            "found asterisk beside it",
        ),
    ],
)
def test_a_configuration_that_cannot_be_says_why(changed: dict[str, object], message: str) -> None:
    kamailio = {"rpc": "127.0.0.1:5060", "evapi": "127.0.0.1:8448", "asks": True}
    entry = {"name": "hq", "software": 13, "sip": {"pbx": "udp:192.0.2.1:5060"}, "kamailio": kamailio}
    assert PbxEntry.model_validate(entry).asked
    with pytest.raises(ValidationError, match=message):
        PbxEntry.model_validate(entry | changed)
