"""Commands run by forks of one process that has imported what they need (typist.py).

To start an interpreter and import a command line costs a hundred times what most commands do, and each house
is made with many. All that follows is the command as it ships: its words, its namespace, its exit code.
Daemons, and commands in the tests of the command lines themselves, are started as they are installed.
"""

import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from tests.acceptance.peers.network import Network
from tests.acceptance.peers.processes import COMPILED, compiled_is_there

Done = subprocess.CompletedProcess[str]
LATE = (
    "agent.cli.asking",
    "agent.cli.examining",
    "agent.cli.joining",
    "agent.cli.serving",
    "licence_master.cli.asking",
    "licence_master.cli.ordering",
)
AWAY_S = 10.0


def typed(words: Sequence[str], ground: Network | None = None, within_s: int = 30) -> str:
    """What `pbx-agent …` or `licence-master …` prints, in a namespace when one is given.

    subprocess.CalledProcessError if it fails; after `within_s` it is killed.
    """
    done = ended(words, ground, within_s)
    done.check_returncode()
    return done.stdout


def ended(words: Sequence[str], ground: Network | None = None, within_s: int = 30) -> Done:
    """The same with its exit code, whatever that is."""
    python = str(COMPILED / "bin" / "python") if compiled_is_there() else sys.executable
    return _typist(python).end(words, within_s, ground=ground)


def ended_here(words: Sequence[str], within_s: int = 60, **variables: str) -> Done:
    """The same by the sources and not by the wheel, with more variables of the environment."""
    return _typist(sys.executable).end(words, within_s, environment={**os.environ, **variables})


class Typist:
    """The process that forks: it has imported `modules`, and ends when this one does."""

    def __init__(self, python: str, modules: Sequence[str]) -> None:
        self._one = threading.Lock()  # a command after the other
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        script = str(Path(__file__).with_name("typist.py"))
        with theirs:
            command = [python, "-P", script, str(theirs.fileno()), *modules]
            self._process = subprocess.Popen(command, pass_fds=[theirs.fileno()])

    def end(
        self,
        words: Sequence[str],
        within_s: float,
        *,
        ground: Network | None = None,
        environment: Mapping[str, str] = os.environ,
        directory: str | Path = ".",
        path: Sequence[str] = (),
    ) -> Done:
        """Run it to its end; killed after `within_s`. `path` comes before all else of sys.path."""
        request = {
            "words": list(words),
            "namespace": None if ground is None else ground.pid,
            "environment": dict(environment),
            "directory": str(Path(directory).absolute()),
            "path": list(path),
            "within_s": within_s,
        }
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as errors:
            files = [out.fileno(), errors.fileno()]
            with self._one:
                self._socket.settimeout(within_s + AWAY_S)
                socket.send_fds(self._socket, [json.dumps(request).encode()], files)
                code = int.from_bytes(self._socket.recv(4), "little", signed=True)
            for file in (out, errors):
                file.seek(0)
            texts = [file.read().decode(errors="replace") for file in (out, errors)]
        return subprocess.CompletedProcess(words, code, *texts)


@cache
def _typist(python: str) -> Typist:
    return Typist(python, ["agent.cli", "licence_master.cli", *LATE])
