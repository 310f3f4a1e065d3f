"""A site: a PBX with its agent in front, the ways that SIP takes there, and the agent.yaml that says so."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from demo.phone import Phone
from tests.acceptance.peers.asked import ask, run
from tests.acceptance.peers.baresip import Baresip
from tests.acceptance.peers.kamailio import Registrar, Secured
from tests.acceptance.peers.network import Network, family_of, written
from tests.acceptance.peers.processes import Command
from tests.acceptance.peers.sipp import Sipp
from tests.acceptance.peers.waiting import until
from tests.authority import Authority

SIP = 5060
PORTS = {"udp": SIP, "tcp": SIP, "tls": 5061, "ws": 5080, "wss": 5443}
SO_RCVBUFFORCE = 33  # Python does not name it
RECEIVE_BUFFER = 4 << 20


@dataclass(frozen=True)
class Ways:
    """How SIP travels at a site: `udp`, `tcp`, `tls`, `ws`, `wss`, each with a 6 at its end for IPv6.

    The agent listens for `phones` and speaks to the PBX by `pbx`, one of them. `authority` makes what
    agent and PBX show; with `phones_ca` every phone shows a certificate of that one.
    """

    phones: tuple[str, ...] = ("udp",)
    pbx: str = "udp"
    authority: Authority | None = None
    phones_ca: Authority | None = None

    def pbx_tls(self, host: str) -> Secured | None:
        """The TLS of the PBX, which asks for the agent's certificate."""
        if self.authority is None:
            return None
        return Secured(self.authority.issue(host), self.authority.certificate)

    def sip(self, doors: Mapping[str, tuple[str, int]], pbx: str) -> dict[str, Any]:
        """The `sip` of agent.yaml."""
        listen = [f"{way.rstrip('6')}:{written(host)}:{port}" for way, (host, port) in doors.items()]
        transport = self.pbx.rstrip("6")
        sip: dict[str, Any] = {"listen": listen, "pbx": f"{transport}:{written(pbx)}:{PORTS[transport]}"}
        if self.authority is not None:
            files = self.authority.issue(*dict.fromkeys(host for host, _ in doors.values()))
            sip["tls"] = {"certificate": str(files.certificate), "key": str(files.key)}
            if self.phones_ca is not None:
                sip["tls"]["phones_ca"] = str(self.phones_ca.certificate)
            if transport == "tls":
                sip["tls"]["pbx_ca"] = str(self.authority.certificate)
        return sip


@dataclass(frozen=True, eq=False)
class Site:
    """A PBX with its agent in front; phones register with `domain` as registrar and the guard as proxy."""

    name: str
    guard: tuple[str, int]
    registrar: Registrar
    agent: Command
    network: Network
    doors: Mapping[str, tuple[str, int]]
    ways: Ways

    @property
    def domain(self) -> str:
        """The host part of the site's AORs."""
        return written(self.registrar.host)

    def phone(self, user: str, way: str = "udp", **options: Any) -> Baresip:
        """A baresip phone of this site, started; it comes by one of the site's ways."""
        host, port = self.doors[way]
        if way.endswith("6"):
            options.setdefault("host", self.network.address6())
        if way.startswith("tls") and self.ways.authority is not None:
            options.setdefault("tls", f"sip_cafile {self.ways.authority.certificate}\n")
        proxy, transport = f"{written(host)}:{port}", way.rstrip("6")
        phone = Baresip(self.network, user, self.domain, proxy=proxy, transport=transport, **options)
        return self.network.start(phone)

    def phones(self, users: list[str], **options: Any) -> Sipp:
        """Many phones of this site (SIPp), started."""
        pbx = (self.domain, SIP)
        return self.network.start(Sipp(self.network, users, pbx, proxy=self.guard, **options))

    @asynccontextmanager
    async def handset(self, user: str) -> AsyncIterator[Phone]:
        """A demonstration phone of this site, in this process: cheap, and every answer is at hand."""
        host, _ = self.guard
        sock = self.network.udp(host)
        phone = Phone(user, sock.getsockname(), (self.domain, SIP), self.guard)
        await asyncio.get_running_loop().create_datagram_endpoint(lambda: phone, sock=sock)
        try:
            yield phone
        finally:
            phone.close()

    def contacts(self) -> set[str]:
        """The users that the PBX holds a binding of."""
        return set(self.registrar.contacts())

    def granted(self) -> int:
        """The share that the last answer brought, all classes together."""
        return sum(counts["granted"] for counts in self._classes().values())

    def usable(self) -> int:
        """Units in use or free to use now: less than granted while a lower want is on its way."""
        names = ("used", "reserved", "lingering", "spare")
        return sum(counts[name] for counts in self._classes().values() for name in names)

    def _classes(self) -> dict[str, dict[str, int]]:
        classes: dict[str, dict[str, int]] = self.told()["classes"]
        return classes

    def told(self) -> Any:
        """What `status` says, asked at the agent's own socket: no process is started for it."""
        return self._own(ask(self.agent.folder / "data" / "agent.sock", "/status"))

    def _own(self, answer: dict[str, Any]) -> Any:
        """The entry of this PBX: an agent may serve several."""
        return next(entry for entry in answer["pbxs"] if entry["name"] == self.name)

    def status(self) -> Any:
        """`pbx-agent status --json` of this PBX."""
        config = str(self.agent.folder / "agent.yaml")
        said = run("pbx-agent", "status", "--config", config, "--json")
        return self._own(json.loads(said))

    def counts(self, class_: str = "seat") -> dict[str, int]:
        """One class of the status, asked at the agent's own socket: used, waiting, lingering, surplus, …"""
        return self._classes()[class_]

    def wait_looked(self) -> None:
        """Wait until the agent has asked its PBX for everything once more."""

        def looked_at_ms() -> int:
            at_ms: int = self.told()["observed"]["snapshot_at_ms"]
            return at_ms

        before = looked_at_ms()
        until(lambda: looked_at_ms() > before, 20, f"another look of {self.name}")

    def wait_counts(self, class_: str = "seat", within_s: float = 10.0, **expected: int) -> None:
        """Wait until the agent counts this: `wait_counts(used=0, lingering=1)`."""

        counts = self.counts(class_)

        def seen() -> bool:
            nonlocal counts
            counts = self.counts(class_)
            return expected.items() <= counts.items()

        try:
            until(seen, within_s)
        except AssertionError:
            raise AssertionError(f"{self.name} never counted {expected} of {class_}: {counts}") from None


def agent_configuration(name: str, guard: str, pbx: str, **entry: Any) -> dict[str, Any]:
    """The agent.yaml of a site, over UDP where `entry` says nothing else; 11 is a group, all others users."""
    objects = [{"kind": "group", "aor": ["11"]}, {"kind": "user", "aor": ["*"]}]
    sip = {"listen": [f"udp:{guard}:{SIP}"], "pbx": f"udp:{pbx}:{SIP}"}
    made = {"name": name, "software": 13, "sip": sip, "objects": objects}
    return {"data": "data", "pbxs": [{**made, **entry}]}


def activated_socket(network: Network, door: tuple[str, int], way: str) -> socket.socket:
    """A socket as pbx-agent.socket opens it: for a buffer above the system's limit it needs no root."""
    host, port = door
    if way.startswith("udp"):
        made = network.udp(host, port)
        made.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, RECEIVE_BUFFER)
        return made
    made = network.open_socket(family_of(host), socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if way.endswith("6"):
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    made.bind(door)
    made.listen(1_024)
    return made
