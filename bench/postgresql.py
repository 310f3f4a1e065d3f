"""PostgreSQL that lends units from a pool whose row is locked first, asked by pgbench over a Unix socket.

An operation is one transaction of a client of its own: `SELECT … FOR UPDATE` of the pool, the new count, a
row of the lease and a row of the audit for each unit. The server has what `initdb` writes: fsync and
synchronous_commit are on. It refuses to run as root, which then starts it as nobody.
"""

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from bench.worker import Round, summary
from bench.world import LOAD_CORE, PINNED
from tests.acceptance.peers.network import Loopback, program
from tests.acceptance.peers.processes import Program

SCHEMA = """
CREATE TABLE pool (name text PRIMARY KEY, capacity bigint NOT NULL, used bigint NOT NULL);
CREATE TABLE lease (id bigserial PRIMARY KEY, pool text NOT NULL, holder text NOT NULL, since_ms bigint);
CREATE TABLE audit (id bigserial PRIMARY KEY, at_ms bigint NOT NULL, holder text NOT NULL, event text);
INSERT INTO pool VALUES ('port', 1000000000, 0);
"""
LEND = r"""BEGIN;
SELECT used, capacity FROM pool WHERE name = 'port' FOR UPDATE \gset
\if :used + :units <= :capacity
UPDATE pool SET used = used + :units::bigint WHERE name = 'port';
INSERT INTO lease (pool, holder, since_ms)
  SELECT 'port', 'phone-' || n, :now_ms::bigint
  FROM generate_series(:used::bigint + 1, :used::bigint + :units::bigint) n;
INSERT INTO audit (at_ms, holder, event)
  SELECT :now_ms::bigint, 'phone-' || n, 'held'
  FROM generate_series(:used::bigint + 1, :used::bigint + :units::bigint) n;
\endif
COMMIT;
"""
LEND_ONE = r"""BEGIN;
SELECT used, capacity, used + 1 AS next FROM pool WHERE name = 'port' FOR UPDATE \gset
\if :used < :capacity
UPDATE pool SET used = used + 1 WHERE name = 'port';
INSERT INTO lease (pool, holder, since_ms) VALUES ('port', 'phone-' || :next, :now_ms);
INSERT INTO audit (at_ms, holder, event) VALUES (:now_ms, 'phone-' || :next, 'held');
\endif
COMMIT;
"""
COUNTED = "SELECT used, (SELECT count(*) FROM lease), (SELECT count(*) FROM audit) FROM pool"
NOBODY = 65_534


class PostgreSQL:
    """A running server and its clients."""

    def __init__(self, folder: Path, server: Program, clients: int) -> None:
        self.server = server
        self.folder = folder
        self._clients = clients
        self._lent = 0

    def ask(self, count: int, units: int) -> Round:
        """One round: `count` transactions of each client, for so many units each."""
        log = self.folder / "round"
        for old in self.folder.glob("round.*"):
            old.unlink()
        script = self.folder / "lend.sql"
        script.write_text(LEND_ONE if units == 1 else LEND)
        words = [
            "-n",
            "-M",
            "prepared",
            "-c",
            str(self._clients),
            "-j",
            "1",
            "-t",
            str(count),
            "-f",
            str(script),
        ]
        words += ["-D", f"units={units}", "-D", "now_ms=1700000000000", "-l", f"--log-prefix={log}"]
        said = self._client("pgbench", *words)
        (rate,) = re.findall(r"tps = ([0-9.]+)", said)
        lines = [
            line.split() for each in self.folder.glob("round.*") for line in each.read_text().splitlines()
        ]
        assert len(lines) == count * self._clients, said
        self._lent += units * len(lines)
        return summary([int(words[2]) / 1e6 for words in lines], units * len(lines), len(lines) / float(rate))

    def check(self) -> None:
        """What was counted is what the pool says, and there is a row for each of them."""
        counted = {int(number) for number in self._client("psql", "-At", "-c", COUNTED).split("|")}
        assert counted == {self._lent}, f"{self._lent} units were lent, PostgreSQL says {counted}"

    def make(self) -> None:
        """Make the tables."""
        self._client("psql", "-v", "ON_ERROR_STOP=1", "-q", "-c", SCHEMA)

    def _client(self, name: str, *words: str) -> str:
        core = [program("taskset"), "-c", str(LOAD_CORE)]
        command = [*core, program(name), "-h", str(self.folder), "-U", "bench", *words, "postgres"]
        return subprocess.run(command, cwd=self.folder, check=True, stdout=subprocess.PIPE, text=True).stdout


@contextmanager
def postgresql(clients: int) -> Iterator[PostgreSQL]:
    """A server on the server's core, in a folder of its own: its socket wants a short path."""
    folder = Path(tempfile.mkdtemp(prefix="pbx-bench-pg-"))
    try:
        user = _as_user(folder)
        data = folder / "data"
        made = [program("initdb"), "-D", str(data), "-U", "bench", "-A", "trust", "-E", "UTF8", "--locale=C"]
        subprocess.run([*user, *made], cwd=folder, check=True, stdout=subprocess.DEVNULL)
        words = [program("postgres"), "-D", str(data), "-k", str(folder), "-h", ""]
        ready = "ready to accept connections"
        with Program("postgresql", [*PINNED, *user, *words], folder, Loopback(), ready=ready) as server:
            found = PostgreSQL(folder, server, clients)
            found.make()
            yield found
    finally:
        shutil.rmtree(folder)


def _as_user(folder: Path) -> Sequence[str]:
    """What runs a command as somebody who is not root, who then owns the folder."""
    if os.geteuid() != 0:
        return []
    os.chown(folder, NOBODY, NOBODY)
    return [program("setpriv"), f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
