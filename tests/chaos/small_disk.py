"""A disk that is easily full: a tmpfs in a mount namespace of its own, with or without root."""

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import pytest

from tests.acceptance.peers.network import program

FILLER = "filler"


class SmallDisk:
    """`size` bytes at `place`, for programs started `inside`; from here it is seen at `outside`."""

    def __init__(self, place: Path, size: int) -> None:
        self.place = place
        self._size = size

    def __enter__(self) -> Self:
        self.place.mkdir(parents=True, exist_ok=True)
        script = 'mount -t tmpfs -o size="$1" none "$0" && echo ready && exec cat'
        command = [program("unshare"), "-rm", "sh", "-c", script, str(self.place), str(self._size)]
        pipe = subprocess.PIPE
        self._keeper = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True)
        assert self._keeper.stdout is not None
        assert self._keeper.stderr is not None
        if self._keeper.stdout.readline() != "ready\n":
            said = self._keeper.stderr.read()
            self.__exit__()
            pytest.skip(f"NOT RUN: no mount namespace: {said.strip()}")
        return self

    def __exit__(self, *_: object) -> None:
        self._keeper.kill()
        self._keeper.communicate()

    @property
    def outside(self) -> Path:
        """The disk as this process can reach it."""
        return Path(f"/proc/{self.pid}/root{self.place}")

    @property
    def pid(self) -> int:
        """A process that sees the disk in its place."""
        return self._keeper.pid

    def inside(self, command: Sequence[str] = ()) -> list[str]:
        """The command that runs `command` where the disk is mounted, as the same process id."""
        target = ["--target", str(self.pid), "--user", "--mount", "--preserve-credentials"]
        return [program("nsenter"), *target, "--", *command]

    @property
    def free(self) -> int:
        """Bytes that are free."""
        disk = os.statvfs(self.outside)
        return disk.f_bavail * disk.f_frsize

    def fill(self, leave: int = 0) -> None:
        """Take all room but so many bytes."""
        with (self.outside / FILLER).open("ab") as file:
            at = file.tell()
            if (more := self.free - leave) > 0:
                os.posix_fallocate(file.fileno(), at, more)

    def clear(self) -> None:
        """Give the room back."""
        (self.outside / FILLER).unlink()

    def remount(self, options: str) -> None:
        """`ro` or `rw`."""
        words = ["mount", "-o", f"remount,{options},size={self._size}", str(self.place)]
        subprocess.run(self.inside(words), check=True)
