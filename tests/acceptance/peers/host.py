"""A machine of its own beside a network, whose packets arrive there as from outside.

What a program sends to an address of its own machine never comes in from outside, so rules for arriving
packets (nft prerouting) are tried from here. The network is the host's router.
"""

from tests.acceptance.peers.nat import Annex
from tests.acceptance.peers.network import Network


class Host(Annex):
    """Behind a cable to `beside`, as 10.77.<number>.254 and fd77:<number>::254; `beside` is .1 there."""

    def __init__(self, beside: Network, name: str, number: int) -> None:
        """Describe it; nothing is started before `with` (or `network.start`)."""
        super().__init__(beside, name)
        self._name = name
        self._number = number

    def _furnish(self) -> None:
        super()._furnish()
        near, number, beside = f"{self._name}0", self._number, self._beside
        self.link(beside, "eth0", near)
        for network, device, last in ((beside, near, 1), (self, "eth0", 254)):
            network.ip("address", f"add 10.77.{number}.{last}/24 dev {device}")
            network.ip("-6", f"address add fd77:{number}::{last}/64 dev {device} nodad")
        self.ip("route", f"add default via 10.77.{number}.1")
        self.ip("-6", f"route add default via fd77:{number}::1")
        beside.run(["sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward"])

    def address(self) -> str:
        """Return a fresh IPv4 address of this host: 10.77.<number>.2, .3, …"""
        self._last_address += 1
        address = f"10.77.{self._number}.{self._last_address}"
        self.ip("address", f"add {address}/24 dev eth0")
        return address
