"""The seats as the guard's verdict: licensing's answers in telephony's words."""

from licensing import decision
from licensing.seat import Seats
from telephony.verdict import Admitted, Decision, Refused, Waiting

_ADMITTED = Admitted(reserved=False)
_RESERVED = Admitted(reserved=True)
_WAITING = Waiting()


class SeatVerdict:
    """Fulfils `telephony.verdict.Verdict`; `touched` says that seats may have moved since it was cleared."""

    def __init__(self, seats: Seats) -> None:
        self.seats = seats
        self.touched = True

    def decide(self, name: str, kind: str, now_ms: int) -> Decision:
        """May this object open its first binding?"""
        self.touched = True
        return adapted(self.seats.decide(name, kind, now_ms))

    def commit(self, name: str, kind: str, now_ms: int) -> bool:
        """The PBX holds a binding of this object; False when no unit was free and it is surplus."""
        self.touched = True
        return self.seats.commit(name, kind, now_ms)

    def release(self, name: str, now_ms: int) -> None:
        """The last binding is gone, or the reserved or waiting request failed."""
        self.touched = True
        self.seats.release(name, now_ms)

    def may_call(self, name: str) -> Refused | None:
        """None when outgoing calls may pass."""
        refusal = self.seats.may_call(name)
        return None if refusal is None else _refused(refusal)


def adapted(answer: decision.Decision) -> Decision:
    """The same answer as the guard knows it."""
    match answer:
        case decision.Admitted(reserved=True):
            return _RESERVED
        case decision.Admitted():
            return _ADMITTED
        case decision.Waiting():
            return _WAITING
        case decision.Refused():
            return _refused(answer)


def _refused(refusal: decision.Refused) -> Refused:
    return Refused(refusal.status, refusal.code.value, refusal.sentence, refusal.retry_after_s)
