"""A file of call records that grows, is renamed, copied and cut, or made anew: read on from where we were.

The place in the file is one commit with what was read up to there. Where anything is in doubt a file is read
again from its beginning: a record that is known is no second one.
"""

import asyncio
import os
import stat
from itertools import islice
from pathlib import Path
from typing import Final, NoReturn

from agent.service.cdr.source import ROOM_AGAIN_S, NoRoomError, Source
from agent.store.spool import Position
from runtime.logs import logger
from telephony.cdr.reading import Parser

CHUNK: Final = 65_536
LOOK_S: Final = 0.5
KNOWN_BY: Final = 64
"""Bytes before our place by which a file is known again."""
MOST_BESIDE: Final = 10_000
"""Files beside it among which a renamed one is looked for."""
GRACE_S: Final = 5.0
"""A renamed file is read for so long after its last byte: a daemon writes to it until it is told."""

log = logger()


class OpenFile:
    """A file that is being read, from its known place or from its beginning."""

    def __init__(self, source: Source, path: Path, position: Position | None) -> None:
        """`position`: where it was if it is still that file. OSError."""
        self._source = source
        self._name = path.name if position is None else position.name
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        found = os.fstat(self._descriptor)
        if not stat.S_ISREG(found.st_mode):
            self.close()
            raise OSError(f"{path} is no file")
        self.inode = found.st_ino
        self._offset = 0
        self._parser: Parser = source.branch()
        self._position: Position | None = None
        if position is not None and position.inode == self.inode and not self._cut_before(position):
            self._position, self._offset = position, position.offset

    def close(self) -> None:
        """Close it."""
        os.close(self._descriptor)

    async def read_on(self) -> bool:
        """Take in some of what is new; True when it is on disk, False: nothing is. OSError, StoreError."""
        if self._position is not None and self._cut_before(self._position):
            await self._begin_again()
        data = os.pread(self._descriptor, CHUNK, self._offset)
        if data:
            await self._take(data)
        return bool(data)

    async def finish(self) -> Position:
        """Take in all of it: it grows no more, and its last record needs no line end. Returns its end."""
        while await self.read_on():
            pass
        return await self._take(b"", end=True)

    def _before(self, offset: int) -> bytes:
        size = min(KNOWN_BY, offset)
        return os.pread(self._descriptor, size, offset - size)

    def _cut_before(self, position: Position) -> bool:
        """Whether other bytes, or none, stand before that place: cut off, and perhaps grown again."""
        return self._before(position.offset) != position.before

    async def _begin_again(self) -> None:
        await self._take(b"", end=True)
        self._offset, self._position = 0, None
        self._parser = self._source.branch()

    async def _take(self, data: bytes, *, end: bool = False) -> Position:
        while True:
            try:
                readings = self._source.read(self._parser, data, end=end)
            except NoRoomError:
                await asyncio.sleep(ROOM_AGAIN_S)
                continue
            self._offset += len(data)
            done = self._offset - self._parser.unfinished
            position = Position(self._name, self.inode, done, self._before(done))
            await self._source.keep(readings, position)
            self._position = position
            return position


class Tail:
    """Follows one path, whatever file it names."""

    def __init__(self, source: Source, path: Path, grace_s: float = GRACE_S) -> None:
        self._source = source
        self._path = path
        self._grace_s = grace_s

    async def run(self) -> NoReturn:
        """Read until cancelled; OSError, StoreError."""
        position = (await self._source.spool.positions(self._source.name)).get(self._path.name)
        if position is not None:
            await self._finish_renamed(position)
        while True:
            file = await self._opened(position)
            position = None
            try:
                await self._follow(file)
            finally:
                file.close()

    async def _opened(self, position: Position | None) -> OpenFile:
        """The file, once it is there."""
        while True:
            try:
                file = OpenFile(self._source, self._path, position)
            except FileNotFoundError:
                self._source.connected, self._source.trouble = False, f"{self._path} is not there"
                await asyncio.sleep(LOOK_S)
            else:
                self._source.connected, self._source.trouble = True, ""
                return file

    async def _follow(self, file: OpenFile) -> None:
        """Read this file until the path names another one and whoever wrote it has had time to notice."""
        left_s = self._grace_s
        while left_s > 0:
            if await file.read_on():
                left_s = self._grace_s
                continue
            await asyncio.sleep(LOOK_S)
            if self._names_another(file):
                left_s -= LOOK_S
        await file.finish()

    def _names_another(self, file: OpenFile) -> bool:
        try:
            return self._path.stat().st_ino != file.inode
        except FileNotFoundError:
            return False

    async def _finish_renamed(self, position: Position) -> None:
        """What was written to it before it was renamed, while nobody read."""
        path = _with_inode(self._path, position.inode)
        if path is None:
            log.warning("cdr.file_gone", file=str(self._path), offset=position.offset)
        elif path != self._path:
            file = OpenFile(self._source, path, position)
            try:
                await file.finish()
            finally:
                file.close()


def _with_inode(path: Path, inode: int) -> Path | None:
    """The file that has this inode: the path itself, or one beside it."""
    with os.scandir(path.parent) as entries:
        found = [entry.name for entry in islice(entries, MOST_BESIDE) if entry.inode() == inode]
    if path.name in found or not found:
        return path if found else None
    return path.with_name(found[0])
