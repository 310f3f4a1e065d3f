"""The way as outbound proxy: do phones come through the agent, and can they go around it?"""

from collections.abc import Collection, Iterator

from agent.config import PbxEntry
from agent.edges.doctor.finding import Finding
from agent.edges.doctor.objects import Facts
from agent.edges.firewall.passage import Passage


def checks(pbx: PbxEntry, facts: Facts, redirected: Collection[Passage]) -> Iterator[Finding]:
    """What the running agent sees of phones, and what nobody can see from here."""
    bindings = registrations(pbx, facts)
    if bindings == 0:
        hint = "Let phones find it: docs/deployment.md has the three ways."
        yield Finding(pbx.name, "phones", "warning", "none is registered through the agent", hint)
    elif bindings is not None:
        yield Finding(pbx.name, "phones", "ok", f"{bindings} registered through the agent")
    if any(passage.of == pbx.sip.pbx.address for passage in redirected):
        detail = f"what phones send to {pbx.sip.pbx} comes to the agent"
        yield Finding(pbx.name, "around", "ok", detail)
        return
    target = pbx.sip.pbx.address
    detail = f"whether phones reach {pbx.sip.pbx} without the agent cannot be seen from here"
    hint = f"In the phones' network: sipsak -s sip:{target}; if it answers, firewall that port of the PBX."
    yield Finding(pbx.name, "around", "unknown", detail, hint)


def registrations(pbx: PbxEntry, facts: Facts) -> int | None:
    """How many registrations the running agent knows of this PBX; None when it says nothing."""
    if isinstance(facts, str) or pbx.name not in facts:
        return None
    bindings: int = facts[pbx.name]["bindings"]
    return bindings
