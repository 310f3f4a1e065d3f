"""A private network behind a router that masquerades (nftables): two namespaces beside that of a `Network`.

The router's conntrack forgets a silent flow after `forgets_s`, so that tests need not wait half a minute.
"""

from pathlib import Path

from tests.acceptance.peers.network import Network, program

OUTSIDE, ROUTER, INSIDE = "10.78.0.1", "10.78.0.2", "192.168.77"
MASQUERADE = """table ip nat {
  chain post {
    type nat hook postrouting priority srcnat
    oifname "wan" masquerade
  }
}
"""


class Annex(Network):
    """A namespace of its own, of the same user as `beside`."""

    def __init__(self, beside: Network, name: str) -> None:
        """Remember the other; nothing is started before `with`."""
        super().__init__(beside.folder / name)
        self._beside = beside

    def _unshared(self) -> list[str]:
        return self._beside.inside([program("unshare"), "--net"])

    def _furnish(self) -> None:
        self.ip("link", "set lo up")

    def link(self, other: Network, here: str, there: str) -> None:
        """Lay a cable from the interface `here` to the interface `there` of the other namespace."""
        self.ip("link", f"add {here} type veth peer name {there} netns {other.pid}")
        for network, name in ((self, here), (other, there)):
            network.ip("link", f"set {name} up")


class Router(Annex):
    """Between a network (interface `nat0` there) and a private one."""

    def __init__(self, outside: Network, forgets_s: int) -> None:
        """Remember how long it keeps a silent flow."""
        super().__init__(outside, "router")
        self._forgets_s = forgets_s

    def _furnish(self) -> None:
        super()._furnish()
        self.link(self._beside, "wan", "nat0")
        self._beside.ip("address", f"add {OUTSIDE}/24 dev nat0")
        self.ip("address", f"add {ROUTER}/24 dev wan")
        self.ip("route", f"add default via {OUTSIDE}")
        rules = self.folder / "masquerade.nft"
        rules.write_text(MASQUERADE)
        self.run([program("nft"), "-f", str(rules)])
        self._set("net/ipv4/ip_forward", 1)
        self.forget_after(self._forgets_s)

    def forget_after(self, silent_s: int) -> None:
        """Keep a flow for so long after its next packet."""
        for timeout in ("udp_timeout", "udp_timeout_stream"):
            self._set(f"net/netfilter/nf_conntrack_{timeout}", silent_s)

    def _set(self, name: str, value: int) -> None:
        self.run(["sh", "-c", f"echo {value} > {Path('/proc/sys') / name}"])

    @property
    def flows(self) -> int:
        """How many UDP flows it remembers."""
        return self.run(["cat", "/proc/net/nf_conntrack"]).count(" udp ")


class Lan(Annex):
    """The private network: its hosts reach everything outside through the router."""

    def __init__(self, router: Router) -> None:
        """Remember the router."""
        super().__init__(router, "lan")

    def _furnish(self) -> None:
        super()._furnish()
        self.link(self._beside, "lan1", "lan0")
        self._beside.ip("address", f"add {INSIDE}.1/24 dev lan0")
        self.address()
        self.ip("route", f"add default via {INSIDE}.1")

    def address(self) -> str:
        """Return a fresh address: 192.168.77.2, 192.168.77.3, …"""
        self._last_address += 1
        address = f"{INSIDE}.{self._last_address}"
        self.ip("address", f"add {address}/24 dev lan1")
        return address
