"""A call over a line as a value: its states as a table, and the dialogs that its answers made.

One INVITE is one call, however many phones answer it (RFC 3261 12): the line has one channel for it, from the
INVITE until the last of its dialogs is over.
"""

from collections.abc import Iterable
from enum import StrEnum
from typing import Final, NamedTuple

from telephony.line import Line

# RFC 3261: Timer B of who calls (no answer at all), Timer C (180 s) with room for a slow clock, and how long
# a message may come again (64 * T1).
GIVE_UP_MS: Final = 32_000
RINGING_MS: Final = 240_000
REPEATS_MS: Final = 32_000
# RFC 4028 4: no session is shorter.
SHORTEST_SESSION_S: Final = 90


class State:
    """Where a call stands; numbers, for they key the table. Those from TRYING to TALKING hold a channel."""

    WAITING: Final = 0  # the INVITE is held back: the master is asked
    TRYING: Final = 1  # it was passed on
    RINGING: Final = 2  # a provisional answer came
    TALKING: Final = 3  # a dialog stands
    OVER: Final = 4  # remembered for what comes late or again
    REFUSED: Final = 5  # remembered, so that a repeated INVITE gets the same answer


class Event:
    """What happens to a call."""

    ADMITTED: Final = 0
    REFUSED: Final = 1  # or cancelled while it waited
    PROVISIONAL: Final = 2
    ANSWERED: Final = 3  # a 2xx
    FAILED: Final = 4  # any other final answer
    ENDED: Final = 5  # its last dialog is over, or its time


TABLE: Final[dict[tuple[int, int], int]] = {
    (State.WAITING, Event.ADMITTED): State.TRYING,
    (State.WAITING, Event.REFUSED): State.REFUSED,
    (State.TRYING, Event.PROVISIONAL): State.RINGING,
    (State.TRYING, Event.ANSWERED): State.TALKING,
    (State.TRYING, Event.FAILED): State.OVER,
    (State.TRYING, Event.ENDED): State.OVER,
    (State.RINGING, Event.PROVISIONAL): State.RINGING,
    (State.RINGING, Event.ANSWERED): State.TALKING,
    (State.RINGING, Event.FAILED): State.OVER,
    (State.RINGING, Event.ENDED): State.OVER,
    (State.TALKING, Event.PROVISIONAL): State.TALKING,
    (State.TALKING, Event.ANSWERED): State.TALKING,
    (State.TALKING, Event.FAILED): State.TALKING,
    (State.TALKING, Event.ENDED): State.OVER,
    (State.OVER, Event.PROVISIONAL): State.OVER,
    (State.OVER, Event.ANSWERED): State.TALKING,
    (State.OVER, Event.FAILED): State.OVER,
}


class Why(StrEnum):
    """What ended a call; all but the first two say that nobody told us, and are worth a line in the log."""

    HUNG_UP = "hung_up"
    FAILED = "failed"
    UNANSWERED = "unanswered"
    SESSION_EXPIRED = "session_expired"
    TOO_OLD = "too_old"
    UNKNOWN_TO_PBX = "unknown_to_pbx"


class Dialog:
    """One dialog of a call: when it ends unless it shows signs of life, and how long after each of those.

    `timed`: by a session timer (RFC 4028), else by the greatest age; `leaving`: a BYE is on its way.
    """

    __slots__ = ("ends_ms", "leaving", "lives_ms", "timed")

    def __init__(self, ends_ms: int, lives_ms: int, *, timed: bool) -> None:
        self.ends_ms = ends_ms
        self.lives_ms = lives_ms
        self.timed = timed
        self.leaving = False

    @property
    def why(self) -> Why:
        """What it means when its time is over."""
        if self.leaving:
            return Why.HUNG_UP
        return Why.SESSION_EXPIRED if self.timed else Why.TOO_OLD


class StoredDialog(NamedTuple):
    """A dialog as it is stored: the tag of who was called, and its times."""

    tag: bytes
    ends_ms: int
    lives_ms: int
    timed: bool


class CallRecord(NamedTuple):
    """A call as it is stored; `unit` is the use that it shares with another call, else its own name.

    `outward`: towards the line; `urgent`: an emergency call; `replaces`: the name of the call whose place it
    takes, as long as both may share a unit. Times are monotonic.
    """

    name: str
    unit: str
    gateway: str
    interface: str
    branch: bytes
    call_id: bytes
    caller_tag: bytes
    outward: bool
    urgent: bool
    replaces: str
    dialogs: tuple[StoredDialog, ...]


class Call:
    """One call over a line.

    `dialogs` by the tag of who was called, `ended` the tags of those that are over; `answer` is what a
    refused one got; `refers` what its other side was told to call. `ends_ms` counts while there is no
    dialog; `noted_ms` is when somebody looks at it next, 0: never.
    """

    __slots__ = (
        "answer", "answered_ms", "branch", "call_id", "caller_tag", "dialogs", "ended", "ends_ms", "line",
        "name", "noted_ms", "outward", "parts_ms", "refers", "replaces", "state", "unit", "urgent",
    )  # fmt: skip

    def __init__(
        self, branch: bytes, call_id: bytes, caller_tag: bytes, line: Line, *, outward: bool, urgent: bool
    ) -> None:
        self.branch = branch
        self.name = name_of(branch)
        self.unit = self.name
        self.call_id = call_id
        self.caller_tag = caller_tag
        self.line = line
        self.outward = outward
        self.urgent = urgent
        self.state: int = State.WAITING
        self.dialogs: dict[bytes, Dialog] = {}
        self.ended: set[bytes] = set()
        self.answer = b""
        self.refers = ""
        self.answered_ms = 0
        self.ends_ms = 0
        self.replaces = ""
        self.parts_ms = 0  # when it needs a unit of its own, if it still shares one then; 0: never
        self.noted_ms = 0

    @property
    def live(self) -> bool:
        """Whether it holds a channel."""
        return State.TRYING <= self.state <= State.TALKING

    @property
    def due_ms(self) -> int:
        """When something must be done about it, unless something happens before."""
        due_ms = self.ends_ms
        if self.dialogs:
            due_ms = max([dialog.ends_ms for dialog in self.dialogs.values()])
        return min(due_ms, self.parts_ms) if self.parts_ms else due_ms

    def move(self, event: int) -> None:
        """One step of the table; a step it does not have is a `KeyError`."""
        self.state = TABLE[self.state, event]

    @property
    def early(self) -> bool:
        """Whether it was passed on and nobody has answered it."""
        return self.state == State.TRYING or self.state == State.RINGING

    def part(self, one: bytes, other: bytes) -> bytes | None:
        """The tag of who was called, when these are the tags of a dialog of this call, in either order."""
        for tag, caller in ((other, one), (one, other)):
            if caller == self.caller_tag and (tag in self.dialogs or tag in self.ended):
                return tag
        return None

    def record(self) -> CallRecord:
        """What must be on disk of it."""
        return CallRecord(
            self.name,
            self.unit,
            self.line.gateway,
            self.line.interface,
            self.branch,
            self.call_id,
            self.caller_tag,
            self.outward,
            self.urgent,
            self.replaces,
            tuple(
                [
                    StoredDialog(tag, dialog.ends_ms, dialog.lives_ms, dialog.timed)
                    for tag, dialog in self.dialogs.items()
                ]
            ),
        )


def restored(record: CallRecord, now_ms: int) -> Call:
    """The call of a stored record; one without a dialog may ring for its whole time again."""
    call = Call(
        record.branch,
        record.call_id,
        record.caller_tag,
        Line(record.gateway, record.interface),
        outward=record.outward,
        urgent=record.urgent,
    )
    call.unit, call.replaces = record.unit, record.replaces
    call.state = State.TALKING if record.dialogs else State.RINGING
    call.ends_ms = now_ms + RINGING_MS
    if record.dialogs and record.replaces:
        call.parts_ms = now_ms + REPEATS_MS
    for stored in record.dialogs:
        call.dialogs[stored.tag] = Dialog(stored.ends_ms, stored.lives_ms, timed=stored.timed)
        call.answered_ms = stored.ends_ms - stored.lives_ms  # or its last sign of life
    return call


def within(known: Iterable[Call], one: bytes, other: bytes) -> list[tuple[Call, bytes]]:
    """The calls that a dialog with these tags is part of, and the tag of who was called.

    One dialog comes to a line more than once where gateways call each other: it ends for all of them.
    """
    found: list[tuple[Call, bytes]] = []
    for call in known:
        tag = call.part(one, other)
        if tag is not None:
            found.append((call, tag))
    return found


def name_of(branch: bytes) -> str:
    """What a call is called in licences and logs: the sum in our branch, which traces of SIP show too."""
    return branch.removeprefix(b"z9hG4bK").partition(b".")[0].decode("ascii", "backslashreplace")
