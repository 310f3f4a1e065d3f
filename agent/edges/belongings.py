"""What a PBX stands on, looked at before anything starts: its enrolment, its key and its journal."""

import sqlite3
from pathlib import Path

from agent.store import enrolment
from agent.store.enrolment import JOURNAL_FILE, KEY_FILE, Enrolment, NotEnrolledError
from runtime.signing import KeyFileError, SigningKey
from runtime.store import StoreError

SQLITE_HEAD = b"SQLite format 3\0"
DAMAGED = (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT)


class UnusableError(Exception):
    """A file cannot be used; the message says which one, why, and what to do."""


class OutOfReachError(UnusableError):
    """The file may be as it should be, and we may not read it."""

    def __init__(self, file: Path) -> None:
        super().__init__(f"{file}: permission denied; ask as root or as the user of the service")


class DamagedError(StoreError):
    """The journal cannot be read any more; the message says what to do."""


def enrolled(directory: Path) -> Enrolment:
    """The enrolment of a PBX; NotEnrolledError, and OutOfReachError where joining again would not help."""
    try:
        return enrolment.load(directory)
    except NotEnrolledError as error:
        if isinstance(error.__cause__, PermissionError):
            raise OutOfReachError(directory / enrolment.ENROLMENT_FILE) from error
        raise


def examine(directory: Path) -> None:
    """Whether an agent that starts now can use key and journal; UnusableError."""
    for file, look in ((directory / KEY_FILE, _key), (directory / JOURNAL_FILE, _journal)):
        try:
            look(file)
        except PermissionError as error:
            raise OutOfReachError(file) from error
        except OSError as error:
            raise UnusableError(f"{file}: cannot be read: {error.strerror}; {_lost(file)}") from error


def damage(directory: Path, error: sqlite3.DatabaseError) -> DamagedError:
    """What SQLite says of a journal, with its name, and with advice where its content is lost."""
    file = directory / JOURNAL_FILE
    lost = error.sqlite_errorcode & 0xFF in DAMAGED
    return DamagedError(f"{file}: {error}; {_lost(file)}" if lost else f"{file}: {error}")


def _key(file: Path) -> None:
    try:
        SigningKey.load(file)
    except FileNotFoundError as error:
        raise UnusableError(f"{file}: not there; {_lost(file)}") from error
    except KeyFileError as error:
        readable_by_others = file.stat().st_mode & 0o077  # then the message says what to do itself
        raise UnusableError(str(error) if readable_by_others else f"{error}; {_lost(file)}") from error


def _journal(file: Path) -> None:
    """Damage further inside is found when it is opened: nobody else may have it open then."""
    if not file.exists():  # this PBX has just joined
        return
    with file.open("rb") as opened:
        head = opened.read(len(SQLITE_HEAD))
    if head.strip(b"\0") and head != SQLITE_HEAD:  # what a power cut left is SQLite's to judge
        raise UnusableError(f"{file}: damaged, it is no SQLite database; {_lost(file)}")


def _lost(file: Path) -> str:
    name = file.parent.name
    again = f"`licence-master release-site {name}`, then invite it again and join"
    if file.name == KEY_FILE:
        return f"put your copy of it back, or: {again} (docs/operations.md)"
    return f"move {file.parent} away, then: {again} (docs/operations.md)"
