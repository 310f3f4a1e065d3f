"""`pbx-agent hardware`: what this host can prove about itself and about the boxes beside it, in words."""

import asyncio
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pyroute2.netlink.exceptions import NetlinkError

from agent.config import AgentConfig, PbxEntry
from agent.edges import netlink
from agent.edges.device import asked
from agent.edges.local_client import NotRunningError, RefusedError, ask
from agent.options import DEFAULT_CONFIG, ConfigOption
from licensing.box.link import Way
from licensing.box.proof import Sight, prove
from licensing.box.sighting import CODES, Sighting
from licensing.codes import Code, hint
from licensing.installation import printed_mac
from runtime.cli import Exit, JsonFlag, fail, load_or_fail, print_json, table

NOT_TOLD = "the running agent knows which MAC to look for: start it, or let it reach its master"
NOTHING_BOUND = "no licence of this installation is bound to a MAC"

# Keys of the JSON and the columns of the tables.
LINKS = {"interface": "interface", "address": "address", "permanent": "permanent", "proves": "proves"}
PBXS = {
    "pbx": "pbx",
    "box": "box",
    "way": "way",
    "mac": "mac",
    "state": "state",
    "found": "found",
    "counts": "counts",
    "hint": "what would help",
}


def hardware(config: ConfigOption = DEFAULT_CONFIG, as_json: JsonFlag = False) -> None:
    """Show what can be proven of the MACs that licences are bound to, and what cannot, in words.

    Example: pbx-agent hardware --json
    """
    loaded = load_or_fail(config, AgentConfig)
    try:
        found = asyncio.run(examine(loaded, _told(loaded.data)))
    except (OSError, NetlinkError) as error:
        fail(Exit.UNREACHABLE, f"the kernel shows no links: {error}")
    if as_json:
        print_json(found)
        return
    print(f"This is {found['machine']['words']}.\n")
    for name, columns in (("links", LINKS), ("pbxs", PBXS)):
        table([tuple(row[key] for key in columns) for row in found[name]], list(columns.values()))
        print()


async def examine(config: AgentConfig, told: Mapping[str, Mapping[str, Any]], root: Path = Path("/")) -> Any:
    """Links, machine and boxes, as rows by the names of their columns; OSError, NetlinkError."""
    sight = await netlink.look_around([entry.box_address for entry in config.pbxs], root)
    links = [
        {
            "interface": link.name,
            "address": printed_mac(link.address),
            "permanent": printed_mac(link.permanent),
            "physical": link.physical,
            "proves": link.words,
        }
        for link in sight.links
        if link.address.strip("0")
    ]
    machine = {**asdict(sight.machine), "words": sight.machine.words}
    boxes = [_box(entry, sight, told.get(entry.name), await asked(entry) or "") for entry in config.pbxs]
    return {"machine": machine, "links": links, "pbxs": boxes}


def _told(data: Path) -> dict[str, Mapping[str, Any]]:
    try:
        return {facts["name"]: facts["box"] for facts in ask(data, "/facts")["pbxs"]}
    except (NotRunningError, RefusedError):
        return {}


def _box(entry: PbxEntry, sight: Sight, told: Mapping[str, Any] | None, certified: str) -> dict[str, Any]:
    """One box: where it is, which MAC it should have, what is found there, and what would help."""
    mac = told["mac"] if told is not None else None
    seen = Sight(sight.links, sight.neighbours, sight.ways, sight.machine, ((entry.box_address, certified),))
    virtual = bool(told and told["virtual"])
    found = prove(seen, entry.box_address, mac or "", virtual=virtual, statement=entry.box.statement)
    return {
        "pbx": entry.name,
        "box": entry.box_address,
        "way": _way(sight.way(entry.box_address), sight),
        "mac": printed_mac(mac) if mac else "",
        "state": found.state if mac else "",
        "proof": found.proof,
        "found": found.why if mac else _shown(found, told, mac),
        "counts": bool(told["counts"]) if told is not None else None,
        "code": told["code"] if told is not None else "",
        "hint": _help(found, told) if mac else "",
    }


def _shown(found: Sighting, told: Mapping[str, Any] | None, mac: str | None) -> str:
    """What is there when nothing is looked for."""
    there = ", ".join(map(printed_mac, found.seen)) or found.why
    if mac is None:
        return f"{there}; {NOT_TOLD if told is None else NOTHING_BOUND}"
    return there if there == found.why else f"{there}; {found.why}"


def _way(way: Way, sight: Sight) -> str:
    words = {
        "here": "this host",
        "neighbour": f"neighbour on {sight.name_of(way.link)}",
        "routed": f"behind the router {way.router}",
        "none": "no way there",
    }
    return words[way.kind]


def _help(found: Sighting, told: Mapping[str, Any] | None) -> str:
    """What the master holds of it comes first: it sees the other agents too."""
    code = told["code"] if told is not None else ""
    if code in {*Code}:
        return hint(Code(code))
    return hint(CODES[found.state]) if found.state in CODES else ""
