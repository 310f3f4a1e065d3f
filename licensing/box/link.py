"""Links, neighbours and ways of a host as its kernel tells them, and which links are hardware.

Addresses are in normal form (`0090330102ab`), empty where there is none. `index` is the kernel's number.
"""

from dataclasses import dataclass
from typing import Final, Literal

from licensing.installation import printed_mac

HARDWARE_BUSES: Final = frozenset(("pci", "usb", "platform", "virtio"))

# RFC 4861 7.3.2 and its like for IPv4, as the kernel numbers them (linux/neighbour.h).
ANSWERED: Final = 0x02 | 0x04 | 0x08 | 0x10  # reachable, stale, delay, probe: it answered once
REACHABLE: Final = 0x02  # it answered within the last half minute or so
WRITTEN: Final = 0x40 | 0x80  # noarp, permanent: nobody ever asked


@dataclass(frozen=True, slots=True)
class Link:
    """One interface; `permanent` is the address burnt in, which no program can set (IFLA_PERM_ADDRESS).

    `bus` is that of its device, `kind` what makes a link of software (`veth`, `bridge`, `vlan`, …);
    `by_hand`: somebody set its address (addr_assign_type 3), None: not known.
    """

    index: int
    name: str
    address: str
    permanent: str = ""
    bus: str = ""
    kind: str = ""
    by_hand: bool | None = None

    @property
    def physical(self) -> bool:
        """Whether there is hardware behind it, or what a hypervisor gives out as such."""
        return bool(self.permanent) and self.bus in HARDWARE_BUSES and not self.kind

    @property
    def given(self) -> bool:
        """Whether its permanent address is a hypervisor's word: virtio, or administered locally (802)."""
        return self.physical and (self.bus == "virtio" or local(self.permanent))

    @property
    def words(self) -> str:
        """What its address proves, for people."""
        if self.kind:
            return f"{self.kind}: a link of software, proves nothing"
        if not self.physical:
            return "no permanent address: proves nothing"
        if self.address != self.permanent:
            return f"hardware; its address was changed, the permanent one is {printed_mac(self.permanent)}"
        if self.given:
            return "virtual hardware: proves what the hypervisor set"
        return "hardware: its permanent address is proven"


@dataclass(frozen=True, slots=True)
class Neighbour:
    """One row of the neighbour table: which MAC answers for an address on a link; `state` as NUD bits."""

    link: int
    address: str
    mac: str
    state: int


@dataclass(frozen=True, slots=True)
class Way:
    """How this host reaches an address: it is its own, a neighbour's, behind a router, or out of reach."""

    kind: Literal["here", "neighbour", "routed", "none"]
    address: str
    link: int = 0
    router: str = ""


def local(mac: str) -> bool:
    """Whether the address is administered locally: somebody chose it, no maker did (IEEE 802)."""
    return bool(mac) and bool(int(mac[:2], 16) & 2)
