"""The host that the agent runs on: its clock and its disk."""

import shutil
import time
from pathlib import Path

from agent.edges.doctor.finding import Finding

MINIMUM_FREE_BYTES = 100 * 1024 * 1024
FIRST_SANE_CLOCK_S = 1_767_225_600  # 2026-01-01, before the first release


def clock() -> Finding:
    """Is the wall clock past the first release?"""
    now = int(time.time())
    text = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(now))
    if now < FIRST_SANE_CLOCK_S:
        return Finding("", "clock", "failed", text, "Set the clock (chrony, systemd-timesyncd).")
    return Finding("", "clock", "ok", text)


def disk(data: Path) -> Finding:
    """Is there room in the data directory, or where it will be made?"""
    place = data if data.exists() else data.parent
    try:
        free = shutil.disk_usage(place).free
    except OSError as error:
        return Finding("", "disk", "failed", str(error), f"Make {data} and give it to the agent's user.")
    text = f"{free // 1024**2} MiB free at {place}"
    if free < MINIMUM_FREE_BYTES:
        return Finding("", "disk", "failed", text, "Free some space: without it the agent stops.")
    return Finding("", "disk", "ok", text)
