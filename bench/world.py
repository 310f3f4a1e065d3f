"""What the benchmarks stand on: the shipped programs, started as a user starts them, in their own network.

A namespace has its own loopback: no port is taken, and two runs on one machine do not hear each other.
"""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from agent.edges.local_client import ask
from tests.acceptance.house import AGENTS, House
from tests.acceptance.peers.installed import own_command
from tests.acceptance.peers.network import Network, program
from tests.acceptance.peers.processes import Command
from tests.acceptance.peers.waiting import until
from tests.acceptance.site import SIP, agent_configuration

ROOT = Path(__file__).parent.parent
LOAD_CORE, SERVER_CORE = 0, 1
PINNED = (program("taskset"), "-c", str(SERVER_CORE))
RELEASE = 13
# All phones of a load send from one address: counted as ever, but allowed what 1,000 addresses would be.
LIMITS = {"messages_per_s": 100_000, "burst": 1_000_000}


class Joining(msgspec.Struct, frozen=True):
    """One agent to enrol: where, by which token, into which data directory."""

    url: str
    token: str
    pin: str
    data: str


def names(sites: int) -> list[str]:
    """The PBXs of an installation; the first is its master PBX."""
    return [f"site{number:02}" for number in range(1, sites + 1)]


def master(network: Network, sites: int, ports: int) -> House:
    """A licence master that serves, with so many gateways and Port licences."""
    pbxs = dict.fromkeys(names(sites), "gateway")
    return House(network, {f"PBX-Port{RELEASE}": ports}, pbxs, installed=True).build()


def enrol(house: House, data: Mapping[str, Path]) -> None:
    """Let the agents of these PBXs join, each into its data directory, by one process."""
    joinings = [_joining(house, pbx, directory) for pbx, directory in data.items()]
    command = house.network.inside([sys.executable, "-m", "bench.enrol"])
    subprocess.run(command, input=msgspec.json.encode(joinings), cwd=ROOT, check=True)


def _joining(house: House, pbx: str, data: Path) -> Joining:
    invited = house.order("invites", {"pbx": pbx})
    return Joining(f"https://{house.host}:{AGENTS}", invited["token"], invited["pin"], str(data))


class Agent(Command):
    """`pbx-agent run` for one PBX; its objects are users, each AOR one."""

    def __init__(
        self,
        network: Network,
        pbx: str,
        registrar: tuple[str, int],
        *,
        prefix: Sequence[str] = (),
        **entry: Any,
    ) -> None:
        """Write its agent.yaml with the keys in `entry`; it can be enrolled then, and started after that."""
        self.pbx = pbx
        self.address = (network.address(), SIP)
        home = network.folder / f"agent-{pbx}"
        home.mkdir()
        self.config = home / "agent.yaml"
        self.data = home / "data"
        made = agent_configuration(pbx, self.address[0], registrar[0], **entry)
        made["pbxs"][0]["sip"]["limits"] = LIMITS
        self.config.write_bytes(msgspec.json.encode(made))
        words = [*prefix, own_command("pbx-agent"), "run", "--config", str(self.config)]
        super().__init__(network, f"agent-{pbx}", words)

    def wait_ready(self) -> None:
        """Return when it serves."""
        self.wait_for("agent.ready", 30.0)

    def status(self) -> Any:
        """Its state and counts, as `pbx-agent status --json` shows them."""
        return ask(self.data, "/status")["pbxs"][0]


def wait_in_sync(agents: Sequence[Agent]) -> None:
    """Return when each of the agents serves and has heard from its master."""
    for agent in agents:
        agent.wait_ready()
    until(lambda: all(agent.status()["state"] == "in_sync" for agent in agents), 30.0, "every agent in sync")


def pin(process: int, core: int) -> None:
    """Keep a running process, all its threads, on one core."""
    for thread in os.listdir(f"/proc/{process}/task"):
        os.sched_setaffinity(int(thread), {core})
