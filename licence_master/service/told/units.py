"""Who has units of the pools that a class draws from: for people, told with every denial."""

from licence_master.service.told.units_report import UnitsView
from licensing.state import State


def units(state: State, agent: str, class_: str) -> tuple[UnitsView, ...]:
    """Who has the units of the pools that this class draws from at this PBX."""
    keys = {key for slot in state.bundle(agent, class_) or () for key in slot}
    return tuple(
        UnitsView(name, str(key), count)
        for key in sorted(keys, key=str)
        for name, count in sorted(state.lent.get(key, {}).items())
    )


def rivals(state: State, agent: str, class_: str) -> frozenset[tuple[str, str]]:
    """The (PBX, class) whose units would serve this class at this PBX, its own among them."""
    keys = {key for slot in state.bundle(agent, class_) or () for key in slot}
    pairs = ((name, other) for name in state.pbxs for other in state.classes)
    return frozenset(
        pair for pair in pairs if any(key in keys for slot in state.bundle(*pair) or () for key in slot)
    )
