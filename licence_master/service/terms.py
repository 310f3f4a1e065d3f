"""What ends and what is paid: SSA, credits, rent, devices, reminders; by an order, or because it is the day.

The day is that of the master's clock in UTC.
"""

from collections.abc import Sequence
from operator import is_

from licence_master.service.answers import Answers
from licence_master.service.writer import Writer
from licensing import administration
from licensing.catalogue import Catalogue
from licensing.codes import Code, Refusal
from licensing.files.inventory import Item
from licensing.ledger import AnyEvent
from licensing.state import State
from licensing.terms import agreeing, crediting, day, following, registering, renting, upgrading
from licensing.terms.agreeing import Wanted
from licensing.terms.credit import Unit
from licensing.terms.release import Release
from licensing.terms.upgrading import Right
from runtime.logs import logger

Decided = list[AnyEvent] | Refusal


class Terms:
    """The terms of one installation; `releases` may be replaced while serving."""

    def __init__(
        self, writer: Writer, answers: Answers, catalogue: Catalogue, releases: tuple[Release, ...] = ()
    ) -> None:
        self.releases = releases
        self._writer = writer
        self._answers = answers
        self._catalogue = catalogue
        self._followed: tuple[int, tuple[object, ...]] = (0, ())
        self._log = logger(installation=writer.name)

    @property
    def today(self) -> int:
        """The day it is."""
        return day.of_ms(self._writer.clock.wall_ms())

    @property
    def state(self) -> State:
        """The installation's state now."""
        return self._writer.state

    async def follow(self) -> None:
        """Do what this day brings; nothing when it was done already."""
        today, ground, no_room = self.today, self._ground(), self._writer.no_room
        if today == self._followed[0] and all(map(is_, ground, self._followed[1])):
            return
        events = following.follow(self.state, today, only_rent=no_room)
        if events:
            await self._commit(events, following.ACTOR)
        elif not no_room:
            self._followed = (today, ground)

    def _ground(self) -> tuple[object, ...]:
        """What is due today follows from these; a state in which none of it changed has these very values."""
        return self.state.book, self.state.entitlements, self.state.documents

    async def agree(self, wanted: Wanted, actor: str) -> Refusal | None:
        """Put a lot under SSA."""
        decided = agreeing.agree(self.state, self._catalogue, wanted, self.today, actor)
        return await self._order(decided, actor)

    async def prolong(self, lot: str, years: int | None, ssc: int | None, actor: str) -> Refusal | None:
        """A further term of an SSA."""
        decided = agreeing.prolong(self.state, self._catalogue, lot, self.today, actor, years=years, ssc=ssc)
        return await self._order(decided, actor)

    async def set_auto(self, lot: str, actor: str, *, auto: bool) -> Refusal | None:
        """Prolong an SSA by itself, or no more."""
        return await self._order(agreeing.set_auto(self.state, self._catalogue, lot, auto=auto), actor)

    async def end_ssa(self, lot: str, actor: str) -> Refusal | None:
        """End an SSA now."""
        return await self._order(agreeing.end(self.state, self._catalogue, lot), actor)

    def rights(self, release: int) -> list[Right] | Refusal:
        """What the installed units are entitled to at a release of the configuration."""
        known = self._release(release)
        return known if isinstance(known, Refusal) else upgrading.rights(self.state, known)

    async def upgrade(self, item: Item, release: int, actor: str) -> Refusal | None:
        """Turn units into those of a newer release, where an SSA includes it."""
        known = self._release(release)
        if isinstance(known, Refusal):
            return known
        decided = upgrading.upgrade(self.state, self._catalogue, item, known, self.today)
        return await self._order(decided, actor)

    async def confirm(self, offer: int, actor: str) -> Refusal | None:
        """Take what was offered."""
        return await self._order(upgrading.confirm(self.state, self._catalogue, offer), actor)

    async def credit(self, unit: Unit, amount: int, why: str, actor: str) -> Refusal | None:
        """Book credits that were bought."""
        return await self._order(crediting.credit(self.state, unit, amount, why, self.today, actor), actor)

    async def debit(self, unit: Unit, amount: int, why: str, actor: str) -> Refusal | None:
        """Book credits that were spent elsewhere."""
        return await self._order(crediting.debit(self.state, unit, amount, why, self.today, actor), actor)

    async def adjust(self, unit: Unit, balance: int, why: str, actor: str) -> Refusal | None:
        """Make the balance what the vendor's portal says."""
        return await self._order(crediting.adjust(self.state, unit, balance, why, self.today, actor), actor)

    async def rent(self, item: Item, isc: int, days: int, actor: str) -> Refusal | None:
        """Rent units from today on."""
        return await self._order(
            renting.start(self.state, self._catalogue, item, isc, days, self.today), actor
        )

    async def end_rent(self, number: int, count: int | None, actor: str) -> Refusal | None:
        """Give rented units back."""
        return await self._order(renting.end(self.state, number, count, self.today), actor, grows=False)

    async def register(
        self, mac: str, model: str, serial: str, bought_day: int, actor: str
    ) -> Refusal | None:
        """Add a device to the register, or correct it."""
        decided = registering.register(self.state, mac, model, serial, bought_day, self.today)
        return await self._order(decided, actor)

    async def extend(self, mac: str, actor: str) -> Refusal | None:
        """Extend the warranty of a device."""
        return await self._order(registering.extend(self.state, mac), actor)

    async def drop(self, mac: str, actor: str) -> Refusal | None:
        """Take a device out of the register."""
        return await self._order(registering.drop(self.state, mac), actor, grows=False)

    def _release(self, number: int) -> Release | Refusal:
        known = next((each for each in self.releases if each.release == number), None)
        if known is not None:
            return known
        advice = "Write when it was published into releases: of master.yaml, and reload."
        return Refusal(Code.NOT_FOUND, f"no release {number} in the configuration", advice)

    async def _order(self, decided: Decided, actor: str, *, grows: bool = True) -> Refusal | None:
        if isinstance(decided, Refusal):
            return decided
        if grows and decided and self._writer.no_room:
            return Refusal(Code.DISK_FULL)
        await self._commit(decided, actor)
        await self.follow()
        return None

    async def _commit(self, events: Sequence[AnyEvent], actor: str) -> None:
        before = self.state
        change = administration.change(before, events, self._answers.demands, self._answers.silent())
        change = following.as_dated(change, self.today)
        durable = self._writer.commit(change.state, change.events, actor)
        self._tell_rent(before)
        await durable
        for agent in sorted(change.wake):
            self._writer.wakes.wake(agent)

    def _tell_rent(self, before: State) -> None:
        """Whether rented units count is no event: it follows from the balance."""
        was, now = bool(before.book.isc), bool(self.state.book.isc)
        if was == now or not self.state.rental:
            return
        units = sum(each.count for each in self.state.entitlements.values() if each.rental is not None)
        if now:
            self._log.info("rental.resumed", units=units, isc=self.state.book.isc)
        else:
            hint = "book iSC: licence-master credits add isc; phones in use go on, nothing new is granted"
            self._log.warning("rental.stopped", units=units, hint=hint)
