"""The seats as the guard's verdict: licensing's answers in telephony's words."""

from licensing import decision
from licensing.seat import Seats
from telephony.verdict import Admitted, Decision, Refused, Waiting

_ADMITTED = Admitted(reserved=False)
_RESERVED = Admitted(reserved=True)
_WAITING = Waiting()


class SeatVerdict:
    """Fulfils `telephony.verdict.Verdict`; `touched` says that seats may have moved since it was cleared.

    `reserved` are the objects (name, kind) with a new reservation that no disk knows yet, `failed` those
    whose reservation ended without a binding; the site writes both down and clears them.
    """

    def __init__(self, seats: Seats) -> None:
        self.seats = seats
        self.touched = True
        self.reserved: list[tuple[str, str]] = []
        self.failed: list[str] = []
        self._open: set[str] = set()

    def is_open(self, name: str) -> bool:
        """Whether a reservation of this object waits for the PBX's answer."""
        return name in self._open

    def decide(self, name: str, kind: str, now_ms: int) -> Decision:
        """May this object open its first binding?"""
        self.touched = True
        return self.reserving(name, kind, self.seats.decide(name, kind, now_ms))

    def settle(self, now_ms: int) -> list[tuple[str, Decision]]:
        """The objects whose wait has ended."""
        ended = self.seats.settle(now_ms)
        return [(name, self.reserving(name, self.seats.kind_of(name), answer)) for name, answer in ended]

    def reserving(self, name: str, kind: str, answer: decision.Decision) -> Decision:
        """The answer in telephony's words; a reservation is noted."""
        ours = adapted(answer)
        if ours is _RESERVED:
            self._open.add(name)
            self.reserved.append((name, kind))
        return ours

    def commit(self, name: str, kind: str, now_ms: int) -> bool:
        """The PBX holds a binding of this object; False when no unit was free and it is surplus."""
        self.touched = True
        self._open.discard(name)
        return self.seats.commit(name, kind, now_ms)

    def release(self, name: str, now_ms: int) -> None:
        """The last binding is gone, or the reserved or waiting request failed."""
        self.touched = True
        if name in self._open:
            self._open.remove(name)
            self.failed.append(name)
            if self.reserved:  # one that no disk knows yet need not be noted any more
                self.reserved = [noted for noted in self.reserved if noted[0] != name]
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
