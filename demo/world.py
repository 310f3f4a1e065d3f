"""The demonstration's world: one licence master, two sites with an agent and a small PBX each, and phones.

Everything is a real program started as a user starts it, on loopback, in a folder of its own.
"""

import asyncio
import contextlib
import json
import os
import shutil
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from demo import kamailio
from demo.phone import Outcome, Phone
from demo.transaction import bound_socket

BIN = Path(sys.executable).parent
START_WITHIN_S = 20.0
LOOK_EVERY_S = 0.05


class DemoError(Exception):
    """Something that should have worked did not; the text says what, and where its log is."""


def free_port(host: str, kind: socket.SocketKind) -> int:
    """A port nobody uses at this moment."""
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port


def text(address: tuple[str, int]) -> str:
    """An address as configuration files and command lines write it."""
    return f"{address[0]}:{address[1]}"


@dataclass
class Site:
    """One PBX with its agent in front: the addresses of both."""

    name: str
    guard: tuple[str, int]
    pbx: tuple[str, int]
    phones_host: str
    phones: dict[str, Phone] = field(default_factory=dict)


class World:
    """All programs of the demonstration; `close` ends what it started and nothing else."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.programs: dict[str, asyncio.subprocess.Process] = {}
        self.agents_port = free_port("127.0.0.1", socket.SOCK_STREAM)
        self.admin_port = free_port("127.0.0.1", socket.SOCK_STREAM)
        self.sites = {
            "hq": self._site("hq", "127.0.0.2", "127.0.0.3", "127.0.0.6"),
            "lyon": self._site("lyon", "127.0.0.4", "127.0.0.5", "127.0.0.7"),
        }

    def _site(self, name: str, guard: str, pbx: str, phones: str) -> Site:
        udp = socket.SOCK_DGRAM
        return Site(name, (guard, free_port(guard, udp)), (pbx, free_port(pbx, udp)), phones)

    @property
    def master_yaml(self) -> Path:
        """The configuration of the licence master."""
        return self.folder / "master.yaml"

    def agent_yaml(self, name: str) -> Path:
        """The configuration of a site's agent."""
        return self.folder / name / "agent.yaml"

    def write(self, licences: str) -> None:
        """Write every configuration file, and the inventory of licences."""
        self.master_yaml.write_text(MASTER.format(agents=self.agents_port, admin=self.admin_port))
        (self.folder / "licences.yaml").write_text(licences)
        for site in self.sites.values():
            self.agent_yaml(site.name).parent.mkdir()
            self.agent_yaml(site.name).write_text(
                AGENT.format(name=site.name, guard=text(site.guard), pbx=text(site.pbx))
            )

    # --- programs

    async def command(self, *words: str) -> str:
        """Run one of our commands to its end and return what it printed; DemoError when it fails."""
        process = await asyncio.create_subprocess_exec(
            str(BIN / words[0]), *words[1:], stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        out, err = await process.communicate()
        if process.returncode:
            raise DemoError(f"{' '.join(words)}: exit code {process.returncode}\n{err.decode().strip()}")
        return out.decode()

    async def master(self, command: str, *words: str) -> Any:
        """Ask the licence master by its command line; the decoded JSON."""
        said = await self.command(
            "licence-master", command, *words, "--config", str(self.master_yaml), "--json"
        )
        return json.loads(said)

    async def status(self, name: str) -> Any:
        """`pbx-agent status --json` of a site's only PBX."""
        said = await self.command("pbx-agent", "status", "--config", str(self.agent_yaml(name)), "--json")
        return json.loads(said)["pbxs"][0]

    async def start(self, name: str, ready: bytes, *words: str) -> None:
        """Start a program and wait for the line of its log that holds `ready`."""
        log = self.folder / f"{name}.log"
        seen = log.stat().st_size if log.exists() else 0
        with log.open("ab") as sink:
            process = await asyncio.create_subprocess_exec(
                *words, stdin=asyncio.subprocess.DEVNULL, stdout=sink, stderr=sink, start_new_session=True
            )
        self.programs[name] = process

        def has_started() -> bool:
            if process.returncode is not None:
                raise DemoError(f"{name} ended with {process.returncode}: {log.read_text()[-2000:]}")
            return ready in log.read_bytes()[seen:]

        await until(has_started, f"{name} did not start; see {log}", START_WITHIN_S)

    async def start_master(self) -> None:
        """Start the licence master and wait until it serves."""
        words = (str(BIN / "licence-master"), "serve", "--config", str(self.master_yaml))
        await self.start("licence-master", b"master.ready", *words)

    async def start_site(self, site: Site) -> str:
        """Start a site's PBX, let its agent join, and start it; returns the name of the PBX program."""
        kind = await self._start_pbx(site)
        invitation = await self.master("invite", "--pbx", site.name)
        line: list[str] = invitation["command"].split()
        await self.command(*line, "--config", str(self.agent_yaml(site.name)))
        words = (str(BIN / "pbx-agent"), "run", "--config", str(self.agent_yaml(site.name)))
        await self.start(f"agent-{site.name}", b"agent.ready", *words)
        return kind

    async def _start_pbx(self, site: Site) -> str:
        program = shutil.which("kamailio", path=os.environ.get("PATH", "") + ":/usr/sbin")
        if program is None:
            address = text(site.pbx)
            await self.start(
                f"pbx-{site.name}", b"listening", sys.executable, "-m", "demo.pbx", "--listen", address
            )
            return "a small Python PBX (install kamailio for a real one)"
        folder = self.folder / f"kamailio-{site.name}"
        folder.mkdir()
        file = folder / "kamailio.cfg"
        file.write_text(kamailio.registrar(site.pbx))
        await self.start(f"pbx-{site.name}", kamailio.READY, *kamailio.command(program, file, folder))
        return "Kamailio"

    async def kill(self, name: str) -> None:
        """End a program as a crash does (SIGKILL), by its pid."""
        process = self.programs.pop(name)
        process.kill()
        await process.wait()

    # --- phones

    async def phone(self, site: Site, user: str) -> Phone:
        """A phone of this user at a site; one phone per user."""
        if user not in site.phones:
            sock = bound_socket((site.phones_host, 0))
            phone = Phone(user, sock.getsockname(), site.pbx, site.guard)
            loop = asyncio.get_running_loop()
            await loop.create_datagram_endpoint(lambda: phone, sock=sock)
            site.phones[user] = phone
        return site.phones[user]

    async def register(self, site: str, user: str) -> Outcome:
        """Let a phone register; returns the final answer."""
        phone = await self.phone(self.sites[site], user)
        return await phone.register(60)

    async def close(self) -> None:
        """End every program, newest first."""
        for site in self.sites.values():
            for phone in site.phones.values():
                phone.close()
        for process in reversed(self.programs.values()):
            with contextlib.suppress(ProcessLookupError):  # it has ended by itself
                process.terminate()
            await process.wait()


async def until(holds: Callable[[], bool], otherwise: str, within_s: float) -> None:
    """Look until a condition holds; DemoError with the text `otherwise` when time is over."""
    deadline = asyncio.get_running_loop().time() + within_s
    while not holds():
        if asyncio.get_running_loop().time() > deadline:
            raise DemoError(otherwise)
        await asyncio.sleep(LOOK_EVERY_S)


MASTER = """\
data: master
agents: {{listen: "127.0.0.1:{agents}"}}
admin: {{listen: "127.0.0.1:{admin}"}}
installations:
  - name: demo
    software: 13
    pbxs:
      - {{name: hq, role: master, platform: gateway, model: IP3011, mac: "00-90-33-01-02-03"}}
      - {{name: lyon, role: slave, platform: ipva, mac: "00-90-33-0a-0b-0c"}}
"""

AGENT = """\
data: data
pbxs:
  - name: {name}
    software: 13
    sip:
      listen: ["udp:{guard}"]
      advertise: "{guard}"
      pbx: "udp:{pbx}"
    objects:
      - {{kind: group, aor: ["11"]}}
      - {{kind: user, aor: ["*"]}}
"""
