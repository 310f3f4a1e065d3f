"""The uses of one PBX: who takes a unit by which use, from the moment it asks to the moment it ends.

A use asks the classes that could serve it in order of preference; the first that has a unit gives it, and
there it goes back (L.r24). Where no class has one, the refusal is that of the preferred class. The caller
passes what `Seats.settle` says through `settle`, and writes `drain_changes` down before it tells anyone.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from licensing.codes import Code
from licensing.site.decision import ADMITTED, WAITING, Admitted, Decision, Refused, Waiting, refused
from licensing.site.seat import Seats
from licensing.site.use import Use

U = TypeVar("U")


@dataclass(frozen=True, slots=True)
class Change:
    """A use that began, or (None) the one of this key that ended."""

    key: str
    use: Use | None


@dataclass(frozen=True, slots=True)
class Ended:
    """A wait that is over: for which use, and how."""

    key: str
    decision: Decision


@dataclass(frozen=True, slots=True)
class _Wish:
    """One use in every form that could serve it, the one that is asked for now, and the first refusal."""

    ways: tuple[Use, ...]
    at: int = 0
    no: Refused | None = None

    @property
    def now(self) -> Use:
        return self.ways[self.at]

    @property
    def last(self) -> bool:
        return self.at == len(self.ways) - 1


class Uses:
    """Every use of one PBX, those that wait for a unit included."""

    def __init__(self, seats: Seats, stored: Iterable[Use] = ()) -> None:
        """Go on with the stored uses, the oldest first; their seats were `restored` already."""
        self.seats = seats
        self._uses: dict[str, Use] = {}
        self._groups: dict[tuple[type[Use], str], dict[str, Use]] = {}
        self._seated: dict[str, set[str]] = {}
        self._since_ms: dict[str, int] = {}
        self._wishes: dict[str, dict[str, _Wish]] = {}
        self._asking: dict[str, str] = {}
        self._changes: list[Change] = []
        for use in stored:
            self._put(use, 0)
        self._changes.clear()

    def get(self, key: str) -> Use | None:
        """The use of this key, once it was admitted."""
        return self._uses.get(key)

    def all(self) -> dict[str, Use]:
        """Every use that goes on, by key, the oldest first."""
        return dict(self._uses)

    def asked(self) -> tuple[str, ...]:
        """The keys of the uses that wait for a unit."""
        return tuple(self._asking)

    def wanted(self, key: str) -> Use:
        """The form in which a use that waits was asked for first, whose refusal it will hear."""
        return self._wishes[self._asking[key]][key].ways[0]

    def group(self, type_: type[U], name: str) -> list[U]:
        """The uses of one type that are looked up by this name, the oldest first; last those that wait."""
        admitted = self._groups.get((type_, name), {}).values()  # type: ignore[arg-type] # U is one of Use
        waiting = [wish.now for wishes in self._wishes.values() for wish in wishes.values()]
        asked = [use for use in waiting if use.group == name]
        return [use for use in (*admitted, *asked) if isinstance(use, type_)]

    # Take and end

    def take(self, ways: Sequence[Use], now_ms: int) -> Decision:
        """Take a unit for a use: `ways` are its forms in order of preference, all with one key and one seat.

        Admitted: it is held from now on. Waiting: `settle` will name its key. A use that goes on already is
        admitted again.
        """
        first = ways[0]
        known = self._uses.get(first.key)
        if known is None:
            decision = self._ask(_Wish(tuple(ways)), now_ms)
            self._vacate(first.seat, now_ms)
            return decision
        return ADMITTED if self.seats.serves(known.kind, first.software) else self._too_new(first)

    def refuse(self, use: Use, code: Code, now_ms: int) -> Decision:
        """Refuse for a reason that no unit would mend; report mode lets it pass all the same."""
        return self._concluded(use, refused(use.seat, code, self.seats.policy.refuse), now_ms)

    def found(self, use: Use, now_ms: int) -> None:
        """It goes on already, or must never be refused: without a unit for it, it is surplus."""
        if use.key not in self._uses:
            self.seats.commit(use.seat, use.kind, now_ms)
            self._put(use, now_ms)

    def end(self, key: str, now_ms: int) -> bool:
        """The use is over, or nobody waits for it any more; False when there was none."""
        seat = self._asking.pop(key, None)
        if seat is not None:
            self._wishes[seat].pop(key)
            if not self._wishes[seat]:
                del self._wishes[seat]
        use = self._uses.get(key)
        if use is not None:
            seat = use.seat
            self._take_out(use)
        if seat is None:
            return False
        self._vacate(seat, now_ms)
        return True

    def settle(self, settled: Iterable[tuple[str, Decision]], now_ms: int) -> list[Ended]:
        """The waits that the decisions on these seats end; a decision may begin another wait instead."""
        ended = []
        for seat, decision in settled:
            for key, wish in sorted(self._wishes.pop(seat, {}).items(), key=self._is_too_new):
                del self._asking[key]
                last = self._went(wish, decision, now_ms)
                if not isinstance(last, Waiting):
                    ended.append(Ended(key, last))
            self._vacate(seat, now_ms)
        return ended

    def owns(self, seat: str) -> bool:
        """Whether a use waits for the seat of this name."""
        return seat in self._wishes

    # The PBX's own word, and the store

    def snapshot(self, type_: type[Use], present: Iterable[Use], asked_ms: int, now_ms: int) -> None:
        """What the PBX, asked at `asked_ms`, says goes on of one type: the rest is over."""
        there = {use.key: use for use in present}
        for key, use in list(self._uses.items()):
            if isinstance(use, type_) and key not in there and self._since_ms[key] < asked_ms:
                self.end(key, now_ms)
        for use in there.values():
            self.found(use, now_ms)

    def drain_changes(self) -> list[Change]:
        """What began and ended since the last call, in order."""
        changes, self._changes = self._changes, []
        return changes

    # How it is done

    def _ask(self, wish: _Wish, now_ms: int) -> Decision:
        use = wish.now
        if not self.seats.serves(use.kind, use.software):
            return self._went(wish, self._too_new(use), now_ms)
        return self._went(wish, self.seats.decide(use.seat, use.kind, now_ms, tentative=True), now_ms)

    def _went(self, wish: _Wish, decision: Decision, now_ms: int) -> Decision:
        """The form asked for was decided: hold it, wait, try the next, or give the first one's refusal."""
        use = wish.now
        match decision:
            case Waiting():
                self._wishes.setdefault(use.seat, {})[use.key] = wish
                self._asking[use.key] = use.seat
                return WAITING
            case Admitted() if self.seats.serves(use.kind, use.software):
                return self._held(use, now_ms)
            case Admitted():
                decision = self._too_new(use)
            case Refused() if not self.seats.serves(use.kind, use.software):
                decision = self._too_new(use)
            case Refused():
                pass
        no = wish.no or decision
        if not wish.last:
            return self._ask(replace(wish, at=wish.at + 1, no=no), now_ms)
        return self._concluded(wish.ways[0], no, now_ms)

    def _concluded(self, use: Use, no: Refused, now_ms: int) -> Decision:
        """The last word is the policy's: counted and told, or excused.

        A unit that came and does not serve it goes back before, for who has a seat is not told to be refused.
        """
        self._vacate(use.seat, now_ms)
        decision = self.seats.refuse(use.seat, use.kind, no, now_ms)
        return self._held(use, now_ms) if isinstance(decision, Admitted) else decision

    def _is_too_new(self, asked: tuple[str, _Wish]) -> bool:
        """Those whom the unit serves come first: it is theirs before it may go back."""
        use = asked[1].now
        return not self.seats.serves(use.kind, use.software)

    def _too_new(self, use: Use) -> Refused:
        return refused(use.seat, Code.LICENCE_VERSION_TOO_LOW, self.seats.policy.refuse)

    def _held(self, use: Use, now_ms: int) -> Decision:
        self.seats.commit(use.seat, use.kind, now_ms)
        self._put(use, now_ms)
        return ADMITTED

    def _put(self, use: Use, now_ms: int) -> None:
        self._uses[use.key] = use
        self._groups.setdefault((type(use), use.group), {})[use.key] = use
        self._seated.setdefault(use.seat, set()).add(use.key)
        self._since_ms[use.key] = now_ms
        self._changes.append(Change(use.key, use))

    def _take_out(self, use: Use) -> None:
        del self._uses[use.key], self._since_ms[use.key]
        group = self._groups[type(use), use.group]
        del group[use.key]
        if not group:
            del self._groups[type(use), use.group]
        seated = self._seated[use.seat]
        seated.remove(use.key)
        if not seated:
            del self._seated[use.seat]
        self._changes.append(Change(use.key, None))

    def _vacate(self, seat: str, now_ms: int) -> None:
        """A seat that no use holds and none waits for is given back."""
        if seat not in self._seated and seat not in self._wishes:
            self.seats.release(seat, now_ms)
