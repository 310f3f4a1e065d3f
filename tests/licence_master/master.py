"""A real licence master as a process of its own, and the commands as a person types them."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TextIO

import httpx

from licence_master.config import MasterConfig
from licence_master.service.founding import initialise
from runtime.config import load
from runtime.tls import pin_of_certificate
from tests.acceptance.peers.typed import Fork, Place, ended_here, typist

Row = dict[str, Any]
Rows = list[Row]

PROGRAM = (sys.executable, "-m", "licence_master.cli")
STARTED = ("env",)  # a prefix that does nothing: who has one is started as it is installed
STDOUT = 1
TIMEOUT_S = 60

THREE_SITES = """
  - name: {name}
    software: 13
    pbxs:
      - {{name: hq, role: master, platform: gateway, model: IP3011, mac: "00-90-33-01-02-03"}}
      - {{name: lyon, role: slave, platform: gateway}}
      - {{name: nice, role: slave, platform: ipva}}
"""


def found(path: Path, *names: str) -> None:
    """What `licence-master init` does for these installations, without a process for it."""
    config = load(path, MasterConfig)
    for name in names:
        installation = config.installation(name)
        assert installation is not None
        with ThreadPoolExecutor(1) as beside:  # a test may have a loop of its own
            beside.submit(asyncio.run, initialise(config, installation)).result()


class Master:
    """One data directory under `home`, and at most one `serve` on it."""

    def __init__(
        self,
        home: Path,
        installations: Sequence[str] = ("acme",),
        agents: str = "",
        more_pbxs: Sequence[str] = (),
        admin: str = "",
        roots: Sequence[str] = (),
    ) -> None:
        self.home = home
        self.config = home / "master.yaml"
        self.agents_port = 0
        self.admin_port = 0
        self.lines: list[dict[str, object]] = []
        self.prefix: Sequence[str] = ()  # of every command: strace, STARTED; else it is a fork
        self.place: Place | None = None  # of every fork
        self._process: subprocess.Popen[bytes] | Fork | None = None
        self._log: TextIO
        self._reader: threading.Thread | None = None
        self._news = threading.Condition()
        more = "".join(f"      - {{name: {name}}}\n" for name in more_pbxs)
        sites = "".join(THREE_SITES.format(name=name) + more for name in installations)
        listen = 'listen: "127.0.0.1:0"'
        head = f"data: data\nadmin: {{{listen}{admin}}}\nagents: {{{listen}{agents}}}\n"
        self.config.write_text(f"{head}licence_roots: {json.dumps(list(roots))}\ninstallations:{sites}")

    @property
    def data(self) -> Path:
        return self.home / "data"

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.agents_port}"

    @property
    def admin_url(self) -> str:
        return f"https://127.0.0.1:{self.admin_port}"

    @property
    def pin(self) -> str:
        return pin_of_certificate((self.data / "keys" / "tls.crt").read_bytes())

    @property
    def admin_token(self) -> str:
        return (self.data / "keys" / "admin.token").read_text().strip()

    def ledger(self, installation: str = "acme") -> Path:
        return self.data / "installations" / installation / "ledger.db"

    def command(self, *words: str, code: int = 0) -> str:
        """Run one command; its stdout. The exit code must be as expected."""
        done = self.run(*words)
        assert done.returncode == code, f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        command = [*words, "--config", str(self.config)]
        if not self.prefix:
            return ended_here(["licence-master", *command], self.place, TIMEOUT_S, COLUMNS="200")
        environment = {**os.environ, "COLUMNS": "200"}
        return subprocess.run(
            [*self.prefix, *PROGRAM, *command],
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            env=environment,
            check=False,
        )

    def init(self, *installations: str) -> Self:
        """What `licence-master init` does, without starting a process for it."""
        found(self.config, *(installations or ("acme",)))
        return self

    def start(self) -> Self:
        """Start `serve` and wait for its readiness line; without a `prefix` it is a fork (typed.py)."""
        words = ["serve", "--config", str(self.config)]
        reading, writing = os.pipe()
        self._log = os.fdopen(reading)
        try:
            if self.prefix:
                self._process = subprocess.Popen([*self.prefix, *PROGRAM, *words], stderr=writing)
            else:
                namespace = None if self.place is None else self.place.pid
                forked = ["licence-master", *words]
                self._process = typist(sys.executable).start(forked, STDOUT, writing, namespace=namespace)
        finally:
            os.close(writing)
        for line in self._lines():
            if line["event"] == "master.ready":
                self.agents_port = int(str(line["agents_port"]))
                self.admin_port = int(str(line["admin_port"]))
                self._reader = threading.Thread(target=lambda: list(self._lines()), daemon=True)
                self._reader.start()
                return self
        self._gone()
        raise AssertionError(f"the master did not start: {self.lines}")

    def _lines(self) -> Iterator[dict[str, object]]:
        """What the process logs, remembered as it comes."""
        for text in self._log:
            line: dict[str, object] = json.loads(text)
            with self._news:
                self.lines.append(line)
                self._news.notify_all()
            yield line

    @property
    def pid(self) -> int:
        """Of the process that serves."""
        assert self._process is not None
        return self._process.pid

    def send_signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        """kill -9."""
        self.end(signal.SIGKILL, -9)

    def stop(self) -> None:
        """SIGTERM, and a clean end."""
        self.end(signal.SIGTERM, 0)

    def end(self, number: signal.Signals, code: int) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            assert self._gone() == code, self.lines

    def exit_code(self) -> int:
        """How it ended by itself."""
        return self._gone()

    def _gone(self) -> int:
        """Wait for the end of the process and of its log; its exit code."""
        process, self._process = self._process, None
        assert process is not None
        code = process.wait(TIMEOUT_S)
        if self._reader is not None:
            self._reader.join(TIMEOUT_S)
        self._log.close()
        return code

    def api(self) -> httpx.Client:
        """The admin API by its Unix socket: what the commands use."""
        transport = httpx.HTTPTransport(uds=str(self.data / "admin.sock"), verify=False)
        return httpx.Client(transport=transport, base_url="http://master/api/v1", timeout=TIMEOUT_S)

    def ask(self, path: str, installation: str = "acme") -> Rows:
        """The rows of a GET below the installation."""
        with self.api() as api:
            response = api.get(f"/installations/{installation}{path}")
            assert response.status_code == 200, response.text
            rows: Rows = response.json()
            return rows

    def order(self, path: str, body: Row, installation: str = "acme", status: int = 200) -> Row:
        """The answer to a POST below the installation."""
        with self.api() as api:
            response = api.post(f"/installations/{installation}{path}", json=body)
            assert response.status_code == status, response.text
            row: Row = response.json()
            return row

    def wait_for(self, event: str, times: int) -> None:
        """Until this event was logged so often."""
        with self._news:
            assert self._news.wait_for(lambda: len(self.logged(event)) >= times, TIMEOUT_S), self.lines

    def logged(self, event: str) -> list[dict[str, object]]:
        return [line for line in self.lines if line["event"] == event]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end(signal.SIGKILL, -9)
