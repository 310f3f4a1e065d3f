"""The question the registration guard asks, and the three answers: admitted, waiting, refused.

Telephony does not know licences. Whoever fulfils `Verdict` (the seats of the licensing package) decides;
Kamailio as an edge and the PBX drivers ask the same questions.
"""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Admitted:
    """The registration may go to the PBX; with `reserved` a unit waits for its final answer."""

    reserved: bool


@dataclass(frozen=True, slots=True)
class Waiting:
    """No unit here yet, but the master was asked: hold the request unanswered until `settle`."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The answer is no: SIP status 403 or 503, the code and the sentence for the Warning header."""

    status: int
    code: str
    sentence: str
    retry_after_s: int | None = None


Decision = Admitted | Waiting | Refused


class Verdict(Protocol):
    """What the guard asks about an object (its configured name, else its AOR); times are monotonic ms."""

    def decide(self, name: str, kind: str, now_ms: int) -> Decision:
        """May this object open its first binding?

        `Admitted(reserved=True)` obliges the caller to end the reservation by `commit` or `release`.
        """
        ...

    def commit(self, name: str, kind: str, now_ms: int) -> bool:
        """The PBX holds a binding of this object; False when no unit was free and it is surplus."""
        ...

    def release(self, name: str, now_ms: int) -> None:
        """The last binding is gone, or the reserved or waiting request failed. Unknown names do nothing."""
        ...

    def may_call(self, name: str) -> Refused | None:
        """None when outgoing calls may pass; a refusal when the object is registered without a licence."""
        ...

    def call(self, name: str, gateway: str, interface: str, now_ms: int, *, emergency: bool) -> Decision:
        """May this call go over an interface ("": nobody knows which) of this gateway or trunk object?

        `Admitted` obliges the caller to say `hung_up`. An emergency call is always admitted.
        """
        ...

    def called(self, name: str, gateway: str, interface: str, now_ms: int) -> None:
        """This call goes on already: it is counted, whether or not there is a channel for it."""
        ...

    def hung_up(self, name: str, now_ms: int) -> None:
        """The call is over, or nobody waits for it any more. Unknown names do nothing."""
        ...
