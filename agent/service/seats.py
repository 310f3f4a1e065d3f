"""The seats as the guard's verdict: licensing's answers in telephony's words."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from agent.service.desk import Desk
from licensing.site import decision, lines
from licensing.site.seat import Seats, State
from licensing.site.use import LineCall
from telephony.verdict import Admitted, Decision, Refused, Waiting

_ADMITTED = Admitted(reserved=False)
_RESERVED = Admitted(reserved=True)
_WAITING = Waiting()


class SeatVerdict:
    """Fulfils `telephony.verdict.Verdict`; `touched` says that seats may have moved since it was cleared.

    `reserved` are the objects (name, kind) with a new reservation that no disk knows yet, `failed` those
    whose reservation ended without a binding; the site writes both down and clears them. `elsewhere` says
    whether an object holds its seat by a way that the guard does not see, too: then it keeps it.
    """

    def __init__(
        self, seats: Seats, desk: Desk, interfaces: Mapping[str, tuple[str, ...]] = MappingProxyType({})
    ) -> None:
        """`interfaces` are those of gateway and trunk objects, by name."""
        self.seats = seats
        self._interfaces = interfaces
        self.desk = desk
        self.touched = True
        self.reserved: list[tuple[str, str]] = []
        self.failed: list[str] = []
        self.elsewhere: Callable[[str], bool] = lambda _name: False
        self._open: set[str] = set()
        self._calling: dict[str, str] = {}  # seats of calls that wait, and the names of these calls

    def is_open(self, name: str) -> bool:
        """Whether a reservation of this object waits for the PBX's answer."""
        return name in self._open

    def decide(self, name: str, kind: str, now_ms: int) -> Decision:
        """May this object open its first binding?"""
        self.touched = True
        code = lines.shut(self.seats.policy, self._interfaces.get(name, ()))
        if code is not None and self.seats.state_of(name) in (State.FREE, State.LINGERING):
            no = decision.refused(name, code, self.seats.policy.refuse)
            return self.reserving(name, kind, self.seats.refuse(name, kind, no, now_ms))
        return self.reserving(name, kind, self.seats.decide(name, kind, now_ms))

    def settle(self, now_ms: int) -> list[tuple[str, Decision]]:
        """The objects and calls whose wait has ended; the desk tells those who wait there for a use."""
        ended: list[tuple[str, decision.Decision]] = []
        while settled := self.seats.settle(now_ms):  # a use that got its unit may leave one for another
            ended += self.desk.settle(settled, now_ms)
        return [
            (self._calling.pop(name, name), self.reserving(name, self.seats.kind_of(name), answer))
            for name, answer in ended
        ]

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
        if not self.elsewhere(name):
            self.seats.release(name, now_ms)

    def may_call(self, name: str) -> Refused | None:
        """None when outgoing calls may pass."""
        refusal = self.seats.may_call(name)
        return None if refusal is None else _refused(refusal)

    def call(self, name: str, gateway: str, interface: str, now_ms: int, *, emergency: bool) -> Decision:
        """May this call go over an interface of this gateway or trunk object?"""
        self.touched = True
        decision = adapted(self.desk.calls.call(name, gateway, interface, now_ms, emergency=emergency))
        if decision is _WAITING:
            self._calling[LineCall(name, gateway).seat] = name
        return decision

    def called(self, name: str, gateway: str, interface: str, now_ms: int) -> None:
        """This call goes on already."""
        self.touched = True
        self.desk.uses.found(LineCall(name, gateway, interface), now_ms)

    def hung_up(self, name: str, now_ms: int) -> None:
        """The call is over, or nobody waits for it any more."""
        self.touched = True
        self._calling.pop(LineCall(name, "").seat, None)
        self.desk.calls.hangup(name, now_ms)


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
