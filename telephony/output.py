"""What the guard and the router hand to the edge, in the order in which it must happen."""

from enum import StrEnum
from typing import NamedTuple

from telephony.address import Flow
from telephony.binding import Binding


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


class Send(NamedTuple):
    """These bytes leave by this flow."""

    flow: Flow
    data: bytes


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


Output = Send | Record | Rejected
