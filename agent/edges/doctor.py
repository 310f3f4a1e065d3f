"""What a file cannot tell: `pbx-agent doctor` asks the PBX, the master, the clock and the disk."""

import shutil
import socket
import ssl
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from agent.config import AgentConfig, PbxEntry
from agent.edges.local_client import NotRunningError, RefusedError, ask
from agent.store import enrolment
from runtime.tls import pinned_context

MINIMUM_FREE_BYTES = 100 * 1024 * 1024
FIRST_SANE_CLOCK_S = 1_767_225_600  # 2026-01-01, before the first release
PBX_TIMEOUT_S = 2.0
MASTER_TIMEOUT_S = 5.0

State = Literal["ok", "warning", "failed", "unknown"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One check: its subject, how it went, what was seen and what would help."""

    pbx: str
    check: str
    state: State
    detail: str
    hint: str = ""

    def as_json(self) -> dict[str, str]:
        """The finding with its fields as keys."""
        return asdict(self)


def examine(config: AgentConfig) -> Iterator[Finding]:
    """Every check in turn; none of them changes anything at the PBX or at the master."""
    yield _clock()
    yield _disk(config.data)
    facts = _facts(config.data)
    for pbx in config.pbxs:
        yield _pbx_answers(pbx)
        yield Finding(
            pbx.name,
            "path",
            "unknown",
            "not tried: it needs the password of a subscriber",
            "At the PBX, look at a contact registered through the agent: it must show the agent's Path.",
        )
        yield from _master_checks(config.data / pbx.name, pbx.name)
        yield from _never_seen(pbx, facts)


def _clock() -> Finding:
    now = int(time.time())
    text = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(now))
    if now < FIRST_SANE_CLOCK_S:
        return Finding("", "clock", "failed", text, "Set the clock (chrony, systemd-timesyncd).")
    return Finding("", "clock", "ok", text)


def _disk(data: Path) -> Finding:
    place = data if data.exists() else data.parent
    try:
        free = shutil.disk_usage(place).free
    except OSError as error:
        return Finding("", "disk", "failed", str(error), f"Make {data} and give it to the agent's user.")
    text = f"{free // 1024**2} MiB free at {place}"
    if free < MINIMUM_FREE_BYTES:
        return Finding("", "disk", "failed", text, "Free some space: without it the agent stops.")
    return Finding("", "disk", "ok", text)


def _pbx_answers(pbx: PbxEntry) -> Finding:
    """One OPTIONS from a socket of its own; any SIP answer will do."""
    target = pbx.sip.pbx.address
    family = socket.AF_INET6 if ":" in target.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.settimeout(PBX_TIMEOUT_S)
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


def _master_checks(directory: Path, name: str) -> Iterator[Finding]:
    try:
        enrolled = enrolment.load(directory)
    except enrolment.NotEnrolledError as error:
        yield Finding(name, "enrolment", "failed", str(error))
        return
    place = f"{enrolled.enrolled.installation}, epoch {enrolled.enrolled.epoch}"
    yield Finding(name, "enrolment", "ok", f"joined to {place}")
    for url in enrolled.urls:
        yield _master_pinned(name, url, enrolled.pins)


def _master_pinned(name: str, url: str, pins: Iterable[str]) -> Finding:
    parts = urlsplit(url)
    address = (parts.hostname or "", parts.port or 443)
    try:
        with (
            socket.create_connection(address, MASTER_TIMEOUT_S) as plain,
            pinned_context(tuple(pins)).wrap_socket(plain, server_hostname=parts.hostname),
        ):
            return Finding(name, "master", "ok", f"{url} shows the pinned key")
    except ssl.SSLError as error:
        hint = "If the key changed on purpose, join again with the new pin."
        return Finding(name, "master", "failed", f"{url}: {error}", hint)
    except OSError as error:
        return Finding(name, "master", "failed", f"{url}: {error}", "Check the link, name and port.")


def _facts(data: Path) -> dict[str, dict[str, Any]] | str:
    try:
        return {facts["name"]: facts for facts in ask(data, "/facts")["pbxs"]}
    except (NotRunningError, RefusedError) as error:
        return str(error)


def _never_seen(pbx: PbxEntry, facts: dict[str, dict[str, Any]] | str) -> Iterator[Finding]:
    if isinstance(facts, str):
        yield Finding(pbx.name, "agent", "warning", facts, "Start it: objects seen are known to it alone.")
        return
    known = facts.get(pbx.name)
    if known is None:
        hint = "Restart it after a change of agent.yaml."
        yield Finding(pbx.name, "agent", "warning", "the running agent does not serve this PBX", hint)
        return
    yield Finding(pbx.name, "agent", "ok", f"running, {known['bindings']} bindings, {known['state']}")
    missing = [name for name in _configured_names(pbx) if name not in set(known["proven"])]
    if missing:
        shown = ", ".join(missing[:10]) + (" …" if len(missing) > 10 else "")
        hint = "They may be switched off, registered around the agent, or speak H.323."
        yield Finding(pbx.name, "objects", "warning", f"{len(missing)} never registered here: {shown}", hint)
    else:
        yield Finding(pbx.name, "objects", "ok", "every object with a literal name has registered here")


def _configured_names(pbx: PbxEntry) -> list[str]:
    """Objects that agent.yaml names one by one; patterns name nobody."""
    names: list[str] = []
    for row in pbx.objects:
        if row.name is not None:
            names.append(row.name)
        else:
            names += [pattern for pattern in row.aor if not set("*?[") & set(pattern)]
    return names
