"""The boxes of all PBXs seen together: whose MAC is believed, which one is at two places (1.4, L.r36).

What agents see is telemetry, heard again with every sync; what it makes of a MAC is an event of the ledger,
and pools are counted by that. A box that nobody answers for is switched off, which changes nothing.
"""

from collections.abc import Iterator, Mapping, Set
from dataclasses import replace

from licensing import wire
from licensing.box.judged import Judged, doubt, trouble
from licensing.box.sighting import GOOD, MacState, Sighting
from licensing.installation import Pbx, printed_mac
from licensing.lender.box_events import MacDoubted, MacProven
from licensing.state import State

Sightings = Mapping[str, Sighting]
"""What each agent last said of its box, by agent; one not heard since the start is not in it."""


def judged(
    state: State, sightings: Sightings, agent: str, sighting: Sighting | None
) -> Iterator[MacProven | MacDoubted]:
    """One event for each box on which this word of an agent changes the judgement."""
    if sighting is None or not state.bound:
        return
    heard, before = {**sightings, agent: sighting}, sightings.get(agent)
    for name in sorted(state.bound & heard.keys()):
        pbx, known = state.pbxs[name], state.boxes.get(name)
        touched = sighting.shows(pbx.mac) or (before is not None and before.shows(pbx.mac))
        if name != agent and not touched and not (known and agent in known.elsewhere):
            continue
        others = {other for other, each in state.pbxs.items() if each.mac != pbx.mac}
        there = known.elsewhere if known is not None and known.mac == pbx.mac else ()
        found = _judge(pbx, known, heard, others, missing={*there} & others - heard.keys())
        if found is not None and _news(found, known):
            event = MacProven if found.state in GOOD else MacDoubted
            fields = (found.mac, found.state, found.proof, found.seen, found.elsewhere, found.why)
            yield event(name, *fields)


def _judge(
    pbx: Pbx, known: Judged | None, heard: Sightings, others: Set[str], missing: Set[str]
) -> Judged | None:
    """The judgement on a box whose agent was heard; None: nothing new.

    PBXs with its MAC are declared to be one box, `others` are not. What was seen at the `missing`, who were
    not heard since the start, is still there.
    """
    own = heard[pbx.name]
    if own.mac != pbx.mac:
        return None  # its agent has not heard yet which one to look for
    elsewhere = tuple(sorted({*_elsewhere(pbx, own, heard, others), *missing})) if pbx.mac else ()
    if own.state == "unseen" and not elsewhere and _stands(pbx, known):
        return None
    state = _both(own.state) if elsewhere else own.state
    proof = own.proof if state in GOOD else ""
    why = own.why
    if elsewhere:
        why = f"{printed_mac(pbx.mac)} is at {', '.join(elsewhere)} too; here {why}"
    return Judged(pbx.mac, state, proof, own.seen, elsewhere, why)


def _news(found: Judged, known: Judged | None) -> bool:
    """Another sentence for the same is none: a ledger is kept for ever."""
    return known is None or replace(found, why=known.why) != known


def _elsewhere(pbx: Pbx, own: Sighting, heard: Sightings, others: Set[str]) -> Iterator[str]:
    for name, sighting in heard.items():
        if name in others and sighting.shows(pbx.mac) and sighting.place != own.place:
            yield name


def _stands(pbx: Pbx, known: Judged | None) -> bool:
    """Whether what was known still holds while nobody answers."""
    return known is not None and known.mac == pbx.mac and known.state not in ("moved", "cloned")


def _both(own: MacState) -> MacState:
    """Its state when another box shows its MAC."""
    if own in ("proven", "cloned"):
        return "cloned"
    return "spoofed" if own == "spoofed" else "moved"


def told(state: State, pbx: Pbx) -> wire.Box | None:
    """What the agent of this PBX is told to look for, and what is held of it; None where nothing is bound."""
    if not state.bound:
        return None
    known = state.boxes.get(pbx.name)
    if pbx.name not in state.bound:
        return wire.Box(pbx.mac, pbx.virtual)
    return wire.Box(pbx.mac, pbx.virtual, trouble(pbx, known) or "", doubt(pbx, known) is None)
