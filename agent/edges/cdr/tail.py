"""A file of call records that grows, is renamed, copied and cut, or made anew: read on from where we were.

The place in the file is one commit with what was read up to there. Where anything is in doubt a file is read
again from its beginning: a record that is known is no second one.
"""

import asyncio
import os
import re
import stat
from contextlib import closing
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
"""Files in its directory among which a renamed one, or a copy, is looked for."""
GRACE_S: Final = 5.0
"""A renamed file is read for so long after its last byte: a daemon writes to it until it is told."""

log = logger()


class OpenFile:
    """A file that is being read, from its known place or from its beginning."""

    def __init__(self, source: Source, path: Path, position: Position | None) -> None:
        """`position`: where it was, if it is still that file. OSError."""
        self._source = source
        self._name = path.name if position is None else position.name
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        found = os.fstat(self._descriptor)
        if not stat.S_ISREG(found.st_mode):
            self.close()
            raise OSError(f"{path} is no file")
        self.inode = found.st_ino
        self.position = Position(self._name, 0, b"")
        self._offset = 0
        self._parser: Parser = source.branch()
        if position is not None and self._before(position.offset) == position.before:
            self.position, self._offset = position, position.offset

    def close(self) -> None:
        """Close it."""
        os.close(self._descriptor)

    @property
    def changed_ns(self) -> int:
        """When it was written to last."""
        return os.fstat(self._descriptor).st_mtime_ns

    @property
    def cut(self) -> bool:
        """Whether other bytes, or none, stand before our place: it was cut, and perhaps has grown again."""
        return self._before(self.position.offset) != self.position.before

    async def begin_again(self) -> None:
        """Read it from its beginning; what was not whole is a record or none. OSError, StoreError."""
        await self._take(b"", end=True)
        self._offset = 0
        self.position = Position(self._name, 0, b"")
        self._parser = self._source.branch()

    async def read_on(self) -> bool:
        """Take in some of what is new; True when it is on disk, False: nothing is. OSError, StoreError."""
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

    async def _take(self, data: bytes, *, end: bool = False) -> Position:
        while True:
            try:
                readings = self._source.read(self._parser, data, end=end)
            except NoRoomError:
                await asyncio.sleep(ROOM_AGAIN_S)
                continue
            self._offset += len(data)
            done = self._offset - self._parser.unfinished
            position = Position(self._name, done, self._before(done))
            await self._source.keep(readings, position)
            self.position = position
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
            await self._finish_elsewhere(position)
        while True:
            with closing(await self._opened(position)) as file:
                position = None
                await self._follow(file)

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
            if file.cut:
                await self._finish_elsewhere(file.position)
                await file.begin_again()
            if await file.read_on():
                left_s = self._grace_s
                continue
            await asyncio.sleep(LOOK_S)
            if self._names_another(file):
                left_s -= LOOK_S
        await file.finish()
        await self._read_since(file)

    def _names_another(self, file: OpenFile) -> bool:
        try:
            return self._path.stat().st_ino != file.inode
        except FileNotFoundError:
            return False

    async def _finish_elsewhere(self, position: Position) -> None:
        """What was written before it was renamed, or copied and cut, and nobody had read."""
        path = _known(self._path, position)
        if path is None:
            log.warning("cdr.file_gone", file=str(self._path), offset=position.offset)
        elif path != self._path:
            with closing(OpenFile(self._source, path, position)) as file:
                await file.finish()
                await self._read_since(file)

    async def _read_since(self, done: OpenFile) -> None:
        """Read what was renamed after this file and before anybody looked, the oldest first. OSError."""
        for path in _renamed_since(self._path, done):
            with closing(OpenFile(self._source, path, Position(self._path.name, 0, b""))) as file:
                await file.finish()


def _known(path: Path, position: Position) -> Path | None:
    """The file with these bytes before this place: the path itself, or one beside it whose name begins so."""
    beside = [entry.name for entry in _beside(path)]
    for name in sorted(beside, key=lambda name: (name != path.name, name)):
        candidate = path.with_name(name)
        try:
            with candidate.open("rb") as file:
                file.seek(position.offset - len(position.before))
                if file.read(len(position.before)) == position.before:
                    return candidate
        except OSError:  # a directory, or gone meanwhile
            continue
    return None


def _renamed_since(path: Path, done: OpenFile) -> list[Path]:
    """The files that were this path after that one: a number or a date behind the name, or before its ending.

    Who only begins alike may be the file of another source.
    """
    counted = rf"{re.escape(path.name)}[.\-_]\d[\d.\-_T]*"
    dated = rf"{re.escape(path.stem)}[.\-_]\d{{6}}[\d.\-_T]*{re.escape(path.suffix)}"
    ours = [entry for entry in _beside(path) if re.fullmatch(f"{counted}|{dated}", entry.name)]
    found = [
        (entry.stat().st_mtime_ns, entry.name)
        for entry in ours
        if entry.is_file() and entry.inode() != done.inode and entry.stat().st_mtime_ns >= done.changed_ns
    ]
    return [path.with_name(name) for _, name in sorted(found)]


def _beside(path: Path) -> list[os.DirEntry[str]]:
    """The files in its directory whose names begin as this one's."""
    with os.scandir(path.parent) as entries:
        return [entry for entry in islice(entries, MOST_BESIDE) if entry.name.startswith(path.stem)]
