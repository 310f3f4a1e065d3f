"""Artefacts are there as a whole or not at all, and are never written over."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from billing.edges.artefacts.directory import DifferentArtefactsError, write

FILES = {"F2026-10-0001.xml": b"<a/>", "run.json": b"{}\n"}


def test_written_once_and_then_found_again(tmp_path: Path) -> None:
    """B.I14: the same files the second time."""
    target = tmp_path / "acme" / "2026-10"
    assert write(target, FILES)
    before = {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in target.iterdir()}
    assert not write(target, FILES)
    assert {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in target.iterdir()} == before
    assert {stat.S_IMODE(path.stat().st_mode) for path in target.iterdir()} == {0o640}
    assert [path.name for path in target.parent.iterdir()] == ["2026-10"]


@pytest.mark.parametrize(
    "other",
    [
        FILES | {"run.json": b"{} \n"},
        FILES | {"F2026-10-0002.xml": b"<a/>"},
        {"run.json": b"{}\n"},
    ],
    ids=["other bytes", "one more", "one less"],
)
def test_other_bytes_are_an_error_and_change_nothing(tmp_path: Path, other: dict[str, bytes]) -> None:
    target = tmp_path / "2026-10"
    write(target, FILES)
    (differs,) = {name for name in other.keys() | FILES.keys() if other.get(name) != FILES.get(name)}
    with pytest.raises(DifferentArtefactsError, match=differs):
        write(target, other)
    assert {path.name: path.read_bytes() for path in target.iterdir()} == FILES


def test_a_killed_writer_leaves_nothing_that_counts(tmp_path: Path) -> None:
    """A process that dies while its second file is written: the directory is not there, and is made again."""
    dies = (
        "import os, pathlib, sys\n"
        "from billing.edges.artefacts import directory\n"
        "sync, count = os.fsync, []\n"
        "def fsync(fd):\n"
        "    sync(fd); count.append(fd)\n"
        "    if len(count) == 2: os.kill(os.getpid(), 9)\n"
        "os.fsync = fsync\n"
        f"directory.write(pathlib.Path(sys.argv[1]), {FILES!r})\n"
    )
    target = tmp_path / "2026-10"
    done = subprocess.run([sys.executable, "-c", dies, str(target)], check=False)
    assert done.returncode == -9
    assert not target.exists()
    assert os.listdir(tmp_path) == [".2026-10.new"]
    assert write(target, FILES)
    assert os.listdir(tmp_path) == ["2026-10"]
