"""The wall clock of one program, moved from outside while it runs (libfaketime); its monotonic clock is real.

libfaketime fakes the monotonic clock too unless told not to, and would then test nothing: a program may rely
on it. The file is written from outside; opened inside the faked process it could not be.
"""

from collections.abc import Mapping
from pathlib import Path

from tests.acceptance.peers.processes import Program

LIBRARY = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)
REAL = "+0"


class WallClock:
    """`set("+7200")`, `set("-18000")`, `set("+0 x10")` (seconds, or ten times as fast)."""

    def __init__(self, folder: Path, name: str) -> None:
        self._file = folder / f"{name}.clock"
        self.set(REAL)

    @property
    def environment(self) -> Mapping[str, str]:
        """What makes a program live by this clock; FileNotFoundError names the missing package."""
        if LIBRARY is None:
            raise FileNotFoundError("libfaketime is not installed (Debian package faketime)")
        return {
            "LD_PRELOAD": str(LIBRARY),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }

    def set(self, time: str) -> None:
        """From now on it shows this; in one step, so that nobody reads half of it."""
        fresh = self._file.with_suffix(".new")
        fresh.write_text(time + "\n")
        fresh.rename(self._file)


def lives_by(program: Program) -> bool:
    """Whether the library is really loaded into a running program."""
    return "libfaketime" in Path(f"/proc/{program.pid}/maps").read_text()
