"""The PBX behind the agent: does it answer, and does it store Path?"""

import socket
import time
from collections.abc import Iterator

from agent.config import PbxEntry
from agent.edges.doctor.finding import Finding

TIMEOUT_S = 2.0


def checks(pbx: PbxEntry) -> Iterator[Finding]:
    """What can be asked of the PBX without a subscriber's password."""
    yield _answers(pbx)
    yield Finding(
        pbx.name,
        "path",
        "unknown",
        "not tried: it needs the password of a subscriber",
        "At the PBX, look at a contact registered through the agent: it must show the agent's Path.",
    )


def _answers(pbx: PbxEntry) -> Finding:
    """One OPTIONS from a socket of its own; any SIP answer will do."""
    target = pbx.sip.pbx.address
    family = socket.AF_INET6 if ":" in target.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.settimeout(TIMEOUT_S)
        try:
            probe.connect((target.host, target.port))
            host, port = probe.getsockname()[:2]
            probe.send(_options(f"[{host}]" if ":" in host else host, port, str(target)))
            line = probe.recv(65_535).split(b"\r\n", 1)[0].decode("latin-1")
        except TimeoutError:
            hint = "Is it on? A PBX that answers only known peers may stay silent here."
            return Finding(pbx.name, "pbx", "warning", f"{pbx.sip.pbx} did not answer OPTIONS", hint)
        except OSError as error:
            return Finding(
                pbx.name, "pbx", "failed", f"{pbx.sip.pbx}: {error}", "Check sip.pbx and the route."
            )
    if not line.startswith("SIP/2.0 "):
        return Finding(pbx.name, "pbx", "failed", f"{pbx.sip.pbx} is no SIP server", "Check sip.pbx.")
    return Finding(pbx.name, "pbx", "ok", f"{pbx.sip.pbx} answered {line.removeprefix('SIP/2.0 ')}")


def _options(host: str, port: int, target: str) -> bytes:
    return (
        f"OPTIONS sip:{target} SIP/2.0\r\nVia: SIP/2.0/UDP {host}:{port};rport;branch=z9hG4bKdoctor\r\n"
        f"Max-Forwards: 1\r\nFrom: <sip:doctor@{host}>;tag=doctor\r\nTo: <sip:{target}>\r\n"
        f"Call-ID: doctor-{time.monotonic_ns()}\r\nCSeq: 1 OPTIONS\r\n"
        f"Contact: <sip:doctor@{host}:{port}>\r\nContent-Length: 0\r\n\r\n"
    ).encode()
