"""What the running agent knows: does it serve this PBX, and which objects has it never seen?"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from agent.config import PbxEntry
from agent.edges.doctor.finding import Finding, State
from agent.edges.local_client import NotRunningError, RefusedError, ask

Facts = dict[str, dict[str, Any]] | str
"""Facts of each PBX by its name, or why there are none."""


# States of a site that somebody must act on; the others pass, or are told by alarms.
SERIOUS: dict[str, tuple[State, str]] = {
    "revoked": (
        "failed",
        "At the master: licence-master release-site {0}, then invite --pbx {0}. "
        "Here: join, and restart the agent.",
    ),
    "grace_over": ("failed", "Restore the link to the master: only objects that hold a seat are served."),
}


def facts(data: Path) -> Facts:
    """What the running agent says of its PBXs, or why it says nothing."""
    try:
        return {facts["name"]: facts for facts in ask(data, "/facts")["pbxs"]}
    except (NotRunningError, RefusedError) as error:
        return str(error)


def checks(pbx: PbxEntry, facts: Facts) -> Iterator[Finding]:
    """Is the PBX served, and has every object that agent.yaml names registered here?"""
    if isinstance(facts, str):
        yield Finding(pbx.name, "agent", "warning", facts, "Start it: objects seen are known to it alone.")
        return
    known = facts.get(pbx.name)
    if known is None:
        hint = "Restart it after a change of agent.yaml."
        yield Finding(pbx.name, "agent", "warning", "the running agent does not serve this PBX", hint)
        return
    state, hint = SERIOUS.get(known["state"], ("ok", ""))
    detail = f"running, {known['bindings']} bindings, {known['state']}"
    yield Finding(pbx.name, "agent", state, detail, hint.format(pbx.name))
    missing = [name for name in _configured_names(pbx) if name not in set(known["proven"])]
    if missing:
        shown = ", ".join(missing[:10]) + (" …" if len(missing) > 10 else "")
        hint = "They may be switched off, registered around the agent, or speak H.323."
        yield Finding(pbx.name, "objects", "warning", f"{len(missing)} never registered here: {shown}", hint)
    else:
        yield Finding(pbx.name, "objects", "ok", "every object with a literal name has registered here")


def _configured_names(pbx: PbxEntry) -> list[str]:
    """Objects that agent.yaml names one by one; patterns name nobody."""
    names: list[str] = []
    for row in pbx.objects:
        names += [row.name] if row.name is not None else _literal(row.aor)
    return names


def literal_aors(pbx: PbxEntry) -> list[str]:
    """The AORs, or their user parts, that agent.yaml spells out."""
    return [aor for row in pbx.objects for aor in _literal(row.aor)]


def _literal(patterns: Iterable[str]) -> list[str]:
    return [pattern for pattern in patterns if not set("*?[") & set(pattern)]
