"""One question to the PBX, by the transport the agent speaks to it, from the agent's own address."""

import socket
import ssl
import time
from collections.abc import Sequence
from contextlib import ExitStack

from agent.config import Sip
from runtime import certificates
from runtime.certificates import Identity

TIMEOUT_S = 2.0
MAX_MESSAGE = 65_535
WILDCARDS = ("0.0.0.0", "::")  # noqa: S104 - compared with, not bound to


class NoSipError(Exception):
    """Something answered that is no SIP."""


def ask(
    sip: Sip, method: str, uri: str, subject: str, headers: Sequence[str] = (), *, own: str | None = None
) -> str:
    """The final status and reason ("401 Unauthorized") of a request about `subject`, a URI for From and To.

    It leaves from the host `own`, else from that of the listener towards the PBX.
    NoSipError; TimeoutError after two seconds; OSError, CertificateFileError when there is no way to ask.
    """
    with ExitStack() as stack:
        sock = stack.enter_context(_connected(sip, own or sip.towards_pbx.address.host))
        if sip.pbx.transport == "tls":
            sock = stack.enter_context(_secured(sip, sock))
        host, port = sock.getsockname()[:2]
        place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        sock.sendall(_request(sip.pbx.transport.upper(), place, method, uri, subject, headers))
        return _final(sock)


def _connected(sip: Sip, own: str) -> socket.socket:
    """A socket whose address is the one that the PBX sees of the agent, where agent.yaml names it."""
    target = sip.pbx.address
    family = socket.AF_INET6 if ":" in target.host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_DGRAM if sip.pbx.transport == "udp" else socket.SOCK_STREAM)
    try:
        sock.settimeout(TIMEOUT_S)
        if own not in WILDCARDS:
            sock.bind((own, 0))
        sock.connect((target.host, target.port))
    except OSError:
        sock.close()
        raise
    return sock


def _secured(sip: Sip, sock: socket.socket) -> ssl.SSLSocket:
    files = sip.tls
    assert files is not None, "it was checked"
    context = certificates.client_context(files.pbx_ca, Identity(files.certificate, files.key))
    return context.wrap_socket(sock, server_hostname=files.pbx_name or sip.pbx.address.host)


def _request(
    transport: str, place: str, method: str, uri: str, subject: str, headers: Sequence[str]
) -> bytes:
    number = time.monotonic_ns()
    lines = [
        f"{method} {uri} SIP/2.0",
        f"Via: SIP/2.0/{transport} {place};rport;branch=z9hG4bKdoctor{number}",
        "Max-Forwards: 1",
        f"From: <{subject}>;tag=doctor",
        f"To: <{subject}>",
        f"Call-ID: doctor-{number}",
        f"CSeq: 1 {method}",
        *(header.format(place=place) for header in headers),
        "Content-Length: 0",
    ]
    return "\r\n".join([*lines, "", ""]).encode()


def _final(sock: socket.socket) -> str:
    """The first status line that is not provisional; an answer without a body is all we expect."""
    heard = b""
    while True:
        got = sock.recv(MAX_MESSAGE)
        heard += got
        if not got or len(heard) > MAX_MESSAGE or not heard.startswith(b"SIP/2.0"[: len(heard)]):
            raise NoSipError(heard[:20].decode("latin-1"))
        while b"\r\n\r\n" in heard:
            head, _, heard = heard.partition(b"\r\n\r\n")
            status = head.split(b"\r\n", 1)[0].decode("latin-1").removeprefix("SIP/2.0 ")
            if not status.startswith("1"):
                return status
