"""A file that holds room back: growth ends before the disk is full, and what shrinks can always be written.

Decision 0021. A store that cannot write steps down, and one that starts on a full disk frees its ballast
first: then releases, returns and refreshes go on while an administrator makes room.
"""

import asyncio
import contextlib
import errno
import os
from collections.abc import Callable
from enum import IntEnum
from pathlib import Path

from runtime.logs import logger

MOST_BYTES = 16 * 1024 * 1024
SHARE_OF_DISK = 32  # of a small disk the ballast takes a thirty-second part
BLOCK = 4_096

LOOK_MS = 100  # an answer may rest on a look that is so old
WATCH_S = 1.0
SAY_AGAIN_S = 600

NO_ROOM = (errno.ENOSPC, errno.EDQUOT)

log = logger()


class Room(IntEnum):
    """How much the disk has left: growth needs ample room; freed is short, and the ballast is gone too."""

    AMPLE = 0
    SHORT = 1
    FREED = 2


class Ballast:
    """The ballast of one data directory: `begin` before a store is opened, then `watch`.

    With less free than its size no growth; with less than a quarter of it the file goes. With three times its
    size free it is made again.
    """

    def __init__(self, path: Path, most_bytes: int = MOST_BYTES) -> None:
        self.path = path
        self.room = Room.AMPLE
        self.free_bytes = 0
        self._most_bytes = most_bytes
        self._looked_ms = 0

    @property
    def size(self) -> int:
        """Bytes that the file has, or will have."""
        disk = os.statvfs(self.path.parent)
        return max(
            BLOCK, min(self._most_bytes, disk.f_blocks * disk.f_frsize // SHARE_OF_DISK) & ~(BLOCK - 1)
        )

    def make(self) -> bool:
        """Really take the room; False: it is taken already. OSError when there is none."""
        try:
            descriptor = os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        except FileExistsError:
            return False
        try:
            os.posix_fallocate(descriptor, 0, self.size)  # a file with holes would free nothing
        except OSError:
            self.path.unlink()
            raise
        finally:
            os.close(descriptor)
        return True

    def begin(self) -> None:
        """At the start: free the ballast if next to nothing can be written. OSError from a disk of no use."""
        if not self._writable():
            self._free()
        self.look()

    def short(self, now_ms: int) -> bool:
        """Whether nothing may grow now (monotonic ms)."""
        if now_ms - self._looked_ms >= LOOK_MS:
            self._looked_ms = now_ms
            self.look()
        return self.room is not Room.AMPLE

    def look(self) -> Room:
        """Measure, and free or make the file when it is time."""
        size, before = self.size, self.room
        disk = os.statvfs(self.path.parent)
        self.free_bytes = disk.f_bavail * disk.f_frsize
        if not self.path.exists():
            self.room = Room.AMPLE if self.free_bytes >= 3 * size and self._made() else Room.FREED
        elif self.free_bytes < size // 4:
            self._free()
            self.room = Room.FREED
        elif self.free_bytes < size or (before is Room.SHORT and self.free_bytes < 2 * size):
            self.room = Room.SHORT
        else:
            self.room = Room.AMPLE
        if self.room is not before:
            self._say()
        return self.room

    async def watch(self, changed: Callable[[Room], None]) -> None:
        """Look every second, for ever; tell of each change, and say again what is still wrong."""
        known, said_s = self.room, 0.0
        while True:
            await asyncio.sleep(WATCH_S)
            self.look()
            said_s += WATCH_S
            if self.room is not known:
                known, said_s = self.room, 0.0
                changed(known)
            elif known is not Room.AMPLE and said_s >= SAY_AGAIN_S:
                said_s = 0.0
                self._say()

    def _writable(self) -> bool:
        """Whether as much as a start needs can be written; statvfs knows nothing of quotas."""
        probe = self.path.with_name(f"{self.path.name}.probe")
        descriptor = os.open(probe, os.O_CREAT | os.O_WRONLY, 0o600)
        try:
            os.posix_fallocate(descriptor, 0, self.size // 4)
        except OSError as error:
            if error.errno not in NO_ROOM:
                raise
            return False
        finally:
            os.close(descriptor)
            probe.unlink()
        return True

    def _made(self) -> bool:
        try:
            self.make()
        except OSError as error:
            if error.errno not in NO_ROOM:
                raise
            return False
        return True

    def _free(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            self.path.unlink()

    def _say(self) -> None:
        free = {"free_bytes": self.free_bytes, "disk": str(self.path.parent)}
        if self.room is Room.AMPLE:
            log.info("disk.ample", **free)
            return
        hint = "nothing new is taken on, what is held goes on; make room on this disk"
        name = "disk.short" if self.room is Room.SHORT else "disk.ballast_freed"
        log.error(name, hint=hint, **free)
