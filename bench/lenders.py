"""Those that lend beside the master: a plain writer, etcd and PostgreSQL, each on the server's core.

Each is a context manager of a network and the number of clients. Where a program is missing, entering it
raises FileNotFoundError with the Debian package that brings it.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.postgresql import postgresql
from bench.worker import MODULE, Round, Worker
from bench.world import LOAD_CORE, PINNED, ROOT
from tests.acceptance.peers.network import Network, program
from tests.acceptance.peers.processes import Command

# One core is what it gets; with one Go thread (Go's own choice then) every fsync would stop all of it.
ETCD_THREADS = {"GOMAXPROCS": "4"}


@dataclass(frozen=True, slots=True)
class Lender:
    """A server and its clients: by `ask(COUNT, UNITS)` each client makes so many operations.

    `server` is the id of the session or process whose CPU time counts, `folder` where it writes.
    """

    name: str
    folder: Path
    server: int
    ask: Callable[[int, int], Round]
    described: str = ""


Lenders = Callable[[Network, int], AbstractContextManager[Lender]]


@contextmanager
def plain(network: Network, _: int) -> Iterator[Lender]:
    """One process that writes as open-source licence servers do."""
    described = "SQLite writer, one unit an operation, two commits each (WAL, FULL), no network; units/s"
    command = [*PINNED, *MODULE, "bench.plain_writer", str(network.folder / "plain.db")]
    with Worker(command) as worker:
        yield Lender("plain writer", network.folder, worker.pid, worker.ask, described)


@contextmanager
def plain_server(network: Network, clients: int) -> Iterator[Lender]:
    """The same writer behind HTTP, with as many clients as ours has."""
    described = f"the same writer behind plain HTTP (uvicorn, Starlette), {clients} clients; units/s"
    path = str(network.folder / "served.db")
    place = ["127.0.0.1", "8080"]
    words = [*PINNED, *MODULE, "bench.plain_server", *place, path]
    environment = {"PYTHONPATH": str(ROOT)}
    server = Command(network, "plain-server", words, ready="Uvicorn running", environment=environment)
    network.start(server)
    core = [program("taskset"), "-c", str(LOAD_CORE)]
    load = network.inside([*core, *MODULE, "bench.plain_load", *place, str(clients), path])
    with Worker(load) as worker:
        yield Lender("plain server", server.folder, server.pid, worker.ask, described)


@contextmanager
def etcd(network: Network, clients: int, *, pools: int, described: str) -> Iterator[Lender]:
    """A single etcd, asked by gRPC, without TLS."""
    server = network.start(etcd_server(network))
    with etcd_clients(network, clients, pools) as load:
        yield Lender("etcd", server.folder, server.pid, load.ask, described)


def etcd_server(network: Network) -> Command:
    """etcd with its defaults: it answers when the change is in its log, after fsync."""
    here, there = "http://127.0.0.1:2379", "http://127.0.0.1:2380"
    words = ["--data-dir", "data", "--listen-client-urls", here, "--advertise-client-urls", here]
    words += ["--listen-peer-urls", there, "--logger", "zap"]
    ready = "serving client traffic"
    return Command(network, "etcd", [*PINNED, program("etcd"), *words], ready=ready, environment=ETCD_THREADS)


def etcd_clients(network: Network, clients: int, pools: int) -> Worker:
    """The clients, one process on the load's core."""
    core = [program("taskset"), "-c", str(LOAD_CORE)]
    words = ["bench.etcd_load", "127.0.0.1:2379", str(clients), str(min(pools, clients))]
    return Worker(network.inside([*core, *MODULE, *words]))


@contextmanager
def row_lock(_: Network, clients: int, *, described: str) -> Iterator[Lender]:
    """PostgreSQL, asked by pgbench over a Unix socket."""
    with postgresql(clients) as found:
        yield Lender("postgresql", found.folder, found.server.pid, found.ask, described)
        found.check()
