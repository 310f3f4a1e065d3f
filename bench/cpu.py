"""Where the CPU time of this machine goes: by session, and what was left idle."""

import math
import os
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Self

from tests.acceptance.peers.waiting import until

_TICKS = os.sysconf("SC_CLK_TCK")
_NICE_STEP = 1.25  # what a step of nice weighs (sched(7))
_IDLE = (3, 4)  # idle and iowait, of the fields of /proc/stat (proc(5))


def _by_session() -> Counter[int]:
    """Time on a core in ns of all threads of each session: ticks are too coarse for many small programs."""
    found: Counter[int] = Counter()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            session = int((entry / "stat").read_text().rpartition(")")[2].split()[3])
            for thread in (entry / "task").iterdir():
                found[session] += int((thread / "schedstat").read_text().split()[0])
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


def _machine_s() -> tuple[float, float]:
    """CPU seconds of all cores, and those of them that were idle."""
    ticks = list(map(int, Path("/proc/stat").read_text().splitlines()[0].split()[1:9]))
    return sum(ticks) / _TICKS, sum(ticks[at] for at in _IDLE) / _TICKS


def share_cores(sessions: Sequence[int]) -> None:
    """Let these programs together weigh as much as there are cores; others do not queue behind all of them.

    Each of them stands for a host of its own, and so do the others. Sets their nice value, and where
    the kernel weighs whole sessions (autogroup) that of the session.
    """
    over = len(sessions) / (os.cpu_count() or 1)
    nice = round(math.log(over, _NICE_STEP)) if over > 1 else 0
    for session in sessions:
        os.setpriority(os.PRIO_PGRP, session, nice)
        path = Path(f"/proc/{session}/autogroup")
        if path.exists():
            until(partial(_written, path, str(nice)), 5.0, f"{path} to be taken")


def _written(path: Path, text: str) -> bool:
    """Whether the kernel took it: from who is not root one such change in 100 ms."""
    try:
        path.write_text(text)
    except BlockingIOError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class Moment:
    """What had been used until now."""

    sessions: Counter[int]
    own_s: float
    whole_s: float
    idle_s: float

    @classmethod
    def now(cls) -> Self:
        """Read it."""
        return cls(_by_session(), time.process_time(), *_machine_s())

    def since(self, before: Self, groups: Mapping[str, Sequence[int]]) -> dict[str, float]:
        """CPU seconds of each group of sessions, of this process (`phones`), of all else, and idle ones."""
        used = self.sessions - before.sessions
        found = {name: sum(used[session] for session in group) / 1e9 for name, group in groups.items()}
        found["phones"] = self.own_s - before.own_s
        idle_s = self.idle_s - before.idle_s
        found["elsewhere"] = max(0.0, self.whole_s - before.whole_s - idle_s - sum(found.values()))
        found["idle"] = idle_s
        return {name: round(seconds, 2) for name, seconds in found.items()}
