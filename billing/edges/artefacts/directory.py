"""A directory of artefacts: there as a whole or not at all, and never written over."""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path


class DifferentArtefactsError(RuntimeError):
    """Other artefacts are there already: what was issued is corrected by a credit note only."""


def write(target: Path, files: Mapping[str, bytes]) -> bool:
    """Make the directory `target` of these files, each a plain name; False where the same is there already.

    DifferentArtefactsError names the files that differ; nothing is changed then. One writer at a time (the
    lock of the close): what a killed one left is removed.
    """
    if target.exists():
        agree(target, files)
        return False
    fresh = target.parent / f".{target.name}.new"
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True, mode=0o750)
    for name, content in files.items():
        assert Path(name).name == name, name
        keep(fresh / name, content)
    settle(fresh)
    fresh.rename(target)
    settle(target.parent)
    return True


def agree(target: Path, files: Mapping[str, bytes]) -> None:
    """DifferentArtefactsError unless the directory has exactly these files."""
    there = {path.name: path for path in target.iterdir()}
    differ = sorted(there.keys() ^ files.keys()) + sorted(
        name for name in there.keys() & files.keys() if there[name].read_bytes() != files[name]
    )
    if differ:
        raise DifferentArtefactsError(f"{target}: already issued, and these differ: {', '.join(differ)}")


def keep(path: Path, content: bytes) -> None:
    """A file on the disk, not only in its cache."""
    with path.open("xb") as file:
        os.fchmod(file.fileno(), 0o640)
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def settle(directory: Path) -> None:
    """Its names are on the disk."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
