"""An installation with a calendar: what is ordered or comes by itself on a day, in the real ledger."""

from dataclasses import dataclass

from licensing import administration
from licensing.codes import Refusal
from licensing.files import inventory, transfer
from licensing.files.inventory import Item
from licensing.ledger import AnyEvent
from licensing.terms import day, following
from licensing.terms.lot import Lot
from licensing.terms.term_events import Reminded
from tests.licensing.house import CATALOGUE, House


def on(text: str) -> int:
    """The day of `2026-03-10`."""
    found = day.parse(text)
    assert found is not None, text
    return found


@dataclass
class Agreements(House):
    """A House whose days pass; `today` as people write it."""

    today: str = "2026-03-10"

    @property
    def day(self) -> int:
        return on(self.today)

    def order(self, decided: list[AnyEvent] | Refusal | tuple[Refusal, ...]) -> Refusal | None:
        """Make a decision true as the service does; the refusal, or None."""
        if isinstance(decided, tuple):
            return decided[0]
        if isinstance(decided, Refusal):
            return decided
        made = administration.change(self.state, decided, self.demands)
        self.apply(following.as_dated(made, self.day))
        return None

    def stock(self, type_: str, count: int, place: str | None = None) -> None:
        """Install units today."""
        assert self.order(inventory.stocked(self.state, CATALOGUE, [Item(type_, count, place)], None)) is None

    def move(self, type_: str, count: int, source: str | None, target: str | None) -> None:
        """Units are transferred to another place."""
        moved = transfer.transfer(self.state, CATALOGUE, Item(type_, count, source), target)
        assert isinstance(moved, administration.Change), moved
        assert self.order(list(moved.events)) is None

    def until(self, text: str) -> list[str]:
        """Let every day pass up to this one; what was reminded of, `before kind`."""
        said: list[str] = []
        for each in range(self.day, on(text) + 1):
            self.today = day.shown(each)
            said += self.follow()
        return said

    def follow(self) -> list[str]:
        """What this day brings by itself; its reminders."""
        events = following.follow(self.state, self.day)
        assert self.order(events) is None
        assert following.follow(self.state, self.day) == [], "done twice"
        return [f"{event.before} {event.kind}" for event in events if isinstance(event, Reminded)]

    def lot(self, number: int = 1) -> Lot:
        return self.state.book.lots[number]
