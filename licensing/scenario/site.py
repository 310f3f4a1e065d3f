"""A PBX of a scenario: its agent's real share and seats, and what is registered and goes on there.

The agent's program has the same two and speaks over a network; here the house carries the messages.
"""

from dataclasses import dataclass, field

import msgspec

from licensing.site import share
from licensing.site.calls import Calls
from licensing.site.clients import Clients
from licensing.site.decision import Decision
from licensing.site.record import ShareRecord, limits
from licensing.site.seat import Seats
from licensing.site.uses import Uses
from licensing.wire import Answer, ClassDemand, Denial, Enrolled, Software


@dataclass(slots=True)
class Site:
    """One agent; `devices` are those registered, by object, `denials` what was last denied, by class."""

    record: ShareRecord
    seats: Seats
    uses: Uses
    software: int
    devices: dict[str, set[str]] = field(default_factory=dict)
    denials: dict[str, Denial] = field(default_factory=dict)

    @classmethod
    def enrolled(cls, enrolled: Enrolled, software: int, now_ms: int) -> "Site":
        """An agent that has just joined: nothing is lent to it yet."""
        seats = Seats(enrolled.policy)
        return cls(share.enrolled(enrolled, now_ms, now_ms), seats, Uses(seats), software)

    @property
    def calls(self) -> Calls:
        """What calls take at this PBX."""
        return Calls(self.uses)

    @property
    def clients(self) -> Clients:
        """What Operators and Queue Monitors take."""
        return Clients(self.uses)

    def ended(self, now_ms: int) -> dict[str, Decision]:
        """The waits that are over, by the name of an object or the key of a use."""
        found: dict[str, Decision] = {}
        while settled := self.seats.settle(now_ms):
            uses = [(seat, decision) for seat, decision in settled if self.uses.owns(seat)]
            found |= {seat: decision for seat, decision in settled if not self.uses.owns(seat)}
            found |= {each.key: each.decision for each in self.uses.settle(uses, now_ms)}
        return found

    def ask(self, now_ms: int, *, ahead: bool = True) -> share.Request:
        """The next sync, as its bytes on the wire; not `ahead`: for nothing that no phone needs yet."""
        classes = self.seats.ask()
        if not ahead:
            classes = {name: _needed(demand) for name, demand in classes.items()}
        statement = share.Statement(boot="scenario", software=Software(self.software), classes=classes)
        prepared = share.prepare(self.record, statement, now_ms, now_ms)
        self.record = prepared.record
        return prepared.request

    def answered(self, sent: share.Request, body: bytes, now_ms: int) -> Answer:
        """Use what the master answered."""
        applied = share.answered(self.record, sent, share.Reply(200, body, "", ""), now_ms, now_ms)
        assert isinstance(applied, share.Applied), applied
        before, self.record, denials = self.record, applied.record, applied.answer.denials
        self.denials |= denials
        policy = self.record.policy if self.record.policy != before.policy else None
        self.seats.answer(limits(self.record, self.software), denials, now_ms, policy)
        return applied.answer

    def upgraded(self, software: int, now_ms: int) -> None:
        """The PBX runs another release: what the share allows is another number at once."""
        self.software = software
        self.seats.lend(limits(self.record, software), now_ms)

    def accept(self, name: str, kind: str, device: str, now_ms: int) -> None:
        """The PBX accepted a registration."""
        self.seats.commit(name, kind, now_ms)
        self.devices.setdefault(name, set()).add(device)

    def gone(self, name: str, device: str, now_ms: int) -> None:
        """A device is gone, or without a device all of them; the unit goes back with the last (L.r9)."""
        left = self.devices.get(name, set()) - {device} if device else set()
        if left:
            self.devices[name] = left
        elif self.devices.pop(name, None) is not None:
            self.seats.release(name, now_ms)


def _needed(demand: ClassDemand) -> ClassDemand:
    return msgspec.structs.replace(demand, want=demand.want - demand.idle, idle=0)
