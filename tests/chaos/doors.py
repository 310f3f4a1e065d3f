"""The chaos proxy as tests hold it: a process inside a network, told what to do while it runs."""

import socket
import sys

import msgspec

from tests.acceptance.peers.installed import ROOT
from tests.acceptance.peers.network import Network
from tests.acceptance.peers.processes import Command
from tests.chaos.proxy import Address, Order, Report
from tests.chaos.weather import CALM, Weather

ANSWERS_WITHIN_S = 5.0


class Doors(Command):
    """The proxy's process; each door has a name, an address of its own and a weather."""

    def __init__(self, network: Network, seed: int) -> None:
        self._control = network.folder / "proxy.sock"
        words = [sys.executable, "-m", "tests.chaos.proxy", str(self._control), str(seed)]
        environment = {"PYTHONPATH": str(ROOT)}
        super().__init__(network, "proxy", words, ready="proxy.ready", environment=environment)

    def udp(self, door: str, listen: Address, to: Address, *, source: str | None = None) -> None:
        """Open a door for datagrams."""
        self._order(Order(door=door, kind="udp", listen=listen, to=to, source=source))

    def tcp(self, door: str, listen: Address, to: Address, *, source: str | None = None) -> None:
        """Open a door for streams."""
        self._order(Order(door=door, kind="tcp", listen=listen, to=to, source=source))

    def weather(self, door: str, *, there: Weather = CALM, back: Weather = CALM) -> None:
        """From now on it is like this, for connections that are there too."""
        self._order(Order(door=door, there=there, back=back))

    def drop(self, door: str) -> None:
        """Reset every connection of a door."""
        self._order(Order(door=door, drop=True))

    def report(self, door: str) -> Report:
        """What passed it until now."""
        return self._order(Order(door=door))

    def _order(self, order: Order) -> Report:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            client.settimeout(ANSWERS_WITHIN_S)
            client.connect(str(self._control))
            client.sendall(msgspec.json.encode(order) + b"\n")
            with client.makefile("rb") as answers:
                return msgspec.json.decode(answers.readline(), type=Report)
