"""What the services need of the way to a PBX: its whole state when asked, its changes as they come.

A driver speaks one PBX's own interface; it says what is, and decides nothing. Losing the link is no change.
"""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from telephony.pbx.picture import Change, Item, Snapshot

Changed = Callable[[Change], None]


class LinkLostError(Exception):
    """The PBX cannot be reached, or not be understood; the text is for the administrator."""


class RefusedError(LinkLostError):
    """The PBX answers and refuses us: its configuration, or ours, must change."""


class UnansweredError(Exception):
    """The PBX is there, and what it said is not what it holds; the text says why."""


class CannotEvictError(Exception):
    """The PBX would not, or cannot, end this; the text says why."""


class Session(Protocol):
    """One connection to a PBX; every method raises LinkLostError when it breaks."""

    async def snapshot(self) -> Snapshot:
        """Ask for everything; an answer that is not understood is UnansweredError, never an empty set."""
        ...

    async def evict(self, item: Item) -> None:
        """Remove a contact, a member or a call; CannotEvictError."""
        ...

    async def ended(self) -> None:
        """Wait for the end of the connection, which is LinkLostError."""
        ...


class Driver(Protocol):
    """The way to one PBX, by its manager interface or whatever it has."""

    name: str

    def connect(self, changed: Changed) -> AbstractAsyncContextManager[Session]:
        """A connection; `changed` is called with what changes, in the order in which the PBX told it.

        LinkLostError when there is none, RefusedError when the PBX does not let us in.
        """
        ...


@dataclass(frozen=True, slots=True)
class Observation:
    """A driver and how it is used: asked for everything every `resync_s`; with `evicts` a member of a room
    who did not ask before, and has no licence, is removed. `licences` are those that the PBX counts itself,
    for comparison.
    """

    driver: Driver
    resync_s: int
    evicts: bool = False
    licences: Callable[[], list[dict[str, Any]]] = list
