"""What all events of the ledger have in common."""

import msgspec

from licensing.state import State


class Event(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="event", tag=True):
    """Something that happened to the installation and stays true for ever."""

    def after(self, state: State) -> State:
        """The state with this event in it; `position` is counted by `evolve`."""
        return state
