"""A network of its own for each test, with or without root, so that tests run side by side.

A `Network` is one user and network namespace (`unshare -rn`), held by a keeper process. Inside are the
loopback and a veth pair that carries addresses of 10.77.0.0/24: baresip refuses to start on loopback alone.
Programs run inside through `nsenter`; the test process stays outside and is given sockets (keeper.py).
The file system is the same inside and outside: Unix sockets, files and signals need nothing special.
All traffic between addresses of the network passes its loopback; only that of nat.py passes a link.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack, closing
from pathlib import Path
from typing import Protocol, Self, TypeVar

P = TypeVar("P")

# Debian keeps each version of PostgreSQL in a folder of its own; the newest is taken.
POSTGRESQL = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name))[-1:]
SEARCH_PATH = os.pathsep.join(
    [*map(str, POSTGRESQL), os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"]
)
PACKAGES = {
    "kamailio": "kamailio",
    "baresip": "baresip-core",
    "sipp": "sip-tester",
    "ip": "iproute2",
    "unshare": "util-linux",
    "nsenter": "util-linux",
    "setpriv": "util-linux",
    "taskset": "util-linux",
    "strace": "strace",
    "nft": "nftables",
    "dnsmasq": "dnsmasq-base",
    "node": "nodejs",
    "npm": "npm",
    "etcd": "etcd-server",
    "initdb": "postgresql",
    "pgbench": "postgresql",
    "postgres": "postgresql",
    "psql": "postgresql",
    "systemctl": "systemd",
    "systemd-analyze": "systemd",
    "faketime": "faketime",
}


class NamespaceRefusedError(Exception):
    """This machine gives no network namespace to this user."""


def program(name: str) -> str:
    """Return the absolute path of an installed program; FileNotFoundError names its Debian package."""
    path = shutil.which(name, path=SEARCH_PATH)
    if path is None:
        raise FileNotFoundError(f"{name} is not installed (Debian package {PACKAGES.get(name, name)})")
    return path


class Ground(Protocol):
    """Where programs run and sockets live: the machine's own loopback, or a namespace."""

    @property
    def pid(self) -> int | None:
        """Return a process that is there; None when any is."""
        ...

    def inside(self, command: Sequence[str]) -> list[str]:
        """Return the command that runs `command` on this ground, as the same process id."""
        ...

    def connect(self, host: str, port: int) -> socket.socket:
        """Return a connected TCP socket; OSError when refused."""
        ...

    def udp(self, host: str, port: int = 0) -> socket.socket:
        """Return a bound UDP socket; port 0 takes a free one."""
        ...


class Loopback:
    """The machine's own loopback, for benchmarks and demonstrations: choose addresses and ports with care."""

    pid = None

    def inside(self, command: Sequence[str]) -> list[str]:
        """Return the command as it is."""
        return list(command)

    def connect(self, host: str, port: int) -> socket.socket:
        """Return a connected TCP socket; OSError when refused."""
        return socket.create_connection((host, port), timeout=5.0)

    def udp(self, host: str, port: int = 0) -> socket.socket:
        """Return a bound UDP socket; port 0 takes a free one."""
        made = socket.socket(family_of(host), socket.SOCK_DGRAM)
        made.bind((host, port))
        return made


def family_of(host: str) -> socket.AddressFamily:
    """Return AF_INET6 for an address with a colon, else AF_INET."""
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def written(host: str) -> str:
    """Return an address as it stands in a URI."""
    return f"[{host}]" if ":" in host else host


class Network:
    """One namespace with loopback and veth; `folder` holds the logs of what runs in it."""

    def __init__(self, folder: Path) -> None:
        """Remember the folder; nothing is started before `with`."""
        self.folder = folder
        self._last_address = 1
        self._started = ExitStack()
        self._asking = threading.Lock()

    def __enter__(self) -> Self:
        """Start the keeper and bring the interfaces up; NamespaceRefusedError says why not."""
        self.folder.mkdir(parents=True, exist_ok=True)
        log = self.folder / "keeper.log"
        with ExitStack() as undo:
            self._socket, theirs = socket.socketpair()
            undo.callback(self._socket.close)
            with closing(theirs):
                command = [*self._unshared(), sys.executable, keeper_path(), str(theirs.fileno())]
                with log.open("wb") as errors:
                    self._keeper = subprocess.Popen(command, pass_fds=[theirs.fileno()], stderr=errors)
            undo.callback(self._end_keeper)
            if self._socket.recv(16) != b"ready":
                raise NamespaceRefusedError(f"no namespace: {log.read_text().strip()}")
            self._furnish()
            undo.pop_all()
        return self

    @property
    def pid(self) -> int:
        """Return the process id of the keeper, by which the namespace is found."""
        return self._keeper.pid

    def _unshared(self) -> list[str]:
        """Return what makes the keeper's namespaces, before the keeper's own command."""
        return [program("unshare"), "-rn"]

    def _furnish(self) -> None:
        for words in ("set lo up", "add pbx0 type veth peer name pbx1", "set pbx1 up", "set pbx0 up"):
            self.ip("link", words)
        self.ip("address", "add 10.77.0.1/24 dev pbx0")

    def __exit__(self, *_: object) -> None:
        """End what was started here, newest first, then the namespace itself."""
        try:
            self._started.close()
        finally:
            self._end_keeper()
            self._socket.close()

    def _end_keeper(self) -> None:
        self._keeper.kill()
        self._keeper.wait()

    def start(self, peer: AbstractContextManager[P]) -> P:
        """Enter a peer (Kamailio, a phone, a program) that is ended together with this network."""
        return self._started.enter_context(peer)

    def address(self) -> str:
        """Return a fresh IPv4 address of this network: 10.77.0.2, 10.77.0.3, … 10.77.0.254."""
        self._last_address += 1
        address = f"10.77.0.{self._last_address}"
        self.run([program("ip"), "address", "add", f"{address}/24", "dev", "pbx0"])
        return address

    def address6(self) -> str:
        """Return a fresh IPv6 address of this network: fd77::2, fd77::3, …"""
        self._last_address += 1
        address = f"fd77::{self._last_address:x}"
        self.run([program("ip"), "-6", "address", "add", f"{address}/64", "dev", "pbx0", "nodad"])
        return address

    def inside(self, command: Sequence[str]) -> list[str]:
        """Return the command that runs `command` in this namespace; it keeps its process id."""
        target = ["--target", str(self._keeper.pid), "--user", "--net", "--preserve-credentials"]
        return [program("nsenter"), *target, "--", *command]

    def ip(self, subject: str, words: str) -> None:
        """Run `ip SUBJECT WORDS` inside."""
        self.run([program("ip"), subject, *words.split()])

    def run(self, command: Sequence[str], within_s: float = 10.0) -> str:
        """Run a command inside to its end, return what it printed; CalledProcessError if it fails."""
        done = subprocess.run(
            self.inside(command), check=True, capture_output=True, text=True, timeout=within_s
        )
        return done.stdout

    def open_socket(
        self,
        family: int,
        kind: int,
        protocol: int = 0,
        address: tuple[str | int, ...] | None = None,
    ) -> socket.socket:
        """Return a socket bound to `address` (connected to it for a stream), closed with this network."""
        with self._asking:
            self._socket.send(json.dumps([family, kind, protocol, address]).encode())
            answer, descriptors, _, _ = socket.recv_fds(self._socket, 4096, 1)
        if answer != b"ok":
            raise OSError(*json.loads(answer))
        made = socket.socket(fileno=descriptors[0])
        made.settimeout(None)  # the keeper's timeout left the descriptor non-blocking
        self._started.callback(made.close)
        return made

    def udp(self, host: str, port: int = 0) -> socket.socket:
        """Return a bound UDP socket of this namespace; port 0 takes a free one."""
        return self.open_socket(family_of(host), socket.SOCK_DGRAM, 0, (host, port))

    def connect(self, host: str, port: int) -> socket.socket:
        """Return a connected TCP socket of this namespace; OSError when refused."""
        return self.open_socket(family_of(host), socket.SOCK_STREAM, 0, (host, port))


def keeper_path() -> str:
    """Return the path of the keeper's script."""
    return str(Path(__file__).with_name("keeper.py"))
