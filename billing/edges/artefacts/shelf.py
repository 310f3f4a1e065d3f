"""The artefact directory of billing: what is about to be issued stands beside its place until it is.

A close stages all files, commits, and publishes by one rename. What died before its commit was not issued and
is made again; what died behind it is published by the next run.
"""

import hashlib
import shutil
from collections.abc import Mapping
from pathlib import Path

from billing.edges.artefacts.directory import DifferentArtefactsError, settle, write


class Shelf:
    """Directories below `root`."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def place(self, name: str) -> Path:
        """Where it stands once it is issued."""
        return self._root / name

    def stage(self, name: str, folder: str, files: Mapping[str, bytes]) -> Mapping[str, str]:
        """Write a folder beside its place; SHA-256 of each file."""
        write(self._staged(name) / folder, files)
        return {f"{folder}/{file}": _digest(content) for file, content in files.items()}

    def clear(self, name: str) -> None:
        """Remove what was staged."""
        shutil.rmtree(self._staged(name), ignore_errors=True)

    def publish(self, name: str, expected: Mapping[str, str]) -> None:
        """Into its place; DifferentArtefactsError where it is not what was issued, or is gone."""
        target, staged = self.place(name), self._staged(name)
        if not target.exists() and expected:
            if not staged.exists():
                raise DifferentArtefactsError(f"{target}: gone; bring it back from a backup")
            agree(staged, expected)
            target.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
            staged.rename(target)
            settle(target.parent)
        if expected:
            agree(target, expected)

    def _staged(self, name: str) -> Path:
        place = self.place(name)
        return place.with_name(f".{place.name}.staged")


def agree(target: Path, expected: Mapping[str, str]) -> None:
    """DifferentArtefactsError unless there are exactly these files with these digests."""
    there = {
        path.relative_to(target).as_posix(): _digest(path.read_bytes())
        for path in target.rglob("*")
        if path.is_file()
    }
    differ = sorted(name for name in there.keys() | expected.keys() if there.get(name) != expected.get(name))
    if differ:
        raise DifferentArtefactsError(
            f"{target}: issued, and these are not what they were: {', '.join(differ)}"
        )


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
