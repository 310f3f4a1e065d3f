"""Takeover by a standby PBX (3.2, L.r16): who has failed is an operator's word, and nobody else's.

A PBX that is silent may be cut off and full of phones, so the master never concludes it (decision 0031).
While a PBX is failed its objects draw Standby at the PBX that stands by for it (`demand.kinds`), and the
units that its own objects had stay reserved for it, whatever its agent says.
"""

import hashlib
from collections.abc import Iterator, Mapping, Set
from dataclasses import replace

import msgspec

from licensing.administration import Change, change
from licensing.codes import Code, Refusal
from licensing.demand import STANDBY_OF, PoolKey, kinds
from licensing.installation import MASTER, Pbx
from licensing.lender.claims import Demands, need
from licensing.lender.takeover_events import PbxFailed, PbxRecovered
from licensing.rules import LicenceWarning
from licensing.state import State
from licensing.wire import ClassDemand, Policy

_NOTHING = ClassDemand(used=0, want=0)


def fail(state: State, name: str, *, demands: Demands, silent: Set[str] = frozenset()) -> Change | Refusal:
    """An operator calls a PBX failed: its units in use are reserved, those who stand by for it are woken.

    Nothing happens to one that is failed already. Warnings say why its objects will draw no Standby:
    `standby_short`, and `local_mode` for each PBX that stands by and has licences of its own. `not_found` for
    a PBX that is not configured, or that no PBX stands by for.
    """
    if name not in state.pbxs:
        return Refusal(Code.NOT_FOUND, f"no PBX {name} in the configuration")
    if not tuple(stand_ins(state, name)):
        advice = f"Write standby_for: {name} beside the one that takes its phones, in master.yaml."
        return Refusal(Code.NOT_FOUND, f"no PBX stands by for {name}", advice)
    in_the_way = tuple(_in_the_way(state, name))
    if name in state.failed:
        return change(state, [], warnings=in_the_way)
    event = PbxFailed(name, dict(_in_use(state, name, demands)))
    made = change(state, [event], demands, silent, in_the_way)
    return replace(made, wake=made.wake | set(stand_ins(state, name)) - silent)


def recover(state: State, name: str, *, demands: Demands, silent: Set[str] = frozenset()) -> Change | Refusal:
    """It is in service again; objects that still stand at the standby PBX keep their unit until they leave.

    `not_found` for a PBX that is not failed.
    """
    if name not in state.failed:
        return Refusal(Code.NOT_FOUND, f"{name} is not failed", "licence-master agents shows which one is.")
    made = change(state, [PbxRecovered(name)], demands, silent)
    return replace(made, wake=made.wake | {name, *stand_ins(state, name)} - silent)


def with_standby(state: State, pbx: Pbx, policy: Policy) -> Policy:
    """The policy of a PBX that stands by for others, as it follows from the ledger; the etag follows too.

    The objects of those that are failed draw Standby. It keeps its part of the Standby units in advance: it
    has them on the day when the master is lost with its site.
    """
    if not pbx.standby_for:
        return policy
    drawn = kinds(pbx, set(pbx.standby_for) & set(state.failed))
    keep = {**policy.keep, **ahead(state, pbx)}
    told = hashlib.sha256(msgspec.json.encode((policy.etag, drawn, keep))).hexdigest()[:16]
    return msgspec.structs.replace(policy, etag=told, kinds=drawn, keep=keep)


def ahead(state: State, pbx: Pbx) -> dict[str, int]:
    """Units by class that this PBX should have before anybody needs them: its part of the usable Standby.

    All that stand by and draw on the master have equal parts. What nobody needs is idle, and recalled for
    whoever does.
    """
    others = [
        each.name for each in state.pbxs.values() if each.standby_for and state.place_of(each.name) == MASTER
    ]
    if pbx.name not in others:
        return {}
    units = state.pool(PoolKey(MASTER, "standby")).usable(state.software_of(pbx.name))
    class_ = STANDBY_OF["virtual_seat" if pbx.virtual else "seat"]
    return {class_: -(-units // len(others))} if units else {}


def stand_ins(state: State, name: str) -> Iterator[str]:
    """The PBXs that stand by for this one."""
    return (pbx.name for pbx in state.pbxs.values() if name in pbx.standby_for)


def _in_the_way(state: State, name: str) -> Iterator[LicenceWarning]:
    pool = state.pool(PoolKey(MASTER, "standby"))
    if not pool.usable(state.master_software):
        yield LicenceWarning(Code.STANDBY_SHORT, type=name)
    for other in stand_ins(state, name):
        if state.place_of(other) != MASTER:
            yield LicenceWarning(Code.LOCAL_MODE, type=other)


def _in_use(state: State, name: str, demands: Demands) -> Iterator[tuple[str, int]]:
    """Units by class that its objects need; before it has said anything since the start, all on record."""
    heard = demands.get(name)
    for class_, share in state.shares.get(name, {}).items():
        units = share.granted if heard is None else min(share.granted, need(heard.get(class_, _NOTHING)))
        if units:
            yield class_, units


def with_reserve(state: State, agent: str, told: Mapping[str, ClassDemand]) -> dict[str, ClassDemand]:
    """What an agent says, and what stays reserved for it while its PBX is failed: used, and not idle."""
    demand = dict(told)
    for class_, units in state.failed.get(agent, {}).items():
        said = demand.get(class_, _NOTHING)
        want, needed = max(units, said.want), max(units, said.want - said.idle)
        used = max(units, said.used)
        demand[class_] = msgspec.structs.replace(said, used=used, want=want, idle=want - needed)
    return demand
