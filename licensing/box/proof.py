"""What links, neighbours, a certificate and a statement prove about the MAC of one box (1.4, L.r36).

The first that says anything decides: the permanent address of this very host, what answers on the same
network, the certificate that the device shows, the administrator's statement. Only the absence of evidence
leaves room for the next; what speaks against a MAC is not outvoted.
"""

from dataclasses import dataclass, field

from licensing.box.link import ANSWERED, REACHABLE, WRITTEN, Link, Neighbour, Way
from licensing.box.machine import Machine
from licensing.box.sighting import MAX_MACS, MAX_WHY, MacState, Proof, Sighting
from licensing.installation import normal_mac, printed_mac

UNASKED = "master.yaml names no MAC of this PBX"


@dataclass(frozen=True, slots=True)
class Sight:
    """The links, neighbours and machine of a host at one moment, and its way to each address asked for.

    `certified` is the MAC that the certificate of an address names, empty where it shows none that we trust.
    """

    links: tuple[Link, ...] = ()
    neighbours: tuple[Neighbour, ...] = ()
    ways: tuple[Way, ...] = ()
    machine: Machine = field(default_factory=Machine)
    certified: tuple[tuple[str, str], ...] = ()

    def way(self, address: str) -> Way:
        """The way to an address."""
        return next((way for way in self.ways if way.address == address), Way("none", address))

    def neighbour(self, way: Way) -> Neighbour | None:
        """The row of the neighbour table that this way ends at."""
        return next((n for n in self.neighbours if (n.link, n.address) == (way.link, way.address)), None)

    def answers(self, way: Way) -> bool:
        """Whether somebody answers there."""
        row = self.neighbour(way)
        return row is not None and bool(row.mac) and bool(row.state & ANSWERED)

    def name_of(self, index: int) -> str:
        """The name of a link."""
        return next((link.name for link in self.links if link.index == index), f"link {index}")


def prove(sight: Sight, address: str, mac: str, *, virtual: bool = False, statement: str = "") -> Sighting:
    """What is known of the box at `address`, which should have `mac` (normal form; empty: not known).

    `virtual`: the box is a virtual machine by the master's configuration, whose MAC a hypervisor sets.
    """
    way = sight.way(address)
    found = _here(sight, mac, virtual) if way.kind == "here" else _there(sight, way, mac)
    if found.state in ("unseen", "unprovable"):
        found = _by_certificate(sight, address, mac) or found
        if found.state in ("unseen", "unprovable") and statement and mac:
            found = Sighting(mac, "stated", "statement", why=f"the administrator's statement: {statement}")
    return found


# This host


def _here(sight: Sight, mac: str, virtual: bool) -> Sighting:
    """The box is this host: only a permanent address proves, whatever the links show."""
    seen = tuple(link.permanent for link in sight.links if link.physical)[:MAX_MACS]
    shown = {link.address for link in sight.links if link.address.strip("0")} - {*seen}
    state, why = _of_links(sight, mac, virtual)
    proof: Proof = "permanent" if state == "proven" else ""
    return Sighting(mac, state, proof, seen, tuple(sorted(shown))[:MAX_MACS], why=why[:MAX_WHY])


def _of_links(sight: Sight, mac: str, virtual: bool) -> tuple[MacState, str]:
    physical = [link for link in sight.links if link.physical]
    if not mac:
        return "unprovable", UNASKED
    for link in physical:
        if link.permanent == mac:
            return _permanent(link, virtual, on_a_virtual_machine=bool(sight.machine.virtual))
    for link in sight.links:
        if link.address == mac:
            return _shown_only(link)
    if not physical:
        return "unprovable", "no interface of this host has a permanent address"
    found = ", ".join(f"{link.name} {printed_mac(link.permanent)}" for link in physical)
    return "changed", f"this host has other interfaces: {found}"


def _permanent(link: Link, virtual: bool, *, on_a_virtual_machine: bool) -> tuple[MacState, str]:
    if (link.given or on_a_virtual_machine) and not virtual:
        return "unprovable", f"{link.name} of this host is virtual: it proves only what the hypervisor set"
    now = "" if link.address == link.permanent else f", though it shows {printed_mac(link.address)} now"
    return "proven", f"permanent address of {link.name}{now}"


def _shown_only(link: Link) -> tuple[MacState, str]:
    """Somebody gave a link this address; where there is hardware that has another one, it is a lie."""
    if link.physical:
        return "spoofed", f"{link.name} shows it, and its permanent address is {printed_mac(link.permanent)}"
    if link.by_hand and not link.kind:
        return "spoofed", f"{link.name} shows it since somebody set it"
    return "unprovable", f"{link.name} shows it, and has no permanent address: anybody could have set it"


# Another host


def _there(sight: Sight, way: Way, mac: str) -> Sighting:
    """The box is another host: its MAC is seen where it is a neighbour, and nowhere else."""
    if way.kind == "none":
        return Sighting(mac, "unseen", why=f"there is no way to {way.address}")
    if way.kind == "routed":
        why = f"{way.address} is behind the router {way.router}: its MAC cannot be seen from here"
        return Sighting(mac, "unprovable", why=why)
    name = sight.name_of(way.link)
    row = sight.neighbour(way)
    if row is not None and row.state & WRITTEN:
        why = f"{way.address} stands in the neighbour table of {name} by hand: nobody asked the box"
        return Sighting(mac, "unprovable", why=why)
    if row is None or not sight.answers(way):
        return Sighting(mac, "unseen", why=f"{way.address} has not answered on {name}")
    if not mac:
        return Sighting("", "unprovable", seen=(row.mac,), why=UNASKED)
    if row.mac != mac:
        why = f"{way.address} on {name} answers with {printed_mac(row.mac)}"
        return Sighting(mac, "changed", seen=(row.mac,), why=why)
    twin = _twin(sight, row)
    if twin:
        return Sighting(
            mac, "cloned", seen=(mac,), why=f"{way.address} on {name} answers with it, and {twin}"
        )
    why = f"neighbour {way.address} on {name} answers with it"
    return Sighting(mac, "proven", "neighbour", (mac,), why=why)


def _twin(sight: Sight, row: Neighbour) -> str:
    """Where else this MAC is: on a link of ours, or with a neighbour of another link.

    On one link a second address is no second box, and VLANs of one cable show one box twice. Rows outlive a
    box that went elsewhere, so both must have answered just now.
    """
    for link in sight.links:
        if link.address == row.mac:
            return f"{link.name} of this host shows it too"
    vlans = {link.index for link in sight.links if link.kind == "vlan"}
    for other in sight.neighbours:
        elsewhere = other.link != row.link and not {other.link, row.link} & vlans
        if other.mac == row.mac and elsewhere and other.state & row.state & REACHABLE:
            return f"{other.address} on {sight.name_of(other.link)} too"
    return ""


# The device's own word


def _by_certificate(sight: Sight, address: str, mac: str) -> Sighting | None:
    """What the device proved by its private key; None: it showed no certificate of ours."""
    named = normal_mac(dict(sight.certified).get(address, ""))
    if not named or not mac:
        return None
    state: MacState = "proven" if named == mac else "changed"
    proof: Proof = "certificate" if named == mac else ""
    why = f"the certificate that {address} shows names {printed_mac(named)}"
    return Sighting(mac, state, proof, (named,), why=why)
