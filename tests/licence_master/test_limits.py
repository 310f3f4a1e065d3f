"""What strangers and the overeager may cost: requests, connections, heads, bodies, memory."""

import asyncio
import contextlib
import socket
import ssl
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest

from licence_master.edges.limits import MAX_SOURCES, RateLimit
from runtime.connections import HEAD_BYTES, HEAD_S
from runtime.sources import source_of
from runtime.tls import pinned_context
from tests.licence_master.master import Master

BASE = "/api/v1/installations"


def client(master: Master, url: str, address: str = "127.0.0.1") -> httpx.Client:
    transport = httpx.HTTPTransport(verify=pinned_context([master.pin]), local_address=address)
    headers = {"Authorization": f"Bearer {master.admin_token}"}
    return httpx.Client(base_url=url, transport=transport, headers=headers, timeout=60)


def connected(master: Master, port: int, address: str = "127.0.0.1") -> ssl.SSLSocket:
    """A TLS connection of this source."""
    raw = socket.create_connection(("127.0.0.1", port), timeout=30, source_address=(address, 0))
    return pinned_context([master.pin]).wrap_socket(raw)


@pytest.fixture(scope="module")
def master(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Master]:
    limits = ", address_per_s: 1000, caller_per_s: 1000, address_connections: 20"
    with Master(tmp_path_factory.mktemp("limits"), admin=limits).init().start() as made:
        yield made


def test_both_ports_limit_an_address_unless_told_otherwise(tmp_path: Path) -> None:
    with Master(tmp_path, agents=", address_per_s: 20").init().start() as master:
        for url, path, log in (
            (master.admin_url, "/healthz", "admin.refused"),
            (master.url, "/healthz", "request.refused"),
        ):
            began = time.monotonic()
            with client(master, url) as one, client(master, url, "127.0.0.2") as other:
                with ThreadPoolExecutor(8) as crowd:  # one after the other may be slower than the limit
                    answers = list(crowd.map(one.get, [path] * 1_000))
                limited = [answer for answer in answers if answer.status_code == 429]
                assert limited
                assert answers[0].status_code == 200, "a burst passes"
                assert {answer.json()["code"] for answer in limited} == {"rate_limited"}
                assert {answer.headers["Retry-After"] for answer in limited} == {"1"}
                assert other.get(path).status_code == 200, "another source does not pay for it"
            master.wait_for(log, 1)
            took_s = time.monotonic() - began
            assert len(master.logged(log)) <= took_s + 2, "a flood is no flood of lines: one a second"


def test_a_token_has_a_limit_of_its_own(tmp_path: Path) -> None:
    with Master(tmp_path, admin=", address_per_s: 1000, caller_per_s: 5").init().start() as master:
        token = master.order("/tokens", {"role": "auditor"})["token"]
        other = {"Authorization": f"Bearer {token}"}
        with client(master, master.admin_url) as http:
            statuses = [http.get(BASE).status_code for _ in range(30)]
            assert set(statuses) == {200, 429}
            assert http.get(BASE, headers=other).status_code == 200


def test_the_tables_are_bounded_and_forget_the_longest_unseen() -> None:
    limit = RateLimit(1)
    for number in range(3 * MAX_SOURCES):
        limit.allows(f"source {number}", now_ms=0)
    assert len(limit._full_at) == MAX_SOURCES
    last = f"source {3 * MAX_SOURCES - 1}"
    assert [limit.allows(last, now_ms=0) for _ in range(2)] == [True, False]
    assert limit.allows(last, now_ms=1_000)


@pytest.mark.parametrize(
    ("address", "source"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("fe80::1%eth0", "fe80::"),
        ("", ""),
    ],
)
def test_a_source_is_an_address_or_a_whole_network(address: str, source: str) -> None:
    assert source_of(address) == source


def test_one_source_has_so_many_connections(master: Master) -> None:
    with contextlib.ExitStack() as open_:
        for _ in range(20):
            open_.enter_context(connected(master, master.admin_port))
        with connected(master, master.admin_port) as one_more, contextlib.suppress(ConnectionError):
            one_more.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            assert one_more.recv(100) == b""
        with client(master, master.admin_url, "127.0.0.2") as other:
            assert other.get("/healthz").status_code == 200


def test_a_head_without_end_is_cut_off(master: Master) -> None:
    for port in (master.admin_port, master.agents_port):
        with connected(master, port, "127.0.0.3") as endless:
            endless.sendall(b"GET /healthz HTTP/1.1\r\nX: ")
            sent = 0
            with contextlib.suppress(ConnectionError, ssl.SSLError):
                while sent < 100 * HEAD_BYTES:
                    sent += endless.send(b"a" * 16_384)
            assert sent < 100 * HEAD_BYTES


async def test_the_slow_are_cut_off_and_nobody_waits_for_them(master: Master) -> None:
    """Silence before and after the handshake, a head or a body in drops, line feeds after an answer."""
    begun = time.monotonic()
    slow = [
        asyncio.create_task(ended(master, port, kind))
        for port in (master.admin_port, master.agents_port)
        for kind in ("no handshake", "silent", "head", "line feed", "body")
    ]
    await asyncio.sleep(0)
    async with httpx.AsyncClient(verify=pinned_context([master.pin])) as http:
        async with asyncio.timeout(HEAD_S + 10):
            while not all(task.done() for task in slow):
                assert (await http.get(f"{master.admin_url}/healthz", timeout=5)).status_code == 200
                await asyncio.wait(slow, timeout=1)
    for task in slow:
        kind, at = task.result()
        assert at - begun < HEAD_S + 5, kind


async def ended(master: Master, port: int, kind: str) -> tuple[str, float]:
    """When the master ended a connection of this kind; it writes a byte each half second."""
    context = None if kind == "no handshake" else pinned_context([master.pin])
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", port, ssl=context, local_addr=("127.0.0.4", 0)
    )
    token = f"Authorization: Bearer {master.admin_token}\r\n"
    path = "/v1/agent/sync" if port == master.agents_port else f"{BASE}/acme/invites"
    begin = {
        "no handshake": b"",
        "silent": b"",
        "head": b"GET /healthz HTTP/1.1\r\n",
        "line feed": b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n",
        "body": f"POST {path} HTTP/1.1\r\nHost: x\r\n{token}Content-Length: 1000\r\n\r\n".encode(),
    }[kind]
    drop = {"head": b"a", "body": b" ", "line feed": b"\r\n"}.get(kind, b"")
    gone = asyncio.create_task(reader.read())
    with contextlib.suppress(ConnectionError):
        writer.write(begin)
        while not gone.done():
            writer.write(drop)
            await asyncio.wait([gone], timeout=0.5)
    with contextlib.suppress(ConnectionError, ssl.SSLError):
        await gone
    writer.close()
    return f"{kind} at {port}", time.monotonic()


def test_a_body_is_small_before_somebody_is_known(master: Master) -> None:
    with client(master, master.admin_url) as http:
        small = http.post("/api/v1/session", content=b" " * 5_000)
        assert (small.status_code, small.json()["code"]) == (413, "too_large")
        large = http.post(f"{BASE}/acme/licences", content=b" " * (8 * 1_048_576 + 1))
        assert (large.status_code, large.json()["code"]) == (413, "too_large")
        unknown = http.post(f"{BASE}/acme/licences", content=b" " * 500_000, headers={"Authorization": "x"})
        assert unknown.status_code == 401
    with client(master, master.url) as http:
        assert http.post("/v1/agent/sync", content=b" " * 300_000).json()["code"] == "too_large"


def test_nobody_writes_lines_into_the_log(master: Master) -> None:
    """Control characters in what is logged of a request; every line of the log is read as JSON here."""
    before = len(master.logged("admin.refused"))
    forged = '/api/v1/installations/acme\n{"event":"owned"}\x1b[2J\u202e/pools'
    with client(master, master.admin_url) as http:
        assert http.get(quote(forged)).status_code == 404
    master.wait_for("admin.refused", before + 1)
    assert master.logged("owned") == []
    assert {line["path"] for line in master.logged("admin.refused")[before:]} == {forged}
