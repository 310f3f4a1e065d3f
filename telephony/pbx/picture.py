"""What a PBX holds, as its driver tells it: contacts, members of conferences, calls; a snapshot and changes.

A picture is the last snapshot and the changes since, applied as set operations: the order of changes varies,
they repeat, and a stream is never trusted to be complete (pbx-integrations, section 2). Losing the link to
the PBX changes nothing in it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

Key = tuple[str, str]
ALWAYS: Final = -(1 << 62)


@dataclass(frozen=True, slots=True)
class Contact:
    """A contact that the PBX holds: the AOR as the PBX names it, and the whole URI.

    `expires_ms` is the monotonic ms at which it ends, None where the PBX did not say; a device that does not
    answer (`reachable`) is registered all the same.
    """

    aor: str
    uri: str
    expires_ms: int | None = None
    reachable: bool = True

    @property
    def key(self) -> Key:
        """What tells it from every other: a device may choose a new user part at each start."""
        return self.aor, self.uri


@dataclass(frozen=True, slots=True)
class Member:
    """A call in a conference room; `channel` is the PBX's handle to remove it by."""

    room: str
    call: str
    channel: str = ""

    @property
    def key(self) -> Key:
        """What tells it from every other: the PBX's own identifier of the call, never a count."""
        return self.room, self.call


@dataclass(frozen=True, slots=True)
class Call:
    """A call, or a leg of one, by the PBX's own identifier."""

    call: str
    channel: str = ""

    @property
    def key(self) -> Key:
        """What tells it from every other."""
        return self.call, ""


Item = Contact | Member | Call


@dataclass(frozen=True, slots=True)
class Present:
    """This is there from now on; a second time it says nothing new."""

    item: Item


@dataclass(frozen=True, slots=True)
class Gone:
    """This is over; only the key of `item` counts. With a call its memberships are over too."""

    item: Item


Change = Present | Gone


@dataclass(frozen=True, slots=True)
class Ongoing:
    """All SIP calls that go on at the PBX, by Call-ID as it stands in their messages.

    Of calls that were answered before `since_ms` (monotonic ms) the PBX may have lost its memory.
    """

    call_ids: frozenset[bytes]
    since_ms: int = ALWAYS


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The whole sets as the PBX lists them; None for what this PBX cannot list, or did not this time.

    `trouble` says why to the administrator, where that is no matter of course.
    """

    contacts: tuple[Contact, ...] | None = None
    members: tuple[Member, ...] | None = None
    calls: tuple[Call, ...] | None = None
    ongoing: Ongoing | None = None
    trouble: str = ""


class Picture:
    """Every contact, member and call of one PBX, as far as it told."""

    def __init__(self) -> None:
        self.complete = False  # whether a snapshot was ever taken in
        self._items: dict[type[Item], dict[Key, Item]] = {Contact: {}, Member: {}, Call: {}}
        self._meanwhile: list[Change] | None = None

    def contacts(self) -> list[Contact]:
        """Every contact, the oldest first."""
        return [item for item in self._items[Contact].values() if isinstance(item, Contact)]

    def members(self) -> list[Member]:
        """Every member of every room, the oldest first."""
        return [item for item in self._items[Member].values() if isinstance(item, Member)]

    def calls(self) -> list[Call]:
        """Every call, the oldest first."""
        return [item for item in self._items[Call].values() if isinstance(item, Call)]

    def has(self, item: Item) -> bool:
        """Whether something of this key is there."""
        return item.key in self._items[type(item)]

    def change(self, change: Change) -> list[Change]:
        """Take in one change; what came or went by it, in order: nothing when it was known already."""
        if self._meanwhile is not None:
            self._meanwhile.append(change)
        return self._apply(change)

    def ask(self) -> None:
        """A snapshot is asked for: its lists may be older than what changes from here on."""
        self._meanwhile = []

    def unanswered(self) -> None:
        """No snapshot came: the picture stays as it is."""
        self._meanwhile = None

    def settle(self, snapshot: Snapshot) -> list[Change]:
        """Take in the snapshot asked for, then what changed meanwhile; what came or went, in order."""
        meanwhile, self._meanwhile = self._meanwhile or [], None
        self.complete = True
        changed: list[Change] = []
        for sort, listed in (
            (Call, snapshot.calls),
            (Member, snapshot.members),
            (Contact, snapshot.contacts),
        ):
            if listed is not None:
                changed += self._replace(self._items[sort], listed)
        for change in meanwhile:
            changed += self._apply(change)
        return changed

    def expire(self, now_ms: int) -> list[Change]:
        """Take out the contacts whose own time is over; for while the PBX cannot be asked.

        While it can, it says itself what is over: refreshes are silent, so the time known here may be old.
        """
        over = [
            contact
            for contact in self.contacts()
            if contact.expires_ms is not None and contact.expires_ms <= now_ms
        ]
        return [change for contact in over for change in self._apply(Gone(contact))]

    def _replace(self, known: dict[Key, Item], listed: Sequence[Item]) -> list[Change]:
        keys = {item.key for item in listed}
        changes: list[Change] = [Gone(item) for key, item in known.items() if key not in keys]
        changes += [Present(item) for item in listed]
        return [effect for change in changes for effect in self._apply(change)]

    def _apply(self, change: Change) -> list[Change]:
        item = change.item
        known = self._items[type(item)]
        before = known.get(item.key)
        if isinstance(change, Present):
            known[item.key] = _updated(before, item)
            return [] if before is not None else [change]
        effects: list[Change] = []
        if isinstance(item, Call):
            effects += [effect for each in self._in_rooms(item) for effect in self._apply(Gone(each))]
        if before is not None:
            del known[item.key]
            effects.append(Gone(before))
        return effects

    def _in_rooms(self, call: Call) -> list[Member]:
        return [member for member in self.members() if member.call == call.call]


def _updated(before: Item | None, item: Item) -> Item:
    """The newer word, which may say less: an event does not repeat until when a contact lasts."""
    if isinstance(before, Contact) and isinstance(item, Contact) and item.expires_ms is None:
        return replace(item, expires_ms=before.expires_ms)
    return item
