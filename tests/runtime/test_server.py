"""The server: TCP, TLS by pin alone, Unix sockets, and a stop that lets requests end."""

import asyncio
import contextlib
import datetime
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import uvloop
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from starlette.types import ASGIApp, Receive, Scope, Send

from runtime.server import bound_port, listen_tcp, listen_unix, serve
from runtime.tls import PinMismatchError, make_certificate, pin_mismatch, pin_of_certificate, pinned_context


class Greeter:
    """Answers everything and keeps the paths it was asked for."""

    def __init__(self) -> None:
        self.paths: list[str] = []

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        self.paths.append(scope["path"])
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]})
        await send({"type": "http.response.body", "body": b"hello"})


@contextlib.asynccontextmanager
async def running(
    app: ASGIApp, listener: socket.socket, tls: tuple[Path, Path] | None = None
) -> AsyncIterator[asyncio.Event]:
    stop, started = asyncio.Event(), asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(serve(app, listener, stop=stop, tls=tls, on_started=started.set))
        await started.wait()
        try:
            yield stop
        finally:
            stop.set()


def expired_certificate(directory: Path) -> tuple[Path, Path]:
    """A certificate of ten years ago for another name, with the key of make_certificate."""
    certificate_path, key_path = make_certificate(directory, "somewhere.else")
    key = load_pem_private_key(key_path.read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    old = x509.load_pem_x509_certificate(certificate_path.read_bytes())
    certificate = (
        x509.CertificateBuilder()
        .subject_name(old.subject)
        .issuer_name(old.issuer)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(datetime.datetime(2015, 1, 1, tzinfo=datetime.UTC))
        .not_valid_after(datetime.datetime(2016, 1, 1, tzinfo=datetime.UTC))
        .sign(key, hashes.SHA256())
    )
    certificate_path.write_bytes(certificate.public_bytes(Encoding.PEM))
    return certificate_path, key_path


async def test_the_right_pin_is_enough_though_name_and_dates_are_wrong(tmp_path: Path) -> None:
    files = expired_certificate(tmp_path)
    app, listener = Greeter(), listen_tcp("127.0.0.1", 0)
    url = f"https://127.0.0.1:{bound_port(listener)}/x"
    context = pinned_context(["sha256:" + "0" * 64, pin_of_certificate(files[0].read_bytes())])
    async with running(app, listener, files):
        async with httpx.AsyncClient(verify=context) as client:
            assert (await client.get(url)).text == "hello"
        async with httpx.AsyncClient(verify=ssl.create_default_context()) as client:
            with pytest.raises(httpx.ConnectError):
                await client.get(url)
    assert app.paths == ["/x"]


async def test_with_a_wrong_pin_the_server_sees_no_request(tmp_path: Path) -> None:
    files = make_certificate(tmp_path, "127.0.0.1")
    app, listener = Greeter(), listen_tcp("127.0.0.1", 0)
    url = f"https://127.0.0.1:{bound_port(listener)}/secret"
    async with running(app, listener, files):
        async with httpx.AsyncClient(verify=pinned_context(["sha256:" + "0" * 64])) as client:
            with pytest.raises(httpx.ConnectError) as caught:
                await client.post(url, content=b"token")
        mismatch = pin_mismatch(caught.value)
        assert mismatch is not None
        assert pin_of_certificate(files[0].read_bytes()) in str(mismatch)
    assert app.paths == []
    assert pin_mismatch(ValueError()) is None


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("right", [True, False])
def test_the_pin_is_checked_before_the_first_byte(
    tmp_path: Path, version: ssl.TLSVersion, right: bool
) -> None:
    certificate, key = make_certificate(tmp_path, "x")
    pin = pin_of_certificate(certificate.read_bytes()) if right else "sha256:" + "0" * 64
    server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_context.load_cert_chain(certificate, key)
    server_context.maximum_version = version
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = pinned_context([pin]).wrap_bio(to_client, to_server)
    server = server_context.wrap_bio(to_server, to_client, server_side=True)

    def connect_and_write() -> None:
        for _ in range(4):
            for side in (client, server):
                with contextlib.suppress(ssl.SSLWantReadError):
                    side.do_handshake()
        client.write(b"token")

    if right:
        connect_and_write()
        assert server.read() == b"token"
    else:
        with pytest.raises(PinMismatchError):
            connect_and_write()
        with pytest.raises(ssl.SSLWantReadError):
            server.read()


async def test_a_blocking_socket_checks_the_pin_too(tmp_path: Path) -> None:
    files = make_certificate(tmp_path, "x")
    app, listener = Greeter(), listen_tcp("127.0.0.1", 0)
    port = bound_port(listener)

    def connect(pin: str) -> None:
        with socket.create_connection(("127.0.0.1", port)) as plain, pinned_context([pin]).wrap_socket(plain):
            pass

    async with running(app, listener, files):
        await asyncio.to_thread(connect, pin_of_certificate(files[0].read_bytes()))
        with pytest.raises(PinMismatchError):
            await asyncio.to_thread(connect, "sha256:" + "0" * 64)


def test_a_pinned_context_without_pins_is_refused_and_key_files_are_private(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least one pin"):
        pinned_context([])
    certificate, key = make_certificate(tmp_path, "x")
    assert key.stat().st_mode & 0o777 == 0o600
    assert certificate.stat().st_mode & 0o777 == 0o644
    with pytest.raises(FileExistsError):
        make_certificate(tmp_path, "x")


def test_the_loop_of_the_daemons_serves_both_kinds_of_socket(tmp_path: Path) -> None:
    files = make_certificate(tmp_path, "x")
    app = Greeter()

    async def main() -> None:
        tcp, unix = listen_tcp("127.0.0.1", 0), listen_unix(tmp_path / "admin.sock")
        port, context = bound_port(tcp), pinned_context([pin_of_certificate(files[0].read_bytes())])
        transport = httpx.AsyncHTTPTransport(uds=str(tmp_path / "admin.sock"), verify=False)
        async with running(app, tcp, files), running(app, unix):
            async with httpx.AsyncClient(verify=context) as client:
                await client.get(f"https://127.0.0.1:{port}/tcp")
            async with httpx.AsyncClient(transport=transport) as client:
                await client.get("http://local/unix")
            async with httpx.AsyncClient(verify=pinned_context(["sha256:" + "0" * 64])) as client:
                with pytest.raises(httpx.ConnectError) as caught:
                    await client.get(f"https://127.0.0.1:{port}/wrong")
                assert pin_mismatch(caught.value)

    uvloop.run(main())
    assert app.paths == ["/tcp", "/unix"]


async def test_a_unix_socket_is_for_owner_and_group_and_goes_with_its_server(tmp_path: Path) -> None:
    path = tmp_path / "admin.sock"
    app = Greeter()
    async with running(app, listen_unix(path)):
        assert path.stat().st_mode & 0o777 == 0o660
        transport = httpx.AsyncHTTPTransport(uds=str(path), verify=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://local") as client:
            assert (await client.get("/status")).text == "hello"
        with pytest.raises(OSError, match="another process listens here"):
            listen_unix(path)
    assert not path.exists()


def test_a_dead_unix_socket_is_replaced_and_another_file_is_not(tmp_path: Path) -> None:
    path = tmp_path / "admin.sock"
    listen_unix(path).close()
    listen_unix(path).close()
    other = tmp_path / "notes"
    other.write_text("mine")
    with pytest.raises(OSError, match="in use"):
        listen_unix(other)
    assert other.read_text() == "mine"


def test_a_taken_port_is_an_error_at_once() -> None:
    with listen_tcp("127.0.0.1", 0) as first:
        first.listen()
        with pytest.raises(OSError, match="in use"):
            listen_tcp("127.0.0.1", bound_port(first))


async def test_a_request_under_way_is_answered_before_the_end() -> None:
    arrived, release = asyncio.Event(), asyncio.Event()
    greeter = Greeter()

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        arrived.set()
        await release.wait()
        await greeter(scope, receive, send)

    listener = listen_tcp("127.0.0.1", 0)
    url = f"http://127.0.0.1:{bound_port(listener)}/"
    async with httpx.AsyncClient() as client, running(slow, listener) as stop:
        answer = asyncio.create_task(client.get(url))
        await arrived.wait()
        stop.set()
        release.set()
        assert (await answer).text == "hello"


async def test_signals_stay_with_the_daemon() -> None:
    before = signal.getsignal(signal.SIGTERM)
    async with running(Greeter(), listen_tcp("127.0.0.1", 0)):
        assert signal.getsignal(signal.SIGTERM) is before


WITHOUT_HTTPTOOLS = """
import asyncio, sys
sys.modules["httptools"] = None
import httpx
from runtime.server import bound_port, listen_tcp, serve

async def app(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"by h11"})

async def main():
    stop, started = asyncio.Event(), asyncio.Event()
    listener = listen_tcp("127.0.0.1", 0)
    url = f"http://127.0.0.1:{bound_port(listener)}/"
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(serve(app, listener, stop=stop, on_started=started.set))
        await started.wait()
        async with httpx.AsyncClient() as client:
            print((await client.get(url)).text)
        stop.set()

asyncio.run(main())
assert "uvicorn.protocols.http.h11_impl" in sys.modules
"""


def test_h11_serves_where_httptools_is_missing() -> None:
    done = subprocess.run([sys.executable, "-c", WITHOUT_HTTPTOOLS], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "by h11\n", "")
