"""`doctor`: what a configuration file cannot show, checked one by one with what would help."""

import contextlib
import errno
import os
import shutil
import socket as sockets
import sqlite3
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import typer

from licence_master.cli.options import ConfigOption
from licence_master.config import DEFAULT_PATH, MasterConfig
from licence_master.service.told import boxes
from licence_master.store import ledger
from licence_master.store.directory import DataDirectory
from licence_master.store.keys import KeysLostError, refuse_lost
from licensing.ledger import replay
from runtime.ballast import Ballast
from runtime.certificates import CertificateFileError, Identity, server_context
from runtime.cli import Exit, JsonFlag, load_or_fail, print_json, table
from runtime.credentials import of_the_service, out_of_reach
from runtime.signing import KeyFileError, SigningKey

AS_ROOT = "run licence-master doctor as root"
EARLIEST_S = 1_767_225_600  # 2026-01-01: a clock before it was never set
SYNC_PROBES = 20
SLOW_SYNC_MS = 50


@dataclass(frozen=True, slots=True)
class Finding:
    """One check: `ok`, and what was found or what would help."""

    check: str
    ok: bool
    text: str


def doctor(config: ConfigOption = DEFAULT_PATH, as_json: JsonFlag = False) -> None:
    """Check keys, certificate, stores, disk, clock and ballast; exit code 1 when something is wrong.

    Example: licence-master doctor
    """
    settings = load_or_fail(config, MasterConfig)
    findings = list(examine(settings))
    if as_json:
        print_json([{"check": f.check, "ok": f.ok, "text": f.text} for f in findings])
    else:
        table([("ok" if f.ok else "FAIL", f.check, f.text) for f in findings], ("", "CHECK", "FOUND"))
    if not all(finding.ok for finding in findings):
        raise typer.Exit(Exit.REFUSED)


def examine(config: MasterConfig) -> Iterator[Finding]:
    """All findings."""
    directory = DataDirectory(config.data)
    if text := _closed(directory.root):
        yield Finding("data", False, text)
        return
    if not directory.root.is_dir():
        yield Finding("data", False, f"{directory.root} is not there; run licence-master init")
        return
    yield _signing_key(directory)
    yield _certificate(config, directory)
    for each in config.installations:
        yield from _store(each.name, directory.ledger(each.name))
    ballast = Ballast(directory.ballast)
    yield _disk(directory.root, ballast)
    yield _sync(directory.root)
    yield _ballast(ballast)
    yield _clock()
    yield _running(directory.admin_socket)


def _closed(path: Path) -> str:
    """That we may not look into this file or directory; empty where we may, or it is not there."""
    try:
        path.stat()
    except PermissionError as error:
        return f"{path}: {error.strerror}; {AS_ROOT}"
    except OSError:
        return ""
    return "" if os.access(path, os.R_OK) else f"{path}: {os.strerror(errno.EACCES)}; {AS_ROOT}"


def _signing_key(directory: DataDirectory) -> Finding:
    path = of_the_service(directory.signing_key, "licence-master.master.key")
    if text := _closed(path):
        return Finding("signing key", False, text)
    try:
        refuse_lost(directory, path)
        key = SigningKey.load(path)
    except FileNotFoundError:
        return Finding("signing key", False, f"{path} is not there; run licence-master init")
    except (OSError, KeyFileError, KeysLostError) as error:
        return Finding("signing key", False, str(error))
    return Finding("signing key", True, f"{key.key_id}; is there a copy of {directory.keys} elsewhere?")


def _certificate(config: MasterConfig, directory: DataDirectory) -> Finding:
    certificate, key = config.tls.pair or directory.certificate
    if out_of_reach(key):
        return Finding("certificate", True, f"{key}: only the service can look")
    certificate = of_the_service(certificate, "licence-master.tls.crt")
    key = of_the_service(key, "licence-master.tls.key")
    if text := _closed(certificate) or _closed(key):
        return Finding("certificate", False, text)
    try:
        if config.tls.pair is None:
            refuse_lost(directory, certificate, key)
        server_context(Identity(certificate, key))
        mode = stat.S_IMODE(key.stat().st_mode)
    except (OSError, CertificateFileError, KeysLostError) as error:
        return Finding("certificate", False, str(error))
    if mode & 0o077:
        return Finding("certificate", False, f"others may read {key}; chmod 600 {key}")
    return Finding("certificate", True, str(certificate))


def _store(name: str, path: Path) -> Iterator[Finding]:
    if text := _closed(path):
        yield Finding(f"store {name}", False, text)
        return
    if not path.exists():
        text = f"{path} is not there; run licence-master init --installation {name}, or restore a backup"
        yield Finding(f"store {name}", False, text)
        return
    try:
        entries = ledger.read_file(path)
    except (ledger.ChainBrokenError, sqlite3.Error) as error:
        yield Finding(f"store {name}", False, f"{path}: {error}; licence-master restore takes a backup")
        return
    yield Finding(f"store {name}", True, f"{len(entries)} events, unbroken")
    state = replay(entry.event for entry in entries)
    for pbx in sorted(state.bound):
        if text := boxes.doubted(state, pbx):
            yield Finding(f"box {name} {pbx}", False, text)
    waiting = sorted(state.waiting)
    if waiting:
        text = f"waits for {', '.join(waiting)} and lends nothing new; see licence-master agents"
        yield Finding(f"recovery {name}", False, text)


def _disk(root: Path, ballast: Ballast) -> Finding:
    """Growth ends when less than the ballast's size is free; this warns before."""
    free, least = shutil.disk_usage(root).free, 4 * ballast.size
    text = f"{free / 1024**2:.1f} MiB free at {root}"
    if free < least:
        return Finding(
            "disk", False, f"{text}; make room: below {ballast.size / 1024**2:.1f} MiB nothing is lent"
        )
    return Finding("disk", True, text)


def _sync(root: Path) -> Finding:
    """How long a durable write takes, which every answer waits for."""
    path = root / f".doctor-{os.getpid()}"
    try:
        with path.open("wb") as file:
            begin = time.monotonic()
            for _ in range(SYNC_PROBES):
                file.write(b"\0" * 4_096)
                file.flush()
                os.fdatasync(file.fileno())
            each_ms = (time.monotonic() - begin) * 1_000 / SYNC_PROBES
        path.unlink()
    except OSError as error:
        with contextlib.suppress(OSError):
            path.unlink()
        return Finding("sync", False, f"{root}: {error.strerror}")
    return Finding("sync", each_ms < SLOW_SYNC_MS, f"{each_ms:.1f} ms for a durable write")


def _ballast(ballast: Ballast) -> Finding:
    if not ballast.path.exists():
        needed = f"{3 * ballast.size / 1024**2:.1f} MiB"
        text = f"{ballast.path} was freed because the disk was full; serve makes it again with {needed} free"
        return Finding("ballast", False, text)
    size = ballast.path.stat().st_size / 1024**2
    return Finding("ballast", True, f"{size:.1f} MiB to free when the disk is full")


def _clock() -> Finding:
    sane = time.time() > EARLIEST_S
    return Finding("clock", sane, time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime()))


def _running(socket: Path) -> Finding:
    with sockets.socket(sockets.AF_UNIX) as probe:
        try:
            probe.connect(str(socket))
        except PermissionError as error:
            return Finding("master", False, f"{socket}: {error.strerror}; {AS_ROOT}")
        except OSError:
            return Finding("master", False, "not serving; start licence-master serve")
    return Finding("master", True, "serving")
