"""How an assignment stands: licensed and by what, or why not and what would help."""

from collections.abc import Mapping
from dataclasses import dataclass

from licensing.codes import Code, Refusal
from licensing.demand import PoolKey
from licensing.named.assignment import Assignment, Ground, bundle_of, listed, missing, new_enough
from licensing.named.kinds import NamedLicence
from licensing.pool import Pool
from licensing.state import State


@dataclass(frozen=True, slots=True)
class Standing:
    """`licensed`: it holds a unit. `through`: the bundle, or `group`, that gives the right without one.

    `reason` says why there is no right, with `ahead` assignments that get a free unit before this one.
    """

    number: int
    row: Assignment
    licensed: bool = False
    through: str = ""
    reason: Refusal | None = None
    ahead: int = 0

    @property
    def has(self) -> bool:
        """Whether the user or object may use what the licence is for."""
        return self.reason is None


def standings(state: State) -> list[Standing]:
    """Every assignment, in order."""
    look = Look(state, state.ground(), taken(state))
    ahead: dict[tuple[str, str], int] = {}
    found = []
    for number, row in listed(state.rolls):
        queue = (row.licence, state.place_of(row.pbx))
        each = _standing(look, number, row, ahead.get(queue, 0))
        if each.reason is not None and each.reason.code in (Code.NOT_LICENSED, Code.LICENCE_VERSION_TOO_LOW):
            ahead[queue] = ahead.get(queue, 0) + 1
        found.append(each)
    return found


@dataclass(frozen=True, slots=True)
class Look:
    """What all standings of a state rest on, counted once."""

    state: State
    ground: Ground
    held: Mapping[PoolKey, int]


def taken(state: State) -> Mapping[PoolKey, int]:
    """Units held by assignments, by pool."""
    units: dict[PoolKey, int] = {}
    for id_, roll in state.rolls.items():
        for pbx, count in roll.counts.items():
            key = PoolKey(state.place_of(pbx), state.named[id_].pool)
            units[key] = units.get(key, 0) + count
    return units


def too_old(state: State, licence: NamedLicence, pbx: str) -> Refusal:
    """5.3, L.r7: the PBX runs a release below the licence's least."""
    detail = f"{licence.name} needs software {licence.min_software}, {pbx} runs {state.software_of(pbx)}"
    return Refusal(Code.MIN_SOFTWARE, detail)


def no_user(licence: NamedLicence, kind: str) -> Refusal:
    """5.6, L.r30: queues, conference rooms and the gateway are recorded once some user holds the licence."""
    detail = f"{licence.name} of a {kind} needs one user of the installation with {licence.name}"
    return Refusal(Code.REQUIRES_LICENCE, detail, f"Assign {licence.id} to a user first.")


def _standing(look: Look, number: int, row: Assignment, ahead: int) -> Standing:
    licence, roll = look.state.named.get(row.licence), look.state.rolls[row.licence]
    if number in roll.licensed:
        return Standing(number, row, licensed=True)
    if licence is None:
        detail = f"the catalogue of this program has no {row.licence}"
        return Standing(number, row, reason=Refusal(Code.NOT_FOUND, detail, "Unassign it."))
    if row.pbx not in look.state.pbxs:
        detail = f"no PBX {row.pbx} in the configuration"
        return Standing(
            number, row, reason=Refusal(Code.NOT_FOUND, detail, "Configure it, or unassign this.")
        )
    if not licence.draws(row.kind):
        reason = None if roll.licensed else no_user(licence, row.kind)
        return Standing(number, row, through="" if reason else "group", reason=reason)
    if not new_enough(look.ground, licence, row.pbx):
        return Standing(number, row, reason=too_old(look.state, licence, row.pbx))
    bundle = bundle_of(look.state.named, look.state.rolls, row.subject, licence.id)
    if bundle:
        return Standing(number, row, through=bundle)
    lacking = missing(look.ground, licence, row, look.state.rolls)
    if lacking:
        return Standing(number, row, reason=_requires(look.state, licence, row, lacking))
    return Standing(number, row, reason=_short(look, licence, row, ahead), ahead=ahead)


def _requires(state: State, licence: NamedLicence, row: Assignment, lacking: list[str]) -> Refusal:
    names = " and ".join(state.named[id_].name if id_ in state.named else id_ for id_ in lacking)
    detail = f"{licence.name} needs the {names} of the same user, and {row.object} has none"
    return Refusal(Code.REQUIRES_LICENCE, detail, f"Assign {' and '.join(lacking)} to {row.object}.")


def _short(look: Look, licence: NamedLicence, row: Assignment, ahead: int) -> Refusal:
    """L.r26: beyond the count, in local mode too; L.r5, L.r6: units that do not serve the PBX's software."""
    state, place = look.state, look.state.place_of(row.pbx)
    key, software = PoolKey(place, licence.pool), state.software_of(row.pbx)
    pool, held = state.pool(key), look.held.get(key, 0)
    where = place or "the master"
    if held < pool.installed or pool.why_unusable(software) is not None:
        low = ", ".join(f"{each.count} {each.type}" for each in state.outgrown([key], software))
        detail = f"{row.pbx} runs software {software}; in the way: {low}"
        return Refusal(Code.LICENCE_VERSION_TOO_LOW, detail)
    advice = f"Install more {licence.name} at {where}, or unassign one that is not needed."
    if not pool.installed:
        return Refusal(
            Code.NOT_LICENSED, f"no {licence.name} at {where}{_inside(state, licence, place)}", advice
        )
    before = f", and {ahead} assigned earlier wait too" if ahead else ""
    return Refusal(Code.NOT_LICENSED, f"{_all(pool)} {licence.name} at {where} taken{before}", advice)


def _inside(state: State, licence: NamedLicence, place: str) -> str:
    """4, L.r27: units inside a bundle are no single ones."""
    bundles = [each for each in state.named.values() if licence.id in each.contains]
    names = [each.name for each in bundles if state.pool(PoolKey(place, each.pool)).installed]
    return f"; what is inside {' or '.join(names)} is indivisible and stays with its user" if names else ""


def _all(pool: Pool) -> str:
    return "the only" if pool.installed == 1 else f"all {pool.installed}"
