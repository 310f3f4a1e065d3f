"""The LAN of one site: an agent between its PBX and its phones, and what the simulation sees pass there."""

import asyncio
from random import Random
from typing import TYPE_CHECKING

from licensing.site.occupancy import State as Seat
from telephony.address import Flow
from telephony.sip.transaction import GIVE_UP_MS
from tests.simulation.services.machines import AgentMachine
from tests.simulation.services.sip import DOMAIN, Final, Pbx, Phone, headers_of, user_of, value_of
from tests.simulation.services.watch import BrokenError

if TYPE_CHECKING:
    from tests.simulation.services.world import World

DRAWN = (Seat.RESERVED, Seat.PASSING)
UNITS = (*DRAWN, Seat.HELD, Seat.SURPLUS)  # the last two were found after a crash, by a noted reservation
CALMER = 5  # times the pause in which who is refused in calm asks again: there are moments without news
ANSWERED_WITHIN_S = 14.0  # who waits for its turn waits up to 12 s


class SimulatedSite:
    """Phones, PBX and the wires between them and the agent."""

    def __init__(self, world: "World", agent: AgentMachine, dice: Random) -> None:
        self.world = world
        self.agent = agent
        self.dice = dice
        self.record = world.watch.sites[agent.name]
        mix = world.mix
        self.pbx = Pbx(world.loop, dice, mix.granted_s, self._from_pbx, moody=mix.moody)
        self.pbx_host = f"{agent.net}.250"
        self.disturbed_us = 0
        self.phones: list[Phone] = []
        self.acked: dict[str, int] = {}  # user to the end of the binding its phone was told of, us
        self.refusals = 0
        self._came: dict[tuple[str, bytes], int] = {}  # when each REGISTER came first, until it is forwarded
        self._seen: set[tuple[str, bytes]] = set()
        self._told: set[bytes] = set()
        self._first: dict[tuple[str, int], int] = {}  # by CSeq: the end that its first 200 gave a binding, us
        self._underway: set[str] = set()
        self._asking: set[tuple[str, bytes]] = set()  # REGISTERs that this process has seen
        for number in range(mix.phones):
            user = f"{agent.name}{number}"
            self.phones.append(Phone(world.loop, user, f"{agent.net}.{10 + number}", self._from_phone))
            self.record.live[user] = {}
        agent.leaves = self._leaves
        agent.speaks = lambda path, body: world.watch.speaks(agent.name, path, body)
        agent.started = self._started

    def begin(self) -> None:
        """The phones are switched on."""
        for phone in self.phones:
            self.world.person(self._live(phone))

    def settled(self, user: str) -> bool:
        """Whether this user is registered and no REGISTER is on its way there, which may just be bound."""
        return self.pbx.holds(user) and user not in self._underway

    def disturb(self) -> None:
        """Something happened here: who waits now may be kept waiting."""
        self.disturbed_us = self.world.loop.now_us

    # wires

    def _wire(self, base_s: float) -> list[float]:
        dice, loss = self.dice, self.world.mix.lan_loss
        if not loss or self.world.calm:
            return [base_s]
        if dice.random() < loss:
            return []
        copies = 2 if dice.random() < loss else 1
        return [base_s + dice.random() * 0.3 for _ in range(copies)]

    def _from_phone(self, phone: Phone, data: bytes) -> None:
        for delay in self._wire(0.002):
            self.world.later(delay, self._comes, phone, data)

    def _comes(self, phone: Phone, data: bytes) -> None:
        number = (phone.user, dict(headers_of(data))[b"cseq"])
        if self.agent.open is not None and not self.agent.paused:
            if number not in self._seen:
                self._seen.add(number)
                self._came[number] = self.world.loop.now_us
            if number not in self._asking and b"\r\nExpires: 0\r\n" not in data:
                self._asking.add(number)
                self._refreshes(phone.user, phone.cseq)
        self.world.to_agent(self.agent, data, phone.host)

    def _from_pbx(self, data: bytes) -> None:
        for delay in self._wire(0.003):
            self.world.later(delay, self._pbx_answers, data)

    def _pbx_answers(self, data: bytes) -> None:
        if self.agent.open is not None and not self.agent.paused:
            self._note_bindings(data)
        self.world.to_agent(self.agent, data, self.pbx_host)
        self._underway.discard(user_of(data))

    def _leaves(self, flow: Flow, data: bytes) -> None:
        if flow.host == self.pbx_host:
            if data.startswith(b"REGISTER "):
                self._underway.add(user_of(data))
                self._forwarded(data)
            for delay in self._wire(0.003):
                self.world.later(delay, self.pbx.receive, data)
            return
        phone = next(phone for phone in self.phones if phone.host == flow.host)
        bound = data.startswith(b"SIP/2.0 200") and b";expires=" in data
        if bound and data not in self._told:  # who repeats a request gets its answer even when that is over
            self._told.add(data)
            if f"{phone.user}@{DOMAIN}" not in self.record.bound:
                raise BrokenError(f"{phone.user} is told 200, and no disk knows of its binding")
        for delay in self._wire(0.002):
            self.world.later(delay, phone.receive, data)

    # what is seen there

    def _note_bindings(self, data: bytes) -> None:
        """A final answer of the PBX on its way to the guard: who is bound until when, no sooner there."""
        user, cseq, ends, now_us = "", 0, dict[bytes, int](), self.world.loop.now_us
        for name, line in headers_of(data):
            if name == b"cseq":
                cseq = int(value_of(line).split()[0])
            elif name == b"to":
                user = value_of(line).partition(b"sip:")[2].partition(b"@")[0].decode()
            elif name == b"contact":
                contact, _, seconds = value_of(line).rpartition(b";expires=")
                ends[contact] = now_us + int(seconds) * 1_000_000
                self.record.longest_s = max(self.record.longest_s, int(seconds))
        if self.record.refreshing.get(user, (0, 0))[0] == cseq:
            self.record.refreshing[user] = 0, now_us  # nothing keeps it any more
        if not data.startswith(b"SIP/2.0 200"):
            return
        before = self.record.live[user]
        if not ends:
            self.record.live[user] = before if any(before.values()) and self.world.mix.lan_loss else {}
            return
        self._first.setdefault((user, cseq), max(ends.values()))
        self.record.live[user] = {contact: max(end, before.get(contact, 0)) for contact, end in ends.items()}

    def _forwarded(self, data: bytes) -> None:
        """Only what is bound, or has drawn a unit, reaches the PBX with credentials."""
        if b"\r\nAuthorization:" not in data or b"\r\nExpires: 0\r\n" in data or self.agent.open is None:
            return
        found = dict(headers_of(data))
        user = value_of(found[b"to"]).partition(b"sip:")[2].partition(b"@")[0].decode()
        came_us = self._came.pop((user, found[b"cseq"]), 0)
        if not came_us or self.record.end_of(user) > came_us:
            return  # repeated: it was decided once; or a refresh, even if it waited for the disk meanwhile
        state = self.agent.open.site.seats.state_of(user)
        if self.agent.open.site.guard.holds(user) and state not in DRAWN:
            raise BrokenError(f"{user} reaches the PBX as a refresh, its binding has ended: {state.name}")
        if state not in UNITS:
            raise BrokenError(f"{user} reaches the PBX without a unit: {state.name}")

    def _refreshes(self, user: str, cseq: int) -> None:
        """It goes on at once: while the PBX may grant it, what it refreshes does not end (decision 0055)."""
        now_us = self.world.loop.now_us
        if self.record.end_of(user) > now_us:
            self.record.refreshing[user] = cseq, now_us + GIVE_UP_MS * 1_000

    def _started(self) -> None:
        """A new process: what phones were told is remembered, and no want falls while in doubt."""
        pbx = self.agent.open
        assert pbx is not None
        now_us = self.world.loop.now_us
        for user, end in self.acked.items():
            if end > now_us and self.pbx.holds(user) and not pbx.site.guard.holds(user):
                raise BrokenError(f"{user} was told 200 until {end} and is forgotten")
        granted_us = self.world.mix.granted_s * 1_000_000
        for user, ends in self.record.live.items():
            held = pbx.site.guard.holds(user)
            known = ends or [b"unknown"]  # it may have left, and nobody wrote it down
            self.record.live[user] = dict.fromkeys(known, now_us + granted_us) if held else {}
        self.record.waits.clear()
        self._came.clear()
        self._first.clear()
        self._underway.clear()
        self._asking.clear()
        self.record.refreshing.clear()
        if pbx.site.seats.recovering:
            self.record.floor = dict(self.record.caps)
            self.record.floor_until_us = self.agent.began_us + self.record.longest_s * 1_000_000

    # the phones

    async def _live(self, phone: Phone) -> None:
        dice, world = self.dice, self.world
        await asyncio.sleep(dice.random() * 4)
        refused = 0  # times in a row, in calm
        while True:
            final = await self._transaction(phone, 60)
            if final.status == 200:
                refused = 0
                await self._registered(phone, final.expires_s)
            elif world.calm:
                refused += 1
                await asyncio.sleep(dice.uniform(0.5, 2.0) * min(refused, CALMER))
            else:
                await asyncio.sleep(dice.uniform(0.3, 5.0))

    async def _registered(self, phone: Phone, expires_s: int) -> None:
        dice = self.dice
        restless = not self.world.calm and dice.random() < self.world.mix.restless
        if not restless:
            await asyncio.sleep(expires_s * dice.uniform(0.4, 0.9))
        elif dice.random() < 0.4:
            await asyncio.sleep(dice.uniform(0.1, expires_s))
            self.acked.pop(phone.user, None)
            await self._transaction(phone, 0)
            await asyncio.sleep(dice.uniform(0.1, 6.0))
        elif dice.random() < 0.5:
            await self._at_expiry(phone)
        else:
            await asyncio.sleep(expires_s + dice.uniform(0.1, 6.0))

    async def _at_expiry(self, phone: Phone) -> None:
        """Until the very millisecond in which the guard's binding ends: the next REGISTER arrives then."""
        ends = [end for end in self.record.live[phone.user].values() if end > self.world.loop.now_us]
        if ends:
            await asyncio.sleep((max(ends) - self.world.loop.now_us) / 1_000_000 - 0.002)

    async def _transaction(self, phone: Phone, expires_s: int) -> Final:
        credentials = self.dice.random() < 0.8
        final = await self._asked(phone, expires_s, credentials=credentials)
        if final.status == 401:
            final = await self._asked(phone, expires_s, credentials=True)
        return final

    async def _asked(self, phone: Phone, expires_s: int, *, credentials: bool) -> Final:
        loop = self.world.loop
        began, user = loop.now_us, phone.user
        bound = self.pbx.holds(user) and self.acked.get(user, 0) > began
        final = await phone.register(expires_s, credentials=credentials)
        still = self.pbx.holds(user) and self.acked.get(user, 0) > loop.now_us
        if bound and still and final.code and not final.by_pbx:
            raise BrokenError(f"{user} was registered and is refused: {final}")
        self._was_answered(user, began, final)
        if final.status == 200 and expires_s:
            # A 200 that waited for the disk, or was lost, comes late: the binding ends when the PBX said.
            end = loop.now_us + final.expires_s * 1_000_000
            self.acked[user] = min(end, self._first.get((user, phone.cseq), end))
        elif final.status == 200 or (self.acked.get(user, 0) <= loop.now_us):
            self.acked.pop(user, None)
        return final

    def _was_answered(self, user: str, began_us: int, final: Final) -> None:
        mix, now_us = self.world.mix, self.world.loop.now_us
        undisturbed = self.disturbed_us < began_us and self.agent.open is not None
        perfect = not mix.lan_loss and not mix.moody and mix.disk_ms <= 20
        took_s = (now_us - began_us) / 1_000_000
        if undisturbed and perfect and took_s > ANSWERED_WITHIN_S:
            raise BrokenError(f"{user} waited {took_s:.1f} s for {final}")
