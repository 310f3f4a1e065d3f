"""The host that the agent runs on: its clock and its disk."""

import shutil
import time
from pathlib import Path

from agent.edges.doctor.finding import Finding
from agent.store.enrolment import BALLAST_BYTES, BALLAST_FILE
from runtime.ballast import Ballast

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
    size = Ballast(place / BALLAST_FILE, BALLAST_BYTES).size
    text = f"{free / 1024**2:.1f} MiB free at {place}"
    if free < 4 * size:
        hint = f"Make room: below {size / 1024**2:.1f} MiB newcomers are refused."
        return Finding("", "disk", "failed", text, hint)
    return Finding("", "disk", "ok", text)


def ballast(data: Path) -> Finding:
    """Is the room there that the agent frees when the disk is full?"""
    file = Ballast(data / BALLAST_FILE, BALLAST_BYTES)
    if file.path.exists():
        text = f"{file.path.stat().st_size / 1024**2:.1f} MiB to free when the disk is full"
        return Finding("", "ballast", "ok", text)
    if not data.exists():
        return Finding("", "ballast", "unknown", "", "pbx-agent run makes it.")
    text = f"{file.path} is not there: the disk was full, or the agent has never run here"
    hint = f"Make room: pbx-agent run makes it again with {3 * file.size / 1024**2:.1f} MiB free."
    return Finding("", "ballast", "warning", text, hint)
