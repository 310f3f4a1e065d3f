"""Programs as real processes: started on a ground, watched through their log, ended by their own pid."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Self

from tests.acceptance.peers.installed import own_python
from tests.acceptance.peers.network import Ground, Network
from tests.acceptance.peers.typed import Fork, typist
from tests.acceptance.peers.waiting import until

# Started by a fork when a command names it so; by its path it is started as it is installed.
FORKED = ("pbx-agent", "licence-master")


class Program:
    """One process; stdout and stderr are appended to `<folder>/<name>.log`, across restarts."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        folder: Path,
        ground: Ground,
        *,
        ready: str | None = None,
        environment: Mapping[str, str] | None = None,
        sockets: Sequence[socket.socket] = (),
    ) -> None:
        """Describe the process; with `ready` (a pattern of its log) `start` waits for that line.

        `pbx-agent` and `licence-master` by their bare names are forks (typed.py), which take neither
        `environment` nor `sockets`. It inherits `sockets` as from systemd; they stay open here, across its
        restarts.
        """
        self.name = name
        self.folder = folder
        self.log_path = folder / f"{name}.log"
        self._command = command
        self._sockets = sockets
        self._ground = ground
        self._ready = ready
        self._environment = {**os.environ, **(environment or {})}
        assert command[0] not in FORKED or not (environment or sockets), "only a start takes these"
        self._log_start = 0
        self._process: subprocess.Popen[bytes] | Fork | None = None

    def __enter__(self) -> Self:
        """Start, and wait until ready."""
        try:
            self.start()
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """End it, politely first."""
        self.end()

    def start(self) -> None:
        """Start the process (again, after it ended) and wait until it is ready."""
        self.launch()
        if self._ready is not None:
            self.wait_for(self._ready)

    def launch(self) -> None:
        """Start the process as leader of a session of its own; it may not be ready yet."""
        assert self._process is None, f"{self.name} is running"
        self.folder.mkdir(parents=True, exist_ok=True)
        with self.log_path.open("ab") as log:
            self._log_start = log.tell()
            self._process = self._forked(log) if self._command[0] in FORKED else self._spawned(log)

    def _forked(self, log: IO[bytes]) -> Fork:
        return typist(own_python()).start(
            self._command,
            log.fileno(),
            log.fileno(),
            namespace=self._ground.pid,
            directory=self.folder,
        )

    def _spawned(self, log: IO[bytes]) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            self._ground.inside([*self._activation(), *self._command]),
            pass_fds=[sock.fileno() for sock in self._sockets],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=self.folder,
            env=self._environment,
            start_new_session=True,
        )

    def _activation(self) -> list[str]:
        if not self._sockets:
            return []
        numbers = ",".join(str(sock.fileno()) for sock in self._sockets)
        return [sys.executable, str(Path(__file__).with_name("activated.py")), numbers]

    @property
    def process(self) -> subprocess.Popen[bytes] | Fork:
        """Return the running process."""
        assert self._process is not None, f"{self.name} is not running"
        return self._process

    @property
    def running(self) -> bool:
        """Whether it was started and not ended since."""
        return self._process is not None

    @property
    def pid(self) -> int:
        """Return the process id: nsenter replaces itself by the program, so this is the program's own."""
        return self.process.pid

    @property
    def log(self) -> str:
        """Return what it has written since its last start."""
        return self.log_path.read_bytes()[self._log_start :].decode(errors="replace")

    @property
    def lines(self) -> list[str]:
        """Return the lines that it has written since its last start; one that has not ended is none yet."""
        return self.log.split("\n")[:-1]

    def wait_for(self, pattern: str, within_s: float = 10.0) -> re.Match[str]:
        """Return the first match in the log since the last start; AssertionError if there is none."""

        def seen() -> re.Match[str] | None:
            ended = self._process is not None and self._process.poll() is not None
            match = re.search(pattern, self.log)
            assert match or not ended, f"{self.name} ended without {pattern!r}:\n{self.log[-2000:]}"
            return match

        return until(seen, within_s, f"{pattern!r} in {self.log_path}")

    def wait(self, within_s: float = 10.0) -> int:
        """Return the exit code once it has ended by itself; subprocess.TimeoutExpired if it does not."""
        code = self.process.wait(within_s)
        self._process = None
        return code

    def end(self, within_s: float = 10.0) -> int | None:
        """SIGTERM, SIGKILL after `within_s`; return the exit code, None if it was not running."""
        if self._process is None:
            return None
        self._signal(signal.SIGCONT)
        self._process.send_signal(signal.SIGTERM)
        try:
            code = self._process.wait(within_s)
        except subprocess.TimeoutExpired:
            code = None
        self.kill()
        return code

    def kill(self) -> None:
        """SIGKILL to the process and its children, as a power cut would end them."""
        if self._process is None:
            return
        self._signal(signal.SIGKILL)
        self._process.wait()
        self._process = None

    def freeze(self) -> None:
        """SIGSTOP: alive, reachable and silent."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        self._signal(signal.SIGCONT)

    def reload(self) -> None:
        """SIGHUP: read the configuration again."""
        self.process.send_signal(signal.SIGHUP)

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, number)


class Command(Program):
    """A program that runs in a network under `folder/<name>`: `Command(network, "agent", [...])`."""

    def __init__(
        self,
        network: Network,
        name: str,
        command: Sequence[str],
        *,
        ready: str | None = None,
        environment: Mapping[str, str] | None = None,
        sockets: Sequence[socket.socket] = (),
    ) -> None:
        """Describe the process; its folder is made at the start."""
        folder = network.folder / name
        super().__init__(
            name, command, folder, network, ready=ready, environment=environment, sockets=sockets
        )
