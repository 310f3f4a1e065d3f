"""What links, neighbours, certificates and statements prove of a MAC: recordings, tables, any links.

Machines that tests run on have virtual links alone: that a permanent address proves anything is shown here,
with recorded and made links.
"""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from licensing.box.link import Link, Neighbour, Way
from licensing.box.machine import Machine, machine
from licensing.box.proof import Sight, prove
from licensing.box.sighting import Sighting
from licensing.installation import normal_mac

RECORDED = Path(__file__).parent / "netlink"
MAC, OTHER, THIRD = "009033010203", "00903301ffff", "0090330a0b0c"
HERE = Way("here", "10.0.0.1", 1)
NEAR = Way("neighbour", "10.0.0.2", 2)
FAR = Way("routed", "10.9.0.9", 2, "10.0.0.254")
ETH0 = Link(2, "eth0", OTHER, OTHER, "pci")


def recorded(name: str) -> tuple[Link, ...]:
    """The links of a recording."""
    rows = [json.loads(line) for line in (RECORDED / name).read_text().splitlines() if line.startswith("{")]
    return tuple(
        Link(
            row["idx"],
            row["name"],
            normal_mac(row["address"]) or "",
            normal_mac(row.get("perm", "")) or "",
            row.get("parent_bus", ""),
            row.get("kind", ""),
        )
        for row in rows
    )


def here(*links: Link, mac: str = MAC, virtual: bool = False, on: Machine | None = None) -> Sighting:
    """The box is a host with these links."""
    return prove(Sight(links, ways=(HERE,), machine=on or Machine(False)), HERE.address, mac, virtual=virtual)


def there(
    *rows: Neighbour,
    way: Way = NEAR,
    links: tuple[Link, ...] = (ETH0,),
    certified: str = "",
    statement: str = "",
) -> Sighting:
    """The box is at the end of this way, and the neighbour table says so."""
    sight = Sight(links, rows, (way,), certified=((way.address, certified),))
    return prove(sight, way.address, MAC, statement=statement)


def row(mac: str, state: int = 2, address: str = NEAR.address, link: int = 2) -> Neighbour:
    return Neighbour(link, address, mac, state)


# ---- this host


def test_a_permanent_address_proves_whatever_the_link_shows() -> None:
    card = Link(2, "eth0", MAC, MAC, "pci")
    assert here(card) == Sighting(MAC, "proven", "permanent", (MAC,), why="permanent address of eth0")
    slave = here(replace(card, address=OTHER))  # a bond gives all its cards one address
    assert (slave.state, slave.why) == (
        "proven",
        "permanent address of eth0, though it shows 00-90-33-01-ff-ff now",
    )


def test_an_address_that_is_only_shown_is_spoofed() -> None:
    found = here(Link(2, "eth0", MAC, OTHER, "pci"))
    assert (found.state, found.proof) == ("spoofed", "")
    assert found.why == "eth0 shows it, and its permanent address is 00-90-33-01-ff-ff"
    assert here(Link(2, "eth0", MAC, by_hand=True)).state == "spoofed"


def test_another_card_is_another_box() -> None:
    found = here(ETH0)
    assert (found.state, found.seen) == ("changed", (OTHER,))
    assert found.why == "this host has other interfaces: eth0 00-90-33-01-ff-ff"


@pytest.mark.parametrize("name", ["links-before.txt", "links-after.txt"])
def test_links_of_software_prove_nothing(name: str) -> None:
    """Recorded: veth, bridge, ifb, macvlan; a bridge shows the address of its port."""
    links = recorded(name)
    assert not any(link.physical for link in links)
    for link in links:
        assert here(*links, mac=link.address).state == "unprovable"


def test_a_virtual_card_proves_what_the_hypervisor_set() -> None:
    """Recorded: virtio; enough for a PBX that is virtual by configuration, and for no gateway."""
    links = recorded("links-virtio.txt")
    (card,) = [link for link in links if link.physical]
    assert card.given
    assert here(*links, mac=card.permanent).state == "unprovable"
    assert here(*links, mac=card.permanent, virtual=True).state == "proven"
    real = Link(2, "ens1", MAC, MAC, "pci")
    assert here(real, on=Machine(True)).state == "unprovable"  # a card that is passed through, or emulated


# ---- a neighbour


@pytest.mark.parametrize(
    ("rows", "state", "why"),
    [
        ((row(MAC),), "proven", "neighbour 10.0.0.2 on eth0 answers with it"),
        ((row(MAC, 4),), "proven", "neighbour 10.0.0.2 on eth0 answers with it"),
        ((row(OTHER),), "changed", "10.0.0.2 on eth0 answers with 00-90-33-01-ff-ff"),
        ((row(MAC, 32),), "unseen", "10.0.0.2 has not answered on eth0"),
        ((row("", 1),), "unseen", "10.0.0.2 has not answered on eth0"),
        ((), "unseen", "10.0.0.2 has not answered on eth0"),
        ((row(MAC, link=3),), "unseen", "10.0.0.2 has not answered on eth0"),
        (
            (row(MAC, 128),),
            "unprovable",
            "10.0.0.2 stands in the neighbour table of eth0 by hand: nobody asked the box",
        ),
    ],
)
def test_a_neighbour_is_known_by_its_answer(rows: tuple[Neighbour, ...], state: str, why: str) -> None:
    found = there(*rows)
    assert (found.state, found.why) == (state, why)


def test_behind_a_router_the_routers_mac_says_nothing() -> None:
    found = there(row(MAC, address=FAR.router), row(MAC, address=FAR.address), way=FAR)
    assert (found.state, found.seen) == ("unprovable", ())
    assert found.why == "10.9.0.9 is behind the router 10.0.0.254: its MAC cannot be seen from here"


def test_a_second_box_with_the_mac_is_a_clone() -> None:
    twin = row(MAC, address="10.1.0.2", link=3)
    found = there(row(MAC), twin)
    assert (found.state, found.why) == (
        "cloned",
        "10.0.0.2 on eth0 answers with it, and 10.1.0.2 on link 3 too",
    )
    assert there(row(MAC), row(MAC, address="10.0.0.7")).state == "proven"  # one box with two addresses
    assert there(row(MAC), replace(twin, state=4)).state == "proven"  # a row that outlived its box
    vlan = Link(3, "eth0.7", OTHER, kind="vlan")
    assert there(row(MAC), twin, links=(ETH0, vlan)).state == "proven"  # one box, seen on two VLANs
    assert there(row(MAC), links=(ETH0, Link(4, "eth1", MAC))).state == "cloned"  # this very host


def test_the_recorded_neighbour_changes_its_mac() -> None:
    """Nothing comes before it sends; then one event with its new address."""
    states = []
    for line in (RECORDED / "events.jsonl").read_text().splitlines():
        event = json.loads(line)
        if event["event"] == "RTM_NEWNEIGH" and event["dst"] == "10.78.0.2":
            mac = normal_mac(event["ll"] or "") or ""
            sight = Sight((ETH0,), (Neighbour(2, "10.78.0.2", mac, event["nstate"]),))
            way = Way("neighbour", "10.78.0.2", 2)
            states.append(prove(replace(sight, ways=(way,)), way.address, "0090331a0001").state)
    assert states == ["proven", "changed", "unseen", "changed", "changed"]


# ---- what is left where nothing is seen


def test_the_order_of_proofs() -> None:
    """A certificate and a statement fill a gap; what is seen is not outvoted by either."""
    said = "label read by A. Martin"
    assert there(way=FAR, statement=said).state == "stated"
    assert there(way=FAR, certified=MAC, statement=said).proof == "certificate"
    assert there(way=FAR, certified=OTHER, statement=said).state == "changed"
    assert there(row(OTHER), certified=MAC, statement=said).state == "changed"
    assert there(statement=said).why == "the administrator's statement: label read by A. Martin"


def test_what_is_there_is_told_also_when_nothing_is_looked_for() -> None:
    assert prove(Sight((ETH0,), (row(MAC),), (NEAR,)), NEAR.address, "").seen == (MAC,)
    assert here(ETH0, mac="").seen == (OTHER,)


LINKS = st.builds(
    Link,
    st.integers(1, 4),
    st.sampled_from(["eth0", "br0"]),
    st.sampled_from([MAC, OTHER, THIRD]),
    st.sampled_from(["", MAC, OTHER]),
    st.sampled_from(["", "pci", "virtio"]),
    st.sampled_from(["", "", "bridge"]),
    st.sampled_from([None, True, False]),
)
ROWS = st.builds(
    Neighbour,
    st.integers(1, 3),
    st.sampled_from([NEAR.address, FAR.address, FAR.router, HERE.address]),
    st.sampled_from(["", MAC, OTHER]),
    st.sampled_from([1, 2, 4, 32, 64, 128]),
)


@given(st.lists(LINKS, max_size=4), st.lists(ROWS, max_size=4), st.sampled_from([HERE, NEAR, FAR]))
def test_a_proof_has_its_evidence(links: list[Link], rows: list[Neighbour], way: Way) -> None:
    """Never a silent yes: `proven` stands on a permanent address here, or on a row of that neighbour."""
    found = prove(Sight(tuple(links), tuple(rows), (way,)), way.address, MAC)
    if found.state == "proven" and way is HERE:
        assert any(link.permanent == MAC and link.bus == "pci" and not link.kind for link in links)
    elif found.state == "proven":
        assert any(r.mac == MAC and (r.link, r.address) == (way.link, way.address) for r in rows)
    if way is FAR:
        assert (found.state, found.seen) == ("unprovable", ())
    assert found.why


# ---- the machine


@pytest.mark.parametrize(
    ("vendor", "product", "hypervisor", "virtual"),
    [
        ("Dell Inc.", "PowerEdge R640", False, False),
        ("VMware, Inc.", "VMware Virtual Platform", False, True),
        ("QEMU", "Standard PC (Q35 + ICH9, 2009)", False, True),
        ("Microsoft Corporation", "Virtual Machine", False, True),
        ("Microsoft Corporation", "Surface Pro", False, False),
        ("", "", True, True),  # a machine without DMI, whose processor names a hypervisor
        ("", "", False, None),
    ],
)
def test_real_or_virtual(vendor: str, product: str, hypervisor: bool, virtual: bool | None) -> None:
    assert machine(vendor, product, hypervisor=hypervisor, id_="").virtual is virtual
