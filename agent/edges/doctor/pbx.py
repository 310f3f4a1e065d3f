"""The PBX behind the agent: does it answer, and does it store Path?"""

import datetime
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import ExitStack

from agent.config import PbxEntry, Sip
from agent.edges.doctor.finding import Finding, State
from agent.edges.sip.secure import why
from agent.endpoint import Address
from runtime.certificates import CertificateFileError, Identity, client_context, days_left

TIMEOUT_S = 2.0
RENEW_DAYS = 14


def checks(pbx: PbxEntry) -> Iterator[Finding]:
    """What can be asked of the PBX without a subscriber's password."""
    yield _answers(pbx)
    yield from _certificate(pbx)
    yield Finding(
        pbx.name,
        "path",
        "unknown",
        "not tried: it needs the password of a subscriber",
        "At the PBX, look at a contact registered through the agent: it must show the agent's Path.",
    )


def _answers(pbx: PbxEntry) -> Finding:
    """One OPTIONS from a socket of its own; any SIP answer will do."""
    place = pbx.sip.pbx
    try:
        line = _asked(pbx.sip).split(b"\r\n", 1)[0].decode("latin-1")
    except TimeoutError:
        hint = "Is it on? A PBX that answers only known peers may stay silent here."
        return Finding(pbx.name, "pbx", "warning", f"{place} did not answer OPTIONS", hint)
    except ssl.SSLError as error:
        hint = "Compare sip.tls with the certificate of the PBX, and what the PBX believes with ours."
        return Finding(pbx.name, "pbx", "failed", f"{place}: {why(error)}", hint)
    except (OSError, CertificateFileError) as error:
        return Finding(pbx.name, "pbx", "failed", f"{place}: {error}", "Check sip.pbx and the route.")
    if not line.startswith("SIP/2.0 "):
        return Finding(pbx.name, "pbx", "failed", f"{place} is no SIP server", "Check sip.pbx.")
    return Finding(pbx.name, "pbx", "ok", f"{place} answered {line.removeprefix('SIP/2.0 ')}")


def _asked(sip: Sip) -> bytes:
    """What the PBX says to OPTIONS by its transport; b"" when it says nothing and ends the connection."""
    target, transport = sip.pbx.address, sip.pbx.transport
    family = socket.AF_INET6 if ":" in target.host else socket.AF_INET
    kind = socket.SOCK_DGRAM if transport == "udp" else socket.SOCK_STREAM
    with ExitStack() as stack:
        probe = stack.enter_context(socket.socket(family, kind))
        probe.settimeout(TIMEOUT_S)
        probe.connect((target.host, target.port))
        if transport == "tls" and sip.tls is not None:
            context = client_context(sip.tls.pbx_ca, Identity(sip.tls.certificate, sip.tls.key))
            name = sip.tls.pbx_name or target.host
            probe = stack.enter_context(context.wrap_socket(probe, server_hostname=name))
        probe.sendall(_options(transport, Address(*probe.getsockname()[:2]), target))
        return probe.recv(65_535)


def _certificate(pbx: PbxEntry) -> Iterator[Finding]:
    """How long our own certificate is good, before phones refuse it."""
    if pbx.sip.tls is None:
        return
    file = pbx.sip.tls.certificate
    try:
        days = days_left(file, datetime.datetime.now(datetime.UTC))
    except CertificateFileError as error:
        yield Finding(pbx.name, "certificate", "failed", str(error), "Check sip.tls.certificate.")
        return
    state: State = "failed" if days < 0 else "warning" if days < RENEW_DAYS else "ok"
    text = f"{file} expired" if days < 0 else f"{file} is good for {days} days"
    hint = "" if state == "ok" else "Renew it, then: systemctl reload pbx-agent"
    yield Finding(pbx.name, "certificate", state, text, hint)


def _options(transport: str, ours: Address, target: Address) -> bytes:
    return (
        f"OPTIONS sip:{target} SIP/2.0\r\n"
        f"Via: SIP/2.0/{transport.upper()} {ours};rport;branch=z9hG4bKdoctor\r\n"
        f"Max-Forwards: 1\r\nFrom: <sip:doctor@{ours}>;tag=doctor\r\nTo: <sip:{target}>\r\n"
        f"Call-ID: doctor-{time.monotonic_ns()}\r\nCSeq: 1 OPTIONS\r\n"
        f"Contact: <sip:doctor@{ours}>\r\nContent-Length: 0\r\n\r\n"
    ).encode()
