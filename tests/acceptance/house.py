"""The whole product in a network: a licence master, and sites of an agent in front of a real Kamailio.

Every program is the shipped one, in a process of its own; the master is asked through its admin socket.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.acceptance.peers.asked import ask, order, run
from tests.acceptance.peers.asterisk import MANAGER_PORT, SECRET, Asterisk
from tests.acceptance.peers.installed import own_command
from tests.acceptance.peers.kamailio import Registrar
from tests.acceptance.peers.network import Network
from tests.acceptance.peers.processes import Command
from tests.acceptance.peers.typed import typed
from tests.acceptance.peers.waiting import until
from tests.acceptance.site import PORTS, SIP, Site, Ways, activated_socket, agent_configuration
from tests.licence_master.master import found

AGENTS = 8443
INSTALLATION = "acme"
NO_LINGER = {"user": 0}


class House:
    """A licence master in a network, with the licences given as `{type: count}`, and its sites."""

    def __init__(
        self,
        network: Network,
        licences: Mapping[str, int],
        pbxs: Mapping[str, str],
        *,
        sync_s: int = 30,
        agents: Mapping[str, Any] | None = None,
        environment: Mapping[str, str] | None = None,
        prefix: Sequence[str] = (),
        roots: Sequence[str] = (),
        boxes: Mapping[str, Mapping[str, Any]] | None = None,
        installed: bool = False,
        **policy: Any,
    ) -> None:
        """Describe it: `pbxs` maps names to platforms (gateway, ipva); the first is the master PBX.

        `boxes` are more keys of single PBXs, such as their ISDN interfaces.

        Agents report what they use every `sync_s` seconds, and at once when a phone waits. `agents` are more
        keys of that section, `environment` more variables of the master's process, `prefix` comes before its
        command (strace), `roots` its licence_roots, `boxes` more fields of PBXs, by name. Daemons that are
        `installed` are started as a user starts them, the others are forks (typed.py) and take no prefix,
        variables or open sockets.
        """
        self.network = network
        self.host = network.address()
        self.sites: dict[str, Site] = {}
        self._pbxs = pbxs
        self._agents = {"listen": f"{self.host}:{AGENTS}", "sync_s": sync_s, **(agents or {})}
        self._roots = roots
        self._boxes = boxes or {}
        self._policy = {"linger_s": NO_LINGER, **policy}
        self._licences = licences
        self._program: Callable[[str], str] = own_command if installed else str
        self.folder = network.folder / "licence-master"
        self.config = self.folder / "master.yaml"
        self.master = Command(
            network,
            "licence-master",
            [*prefix, self._program("licence-master"), "serve", "--config", str(self.config)],
            ready="master.ready",
            environment=environment,
        )

    def build(self) -> "House":
        """Write the configuration, make the store, start the master and install the licences."""
        self.folder.mkdir()
        self.config.write_text(json.dumps(self._configuration()))
        found(self.config, INSTALLATION)
        self.network.start(self.master)
        self.install(self._licences)
        return self

    def _configuration(self) -> dict[str, Any]:
        roles = ["master"] + ["slave"] * (len(self._pbxs) - 1)
        macs = [f"00-90-33-00-00-{number:02x}" for number in range(len(self._pbxs))]
        pbxs = [
            {"name": name, "role": role, "platform": platform, "mac": mac, **self._boxes.get(name, {})}
            for (name, platform), role, mac in zip(self._pbxs.items(), roles, macs, strict=True)
        ]
        installation = {"name": INSTALLATION, "software": 13, "policy": self._policy, "pbxs": pbxs}
        return {
            "data": "data",
            "agents": self._agents,
            "admin": {"listen": f"{self.host}:8444"},
            "licence_roots": list(self._roots),
            "installations": [installation],
        }

    def install(self, licences: Mapping[str, int]) -> None:
        """Install an inventory: the order that the command sends, without a process for it."""
        rows = [{"type": type_, "count": count} for type_, count in licences.items()]
        inventory = {"name": "licences.yaml", "content": json.dumps({"licences": rows})}
        self.order("licences", {"files": [inventory]})

    def site(
        self,
        name: str,
        *,
        start: bool = True,
        digest: bool = True,
        activated: bool = False,
        dialogs: bool = False,
        reg_event: bool = False,
        ways: Ways | None = None,
        sip: Mapping[str, Any] | None = None,
        environment: Mapping[str, str] | None = None,
        **entry: Any,
    ) -> Site:
        """Start a Kamailio, let an agent join for this PBX, and start it in front.

        With `digest=False` the PBX trusts by IP and challenges nobody; with `activated` the sockets are
        opened by somebody else and survive it; with `dialogs` the PBX says which calls go on, with
        `reg_event` it tells of registrations by NOTIFY, and is not asked again. `ways` are other transports
        than UDP over IPv4, `sip` and `entry` more keys of agent.yaml, `environment` more variables of the
        agent's process.
        """
        ways = ways or Ways()
        folder, guard = self.network.folder / f"pbx-{name}", self.network.address()
        doors = {each: (self._address(each, guard), PORTS[each.rstrip("6")]) for each in ways.phones}
        host = self._address(ways.pbx, None)
        tls = ways.pbx_tls(host)
        registrar = self.network.start(
            Registrar(
                folder,
                self.network,
                (host, SIP),
                digest=digest,
                tls=tls,
                dialogs=dialogs,
                reg_event=reg_event,
            )
        )
        config = self.network.folder / f"agent-{name}" / "agent.yaml"
        config.parent.mkdir()
        made = {"sip": {**ways.sip(doors, host), **(sip or {})}, **entry}
        if dialogs:
            made["kamailio"] = {"rpc": f"{host}:{SIP}", "dialogs": True, "resync_s": 5}
        if reg_event:
            made["kamailio"] = {"rpc": f"{host}:{SIP}", "reg_event": f"{guard}:5071", "resync_s": 3_600}
        config.write_text(json.dumps(agent_configuration(name, guard, host, **made)))
        self.join(name, config)
        words = [self._program("pbx-agent"), "run", "--config", str(config)]
        sockets = [activated_socket(self.network, doors[way], way) for way in doors] if activated else []
        agent = Command(
            self.network,
            f"agent-{name}",
            words,
            ready="agent.ready",
            environment=environment,
            sockets=sockets,
        )
        site = Site(name, (guard, SIP), registrar, agent, self.network, doors, ways)
        self.sites[name] = site
        if start:
            self.network.start(agent)
            until(lambda: site.granted() or self.state(name) == "in_sync", what=f"{name} has its answer")
        return site

    def before(
        self, asterisk: Asterisk, name: str, entry: Mapping[str, Any] | None = None, **settings: Any
    ) -> Site:
        """Start an agent in front of an Asterisk that runs.

        `entry` are more keys of agent.yaml, `settings` more of its section.
        """
        guard, config = self.network.address(), self.network.folder / f"agent-{name}" / "agent.yaml"
        config.parent.mkdir()
        (config.parent / "asterisk.secret").write_text(f"{SECRET}\n")
        manager = f"{asterisk.host}:{MANAGER_PORT}"
        observed = {"manager": manager, "user": "pbx-agent", "secret": "asterisk.secret", **settings}
        made = agent_configuration(name, guard, asterisk.host, asterisk=observed, **(entry or {}))
        config.write_text(json.dumps(made))
        self.join(name, config)
        words = [self._program("pbx-agent"), "run", "--config", str(config)]
        agent = Command(self.network, f"agent-{name}", words, ready="agent.ready")
        pbx: Any = asterisk  # of a registrar its sites ask host and contacts
        site = Site(name, (guard, SIP), pbx, agent, self.network, {"udp": (guard, SIP)}, Ways())
        self.sites[name] = site
        self.network.start(agent)
        until(lambda: self.state(name) == "in_sync", what=f"{name} in sync")
        return site

    def agent(
        self, name: str, pbxs: Mapping[str, Registrar], entries: Mapping[str, Mapping[str, Any]] | None = None
    ) -> dict[str, Site]:
        """Start one agent in front of these PBXs, each with a listener and an enrolment of its own.

        `entries` are more keys of agent.yaml, by PBX.
        """
        folder = self.network.folder / name
        folder.mkdir()
        guards = {pbx: self.network.address() for pbx in pbxs}
        more = entries or {}
        made = [
            agent_configuration(pbx, guards[pbx], pbxs[pbx].host, **more.get(pbx, {}))["pbxs"][0]
            for pbx in pbxs
        ]
        (folder / "agent.yaml").write_text(json.dumps({"data": "data", "pbxs": made}))
        for pbx in pbxs:
            self.join(pbx, folder / "agent.yaml")
        words = [self._program("pbx-agent"), "run", "--config", str(folder / "agent.yaml")]
        agent = self.network.start(Command(self.network, name, words, ready="agent.ready"))
        sites = {
            pbx: Site(
                pbx, (guards[pbx], SIP), pbxs[pbx], agent, self.network, {"udp": (guards[pbx], SIP)}, Ways()
            )
            for pbx in pbxs
        }
        self.sites |= sites
        until(lambda: {self.state(pbx) for pbx in sites} == {"in_sync"}, what=f"{name} in sync")
        return sites

    def _address(self, way: str, version4: str | None) -> str:
        """An address for this way, of IPv6 when its name ends so."""
        if way.endswith("6"):
            return self.network.address6()
        return version4 or self.network.address()

    def join(self, name: str, config: Any) -> None:
        """Invite, and join by the line an administrator types."""
        line = self.order("invites", {"pbx": name})["command"].split()
        typed([*line, "--config", str(config)], self.network)

    def state(self, name: str) -> str:
        """The state that the agent of this site gives itself."""
        state: str = self.sites[name].told()["state"]
        return state

    def bypass(self, name: str, *words: str) -> None:
        """`pbx-agent bypass` at this site: `--for 4h`, or `--off`."""
        run("pbx-agent", "bypass", *words, "--config", str(self.sites[name].agent.folder / "agent.yaml"))

    def command(self, *words: str) -> str:
        """`licence-master WORDS` of this house; what it printed."""
        return run("licence-master", *words, "--config", str(self.config))

    def logged(self, event: str) -> list[dict[str, Any]]:
        """What the master has logged of this event since its last start."""
        lines = [json.loads(line) for line in self.master.lines if line.startswith("{")]
        return [line for line in lines if line["event"] == event]

    # --- asking the master

    def get(self, what: str) -> Any:
        """GET below the installation, through the admin socket."""
        return ask(*self._route(what))

    def order(self, what: str, body: Mapping[str, Any]) -> Any:
        """POST below the installation, through the admin socket."""
        return order(*self._route(what), body)

    def _route(self, what: str) -> tuple[Path, str]:
        return self.folder / "data" / "admin.sock", f"/api/v1/installations/{INSTALLATION}/{what}"

    def row(self, what: str, pbx: str) -> Any:
        """The first row of an answer that belongs to this PBX, or None."""
        return next((row for row in self.get(what) if row["pbx"] == pbx), None)

    def pool(self, name: str) -> Any:
        """One row of the pools."""
        return next(row for row in self.get("pools") if row["pool"] == name)

    def events(self, name: str) -> list[tuple[str, str | None]]:
        """What the agents reported of an object, newest first: (event, code)."""
        return [(row["event"], row["code"]) for row in self.get("events") if row["object"] == name]

    def granted(self) -> dict[str, int]:
        """Units on record of each site, all classes together."""
        rows = self.get("shares")
        return {name: sum(row["granted"] for row in rows if row["pbx"] == name) for name in self.sites}

    def most_lent(self, pool: str = "port") -> int:
        """The most units of a pool that were ever lent at once, by the ledger since its beginning."""
        lent: dict[tuple[str, str], int] = {}
        most = 0
        for row in reversed(self.get("history?limit=10000")):
            if row["event"] == "share.changed":
                facts = row["facts"]
                lent[facts["agent"], facts["class"]] = facts.get("drawn", {}).get(pool, 0)
                most = max(most, sum(lent.values()))
        return most

    def assert_books_agree(self) -> None:
        """What the running agents may use is on record for them, and no pool is lent beyond its licences."""
        running = {name: site for name, site in self.sites.items() if site.agent.running}
        before = {name: site.usable() for name, site in running.items()}
        on_record = self.granted()
        usable = {name: min(before[name], site.usable()) for name, site in running.items()}  # it may fall
        assert all(units <= on_record[name] for name, units in usable.items()), (usable, on_record)
        self.assert_never_over()

    def used(self, pool: str = "port") -> int:
        """Units of a pool that the agents reported as used."""
        used: int = self.pool(pool)["used"]
        return used

    def wait_used(self, count: int, pool: str = "port", within_s: float = 10.0) -> None:
        """Wait until the agents have reported this use."""
        until(lambda: self.used(pool) == count, within_s, f"{count} used of {pool}")

    def assert_never_over(self) -> None:
        """Lent units do not exceed what is usable, in any pool."""
        for row in self.get("pools"):
            assert row["used"] <= row["lent"] <= row["usable"], row
