"""What the guard and the router hand to the edge, in the order in which it must happen."""

from enum import StrEnum
from typing import NamedTuple

from telephony.address import Flow
from telephony.binding import Binding
from telephony.dialog import CallRecord, Why


class Reason(StrEnum):
    """Why a message went no further, for logs and counters."""

    MALFORMED = "malformed"
    FORGED_VIA = "forged_via"
    FORGED_ROUTE = "forged_route"
    NO_ROUTE = "no_route"
    FLOW_GONE = "flow_gone"
    TOO_MANY_HOPS = "too_many_hops"
    OVERLOADED = "overloaded"
    REFUSED = "refused"
    TIMED_OUT = "timed_out"
    CONNECTION = "connection"


class Send:
    """These bytes leave by this flow."""

    __slots__ = ("data", "flow")

    def __init__(self, flow: Flow, data: bytes) -> None:
        self.flow = flow
        self.data = data

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Send) and (self.flow, self.data) == (other.flow, other.data)

    def __hash__(self) -> int:
        return hash((self.flow, self.data))

    def __repr__(self) -> str:
        return f"Send({self.flow!r}, {self.data!r})"


class Record(NamedTuple):
    """The bindings of an AOR are now these; with `durable` nothing after it leaves before it is on disk.

    A refresh that changes neither contact, flow nor granted time makes no record: after a restart a stored
    binding counts again for its whole granted time anyway.
    """

    aor: str
    name: str
    kind: str
    bindings: tuple[Binding, ...]
    durable: bool


class Rejected(NamedTuple):
    """A message that was refused or dropped: why, a detail for people, where it came from."""

    reason: Reason
    detail: str
    flow: Flow


class Counted(NamedTuple):
    """A call over a line is now this, or the one of this name is over, and why; before what is `InTurn`."""

    record: CallRecord | None
    over: str = ""
    why: Why | None = None


class InTurn(NamedTuple):
    """A message of a call over a line: it leaves when all that was `Counted` before it is on disk.

    What is `urgent` leaves at once: nobody who calls for help waits for a disk.
    """

    send: Send
    urgent: bool


Output = Send | Record | Rejected | Counted | InTurn
