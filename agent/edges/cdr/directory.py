"""A directory into which a PBX puts files of call records (CUCM): each is read when it grows no more."""

import asyncio
import os
from fnmatch import fnmatchcase
from itertools import islice
from pathlib import Path
from typing import Final, NoReturn

from agent.edges.cdr.tail import OpenFile
from agent.service.cdr.source import Source
from agent.store.spool import Position

LOOK_S: Final = 5.0
MOST_FILES: Final = 100_000

Seen = dict[str, tuple[int, int]]
"""Size and time of change of each file."""


class Directory:
    """Reads the files of one directory in the order of their names; it removes none."""

    def __init__(self, source: Source, path: Path, pattern: str, look_s: float = LOOK_S) -> None:
        self._source = source
        self._path = path
        self._pattern = pattern
        self._look_s = look_s

    async def run(self) -> NoReturn:
        """Look until cancelled; OSError, StoreError."""
        source = self._source
        known = await source.spool.positions(source.name)
        before: Seen = {}
        while True:
            seen = self._look()
            source.connected, source.trouble = True, ""
            for name in sorted(seen):
                if before.get(name) == seen[name] and not _is_read(known.get(name), seen[name][0]):
                    known[name] = await self._read(name, known.get(name))
            for name in known.keys() - seen.keys():
                await source.spool.forget_file(source.name, name)
                del known[name]
            before = seen
            await asyncio.sleep(self._look_s)

    def _look(self) -> Seen:
        with os.scandir(self._path) as entries:
            files = (entry for entry in entries if fnmatchcase(entry.name, self._pattern) and entry.is_file())
            return {
                entry.name: (entry.stat().st_size, entry.stat().st_mtime_ns)
                for entry in islice(files, MOST_FILES)
            }

    async def _read(self, name: str, position: Position | None) -> Position:
        file = OpenFile(self._source, self._path / name, position)
        try:
            return await file.finish()
        finally:
            file.close()


def _is_read(position: Position | None, size: int) -> bool:
    return position is not None and position.offset == size
