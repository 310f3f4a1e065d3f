"""One room for all workers of a run: a test that is `alone` in it shares the processors with no other.

Such a test claims a time that only holds then: phones that do not notice a flood, a recovery in five seconds.
The others are in the room together. Whoever waits to be alone holds the door meanwhile, so that newcomers
wait behind him and not before. Runs beside it that are nice (Makefile) have rooms of their own: they take
what a test leaves, and to wait for their long tests cost more than their company.
"""

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


class Room:
    """Two lock files of one run; the kernel releases what a killed worker held."""

    def __init__(self, run: str) -> None:
        folder = Path(tempfile.gettempdir())
        self._paths = [folder / f"pytest-{run}.{name}" for name in ("door", "room")]
        self._door, self._room = [path.open("wb") for path in self._paths]

    @contextmanager
    def entered(self, *, alone: bool) -> Iterator[None]:
        """Be inside, after as long a wait as it takes."""
        with _locked(self._door, fcntl.LOCK_EX):
            fcntl.flock(self._room, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        try:
            yield
        finally:
            fcntl.flock(self._room, fcntl.LOCK_UN)

    def leave(self) -> None:
        """Take the files away; who has them open shares them still."""
        for path, file in zip(self._paths, (self._door, self._room), strict=True):
            path.unlink(missing_ok=True)
            file.close()


def room_of_this_run() -> Room | None:
    """The room of the workers of a run; None: there is nobody else."""
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID")
    return None if run is None else Room(run)


@contextmanager
def _locked(file: IO[bytes], how: int) -> Iterator[None]:
    fcntl.flock(file, how)
    try:
        yield
    finally:
        fcntl.flock(file, fcntl.LOCK_UN)
