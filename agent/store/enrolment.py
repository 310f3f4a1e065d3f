"""`PBX/enrolment.json` and `PBX/agent.key`: what `join` brought home and `run` stands on."""

import contextlib
import os
from pathlib import Path

import msgspec

from licensing import wire

KEY_FILE = "agent.key"
ENROLMENT_FILE = "enrolment.json"
JOURNAL_FILE = "agent.db"
SPOOL_FILE = "spool.db"
BALLAST_FILE = "ballast"  # of all PBXs of an agent, beside their directories
BALLAST_BYTES = 8 * 1024 * 1024


class Enrolment(msgspec.Struct, frozen=True):
    """Where the master is, which keys it has, and what it said when this PBX joined."""

    urls: tuple[str, ...]
    pins: tuple[str, ...]
    enrolled: wire.Enrolled


class NotEnrolledError(Exception):
    """There is no usable enrolment; the message says which file and what to do."""


def load(directory: Path) -> Enrolment:
    """The enrolment in a PBX's directory; NotEnrolledError when there is none or it cannot be read."""
    path = directory / ENROLMENT_FILE
    try:
        return msgspec.json.decode(path.read_bytes(), type=Enrolment)
    except FileNotFoundError:
        raise NotEnrolledError(
            f"{path}: not there; run the line that `licence-master invite --pbx {directory.name}` prints"
        ) from None
    except (OSError, msgspec.DecodeError) as error:
        raise NotEnrolledError(f"{path}: cannot be read: {error}; join again") from error


def save(directory: Path, enrolment: Enrolment) -> None:
    """Write the enrolment whole or not at all (a new file, synced, then renamed), readable by its owner."""
    body = msgspec.json.format(msgspec.json.encode(enrolment), indent=2) + b"\n"
    replace_file(directory / ENROLMENT_FILE, body)


def replace_file(path: Path, body: bytes) -> None:
    """Replace a file atomically and durably; mode 0600."""
    fresh = path.with_suffix(path.suffix + ".new")
    with contextlib.suppress(FileNotFoundError):
        fresh.unlink()
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(body)
        file.flush()
        os.fsync(file.fileno())
    fresh.rename(path)
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Make renames and new files in a directory durable."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
