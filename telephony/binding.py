"""Bindings: which contacts the PBX holds for each address-of-record, until when, and for which object."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from heapq import heappop, heappush
from typing import NamedTuple

from telephony.address import Flow


@dataclass(slots=True)
class Binding:
    """One contact the PBX holds: the flow its REGISTER came by, monotonic end, seconds the PBX granted.

    Only its end ever changes, by a refresh (`Bindings.prolong`).
    """

    contact: str
    flow: Flow
    expires_ms: int
    granted_s: int


class Registration(NamedTuple):
    """All bindings of one AOR, and the object they belong to."""

    aor: str
    name: str
    kind: str
    bindings: tuple[Binding, ...]


class Bindings:
    """The registrations of one PBX; each AOR has one entry in the heap, set right when it is looked at.

    Those of AORs that `findable` names are found by their flows, too.
    """

    def __init__(self, findable: Callable[[str], bool] | None = None) -> None:
        self._findable = findable
        self._aors_at: dict[Flow, dict[str, None]] = {}
        self._by_aor: dict[str, Registration] = {}
        self._aors_of: dict[str, int] = {}
        self._ends: list[tuple[int, str]] = []
        self._end_of: dict[str, int] = {}
        self._until: dict[str, int] = {}  # of AORs whose refresh is under way

    def __len__(self) -> int:
        return sum(len(registration.bindings) for registration in self._by_aor.values())

    def holds(self, name: str) -> bool:
        """Whether any AOR of this object has a binding."""
        return name in self._aors_of

    def get(self, aor: str) -> Registration | None:
        """The registration of this AOR."""
        return self._by_aor.get(aor)

    def at(self, flow: Flow) -> list[Registration]:
        """The findable registrations with a binding by this flow, in order of their AORs' arrival."""
        return [self._by_aor[aor] for aor in self._aors_at.get(flow, ())]

    def all(self) -> tuple[Registration, ...]:
        """Every registration."""
        return tuple(self._by_aor.values())

    def replace(self, registration: Registration) -> None:
        """Set the bindings of one AOR; no bindings take it out."""
        aor, name, _, bindings = registration
        previous = self._by_aor.get(aor)
        if self._findable is not None and self._findable(aor):
            self._find_by_flow(aor, () if previous is None else previous.bindings, bindings)
        if bindings:
            self._by_aor[aor] = registration
            self._note_end(aor, min([binding.expires_ms for binding in bindings]))
            if previous is None or previous.name != name:
                self._count(name, 1)
        elif previous is not None:
            del self._by_aor[aor]
            self._until.pop(aor, None)
        if previous is not None and not (bindings and previous.name == name):
            self._count(previous.name, -1)

    def prolong(self, registration: Registration, now_ms: int) -> None:
        """Every binding of a registration held here counts again for its whole granted time.

        Ends only move away from what the heap has noted, and `next_expiry` sets that right when it comes.
        """
        for binding in registration.bindings:
            binding.expires_ms = now_ms + 1000 * binding.granted_s

    def outlast(self, aor: str, until_ms: int) -> bool:
        """No binding of this AOR ends before that or `let_end`: the PBX may grant its refresh until then.

        False when none would.
        """
        registration = self._by_aor.get(aor)
        if registration is None or self._end(registration) >= until_ms:
            return False
        self._until[aor] = until_ms
        return True

    def let_end(self, aor: str) -> None:
        """Nothing is under way any more: what has ended meanwhile is due."""
        registration = self._by_aor.get(aor)
        if self._until.pop(aor, None) is not None and registration is not None:
            self._note_end(aor, self._end(registration))

    def expire(self, now_ms: int) -> list[Registration]:
        """Take out what ended at `now_ms` or before; the registrations that changed, as they were before."""
        changed: list[Registration] = []
        if not self._ends or self._ends[0][0] > now_ms:
            return changed
        while (end := self.next_expiry()) is not None and end <= now_ms:
            before = self._by_aor[self._ends[0][1]]
            until = self._until.get(before.aor, 0)
            if until > now_ms:
                heappop(self._ends)
                del self._end_of[before.aor]
                self._note_end(before.aor, until)
                continue
            kept = tuple(binding for binding in before.bindings if binding.expires_ms > now_ms)
            self.replace(before._replace(bindings=kept))
            changed.append(before)
        return changed

    def next_expiry(self) -> int | None:
        """When the next binding ends, in monotonic ms."""
        while self._ends:
            noted, aor = self._ends[0]
            registration = self._by_aor.get(aor)
            if registration is not None and self._end_of.get(aor) == noted:
                actual = self._end(registration)
                if aor in self._until:  # it may have been due before, and is kept
                    actual = max(actual, noted)
                if actual == noted:
                    return noted
                del self._end_of[aor]
                heappop(self._ends)
                self._note_end(aor, actual)
                continue
            heappop(self._ends)
            if registration is None and self._end_of.get(aor) == noted:
                del self._end_of[aor]
        return None

    def restore(self, registrations: Iterable[Registration], now_ms: int) -> None:
        """Take stored registrations in: each binding counts again for its whole granted time."""
        for registration in registrations:
            bindings = tuple(
                replace(binding, expires_ms=now_ms + 1000 * binding.granted_s)
                for binding in registration.bindings
            )
            self.replace(registration._replace(bindings=bindings))

    def _find_by_flow(self, aor: str, before: tuple[Binding, ...], after: tuple[Binding, ...]) -> None:
        for binding in before:
            aors = self._aors_at.get(binding.flow)
            if aors is not None and aors.pop(aor, aors) is None and not aors:
                del self._aors_at[binding.flow]
        for binding in after:
            self._aors_at.setdefault(binding.flow, {})[aor] = None

    def _end(self, registration: Registration) -> int:
        return min([binding.expires_ms for binding in registration.bindings])

    def _note_end(self, aor: str, end_ms: int) -> None:
        noted = self._end_of.get(aor)
        if noted is None or end_ms < noted:
            self._end_of[aor] = end_ms
            heappush(self._ends, (end_ms, aor))

    def _count(self, name: str, change: int) -> None:
        count = self._aors_of.get(name, 0) + change
        if count:
            self._aors_of[name] = count
        else:
            del self._aors_of[name]
