"""`PBX/enrolment.json` and `PBX/agent.key`: what `join` brought home and `run` stands on."""

from pathlib import Path

import msgspec

from licensing import wire
from runtime.files import replace_file

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
