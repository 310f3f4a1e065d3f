"""Backups of a store that is in use: made beside it, sent, and gone from here."""

import asyncio
import contextlib
import datetime
import errno
import os
import secrets
import shutil
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

from licence_master.store import backup
from licence_master.store.backup import Label
from licensing.codes import Code, Refusal
from runtime.clock import Clock
from runtime.logs import logger

CHUNK = 1 << 20
_FULL = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True, slots=True)
class Made:
    """A backup that was made: `file` has no name any more and is gone once it is closed."""

    name: str
    size: int
    file: BinaryIO

    def chunks(self) -> Iterator[bytes]:
        """The bytes; closes the file at their end."""
        with self.file:
            while chunk := self.file.read(CHUNK):
                yield chunk


Store = Literal["ledger", "calls"]


class Backups:
    """Makes backups of one installation's stores, one at a time."""

    def __init__(self, name: str, ledger: Path, calls: Path, clock: Clock) -> None:
        self._name = name
        self._stores: dict[Store, Path] = {"ledger": ledger, "calls": calls}
        self._clock = clock
        self._busy = asyncio.Lock()
        self._log = logger(installation=name)

    async def make(self, actor: str, store: Store = "ledger") -> Made | Refusal:
        """A consistent copy of a store as it is now; needs as much room on the disk for a while.

        `rate_limited` while another one is made, `disk_full` when there is no room.
        """
        if self._busy.locked():
            return Refusal(Code.RATE_LIMITED, "another backup is being made")
        async with self._busy:
            label = Label(self._name, self._clock.wall_ms())
            try:
                made = await asyncio.to_thread(self._make, store, label)
            except (OSError, sqlite3.OperationalError) as error:
                if _is_full(error):
                    return Refusal(Code.DISK_FULL, f"no room for a copy of {self._stores[store]}")
                raise
        self._log.info("store.backed_up", actor=actor, store=store, bytes=made.size)
        return made

    def tidy(self) -> None:
        """Remove what a crash left of an unfinished backup."""
        for store in self._stores.values():
            for leftover in store.parent.glob(f"{store.name}.copy-*"):
                leftover.unlink(missing_ok=True)

    def _make(self, store: Store, label: Label) -> Made:
        path = self._stores[store]
        if shutil.disk_usage(path.parent).free < 2 * path.stat().st_size:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        copy = path.with_name(f"{path.name}.copy-{secrets.token_hex(4)}")
        backup.write(path, copy, label)
        with contextlib.ExitStack() as undo:
            file = undo.enter_context(copy.open("rb"))
            copy.unlink()
            size = os.fstat(file.fileno()).st_size
            undo.pop_all()
        return Made(backup_name(label, store), size, file)


def backup_name(label: Label, store: Store = "ledger") -> str:
    """What a backup is called unless somebody says otherwise: `acme-2026-11-24T183000Z.db`."""
    suffix = backup.CALLS_SUFFIX if store == "calls" else ".db"
    return f"{label.installation}-{stamp(label.made_ms)}{suffix}"


def stamp(at_ms: int) -> str:
    """A time as it stands in the names of files: UTC, to the second."""
    return f"{datetime.datetime.fromtimestamp(at_ms / 1_000, datetime.UTC):%Y-%m-%dT%H%M%SZ}"


def _is_full(error: OSError | sqlite3.OperationalError) -> bool:
    if isinstance(error, OSError):
        return error.errno in _FULL
    return error.sqlite_errorcode == sqlite3.SQLITE_FULL
