"""Our programs as forks of one process that has imported what they need (typist.py).

To start an interpreter and import a program costs a hundred times what most commands do, and some daemons;
each house is made with many. All that follows is the program as it ships: its words, its namespace, its
signals, its exit code; a process of its own, which can be killed. Not the same are its start (a module that
could not be imported there would not be missed here), its memory (shared with other forks), the order of its
sets (one hash seed for all forks), and variables that an interpreter or its loader reads (PYTHON…, LD_…).

Where one of these is what is tested, or a time from a start on is claimed, the program is started as it is
installed (installed.py): in the tests of the command lines, of restarts, storms, floods and kills.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Protocol, TypedDict, Unpack

from tests.acceptance.peers.installed import own_python

Done = subprocess.CompletedProcess[str]
NUMBER_BYTES = 4
LATE = (
    "agent.cli.asking",
    "agent.cli.examining",
    "agent.cli.joining",
    "agent.cli.serving",
    "agent.main",
    "licence_master.cli.asking",
    "licence_master.cli.files",
    "licence_master.cli.ordering",
    "licence_master.edges.admin_api",
    "licence_master.main",
    "rich.table",
)


class Place(Protocol):
    """Where programs run that has namespaces of its own: a network, or a disk."""

    @property
    def pid(self) -> int:
        """Return a process that is there."""
        ...


def typed(words: Sequence[str], ground: Place | None = None, within_s: int = 30) -> str:
    """What `pbx-agent …` or `licence-master …` prints, in a namespace when one is given.

    subprocess.CalledProcessError if it fails; after `within_s` it is killed.
    """
    done = ended(words, ground, within_s)
    done.check_returncode()
    return done.stdout


def ended(words: Sequence[str], ground: Place | None = None, within_s: int = 30) -> Done:
    """The same with its exit code, whatever that is."""
    return typist(own_python()).end(words, within_s, namespace=None if ground is None else ground.pid)


def ended_here(
    words: Sequence[str], ground: Place | None = None, within_s: int = 60, **variables: str
) -> Done:
    """The same by the sources and not by the wheel, with more variables of the environment."""
    namespace, environment = None if ground is None else ground.pid, {**os.environ, **variables}
    return typist(sys.executable).end(words, within_s, namespace=namespace, environment=environment)


class Where(TypedDict, total=False):
    """Where a program runs, where not here: what a typist is told beside its words.

    `namespace` is a process whose namespaces it enters; `path` comes before all else of sys.path.
    """

    namespace: int | None
    environment: Mapping[str, str]
    directory: str | Path
    path: Sequence[str]


class Fork:
    """One program that a typist started: what tests need of subprocess.Popen."""

    def __init__(self, told: socket.socket) -> None:
        """`told` brings its process id, and its exit code when it has ended."""
        self.returncode: int | None = None
        self._told = told
        self._one = threading.Lock()  # looks at a time
        self.pid = self._next()

    def poll(self) -> int | None:
        """The exit code, negative for a signal; None while it runs."""
        with suppress(subprocess.TimeoutExpired):
            return self.wait(0)
        return None

    def wait(self, timeout: float | None = None) -> int:
        """The exit code once it has ended; subprocess.TimeoutExpired."""
        with self._one:
            if self.returncode is None:
                self._told.settimeout(timeout)
                try:
                    self.returncode = self._next()
                except (TimeoutError, BlockingIOError):
                    raise subprocess.TimeoutExpired(str(self.pid), timeout or 0) from None
                self._told.close()
            return self.returncode

    def send_signal(self, number: int) -> None:
        """To this process, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def _next(self) -> int:
        number = self._told.recv(NUMBER_BYTES)
        assert number, "the typist has ended"
        return int.from_bytes(number, "little", signed=True)


class Typist:
    """The process that forks: it has imported `modules`, and ends when this one does."""

    def __init__(self, python: str, modules: Sequence[str]) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        script = str(Path(__file__).with_name("typist.py"))
        with theirs:
            command = [python, "-P", script, str(theirs.fileno()), *modules]
            self._process = subprocess.Popen(command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL)

    def start(self, words: Sequence[str], stdout: int, stderr: int, **where: Unpack[Where]) -> Fork:
        """Start it, as leader of a session of its own, with these descriptors."""
        request = {
            "words": list(words),
            "namespace": where.get("namespace"),
            "environment": dict(where.get("environment", os.environ)),
            "directory": str(Path(where.get("directory", ".")).absolute()),
            "path": list(where.get("path", ())),
            "asked_by": os.getpid(),
        }
        told, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            files = [stdout, stderr, theirs.fileno()]
            socket.send_fds(self._socket, [json.dumps(request).encode()], files)
        return Fork(told)

    def end(self, words: Sequence[str], within_s: float, **where: Unpack[Where]) -> Done:
        """Run it to its end; SIGKILL to it and all that it started after `within_s`."""
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as errors:
            fork = self.start(words, out.fileno(), errors.fileno(), **where)
            try:
                code = fork.wait(within_s)
            except subprocess.TimeoutExpired:
                os.killpg(fork.pid, signal.SIGKILL)
                code = fork.wait()
            for file in (out, errors):
                file.seek(0)
            texts = [file.read().decode(errors="replace") for file in (out, errors)]
        return subprocess.CompletedProcess(words, code, *texts)


@cache
def typist(python: str) -> Typist:
    """The one that runs our programs by this interpreter."""
    return Typist(python, ["agent.cli", "licence_master.cli", *LATE])
