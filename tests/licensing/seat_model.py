"""The seats again, as plainly as possible: one class, a dict of objects, everything counted each time."""

from dataclasses import dataclass, field

from licensing.codes import Code
from licensing.site.decision import ADMITTED, RESERVED, WAITING, Decision, refused
from licensing.site.occupancy import State
from licensing.site.want import nominal_spare

LINGER_MS = {"user": 5_000, "trunk": 0}
KINDS = ("user", "trunk")


@dataclass
class Thing:
    """One object that is somewhere."""

    name: str
    kind: str
    proven: bool
    state: State
    order: int
    since: int
    until: int = 0
    turn: int = 0
    excused: int = -1
    marked: bool = False


@dataclass
class SeatModel:
    """What `Seats` should do, with no thought for speed."""

    proven: set[str] = field(default_factory=set)
    things: dict[str, Thing] = field(default_factory=dict)
    settled: dict[str, Decision] = field(default_factory=dict)
    usable: int = 0
    lent: int = 0
    recall: int | None = None
    short: bool = False
    over: bool = False
    denial: tuple[Code, int] | None = None
    enforcement: str = "enforce"
    away: str = "refuse"
    synced: bool = False
    bypass_until: int | None = None
    floor: int = 0
    floor_until: int | None = None
    asks: int = 0
    covered: int = 0
    answers: int = 0
    written: int = 0
    idle_written: int = 0
    refused: int = 0
    peak: int = 0
    refused_asked: int = 0
    peak_asked: int = 0
    clock: int = 0

    # Counting

    def those(self, *states: State) -> list[Thing]:
        found = [thing for thing in self.things.values() if thing.state in states]
        return sorted(found, key=lambda thing: thing.order)

    def count(self, *states: State) -> int:
        return len(self.those(*states))

    @property
    def busy(self) -> int:
        return self.count(State.HELD, State.RESERVED)

    @property
    def limit(self) -> int:
        return self.usable if self.recall is None else min(self.usable, max(self.recall, self.busy))

    @property
    def room(self) -> int:
        return 0 if self.over else max(0, self.limit - self.busy)

    @property
    def kept(self) -> int:
        return 0 if self.over else max(0, self.usable - self.busy)

    def admits(self, proven: bool) -> bool:
        trying = sum(not thing.proven for thing in self.those(State.RESERVED))
        free = self.room + trying
        return self.room > 0 and (proven or trying < 1 or trying + 1 <= free // 10)

    @property
    def lenient(self) -> bool:
        return self.enforcement == "report" or self.bypass_until is not None

    # Steps

    def put(self, thing: Thing, state: State, now: int) -> None:
        self.clock += 1
        thing.state, thing.order, thing.since = state, self.clock, now
        self.things[thing.name] = thing
        if state is State.FREE:
            del self.things[thing.name]
        self.peak = max(self.peak, self.count(State.HELD))

    def make_unit(self, now: int) -> None:
        if self.busy + self.count(State.LINGERING) >= self.limit and self.count(State.LINGERING):
            first = min(self.those(State.LINGERING), key=lambda thing: (thing.until, thing.name))
            self.put(first, State.FREE, now)

    def balance(self, now: int) -> None:
        while self.busy + self.count(State.LINGERING) > self.limit and self.count(State.LINGERING):
            first = min(self.those(State.LINGERING), key=lambda thing: (thing.until, thing.name))
            self.put(first, State.FREE, now)
        self.cut(now)
        while (thing := self.next_one()) is not None:
            self.make_unit(now)
            if thing.state is State.SURPLUS:
                self.put(thing, State.HELD, now)
            else:
                thing.until = 0
                self.put(thing, State.RESERVED, now)
                self.settled[thing.name] = RESERVED

    def cut(self, now: int) -> None:
        excess = max(0, self.busy - self.usable)
        newest = [*reversed(self.those(State.HELD)), *reversed(self.those(State.RESERVED))][:excess]
        front = min((thing.order for thing in self.those(State.SURPLUS)), default=0) - len(newest)
        for thing in newest:
            thing.marked = True
            held = thing.state is State.HELD
            self.put(thing, State.SURPLUS if held else State.PASSING, now)
        for place, thing in enumerate(thing for thing in reversed(newest) if thing.state is State.SURPLUS):
            thing.order = front + place

    def next_one(self) -> Thing | None:
        surplus = self.those(State.SURPLUS)
        if surplus and not self.room:
            surplus = [thing for thing in surplus if thing.marked and self.kept]
            return surplus[0] if surplus else None
        if surplus:
            return surplus[0]
        for proven in (True, False):
            queue = [thing for thing in self.those(State.WAITING) if thing.proven is proven]
            if queue and self.admits(proven):
                return queue[0]
        return None

    def turn(self) -> list[Thing]:
        waiting = self.those(State.WAITING)
        return sorted(waiting, key=lambda thing: not thing.proven)

    def refuse(self, thing: Thing, code: Code, status: int, now: int) -> Decision:
        if self.lenient:
            return self.excuse(thing, now)
        self.refused += 1
        self.put(thing, State.FREE, now)
        return refused(thing.name, code, status)

    def excuse(self, thing: Thing, now: int) -> Decision:
        thing.excused = self.answers
        self.put(thing, State.PASSING, now)
        return RESERVED

    @property
    def reason(self) -> Code:
        return self.denial[0] if self.denial else Code.NO_FREE_LICENCE

    # What is asked of it

    def expire(self, now: int) -> None:
        if self.bypass_until is not None and self.bypass_until <= now:
            self.bypass_until = None
        if self.floor_until is not None and self.floor_until <= now:
            self.floor_until, self.floor = None, 0
        for thing in self.those(State.LINGERING):
            if thing.until <= now:
                self.put(thing, State.FREE, now)
        self.balance(now)
        blocked = self.turn()[: self.room]
        for thing in sorted(self.those(State.WAITING), key=lambda thing: thing.until):
            if thing.until > now:
                continue
            if thing in blocked and now - thing.since < 10_000:
                thing.until = now + 2_000
            elif thing in blocked:
                self.settled[thing.name] = self.refuse(thing, Code.RATE_LIMITED, 503, now)
            elif thing.turn < self.covered:
                self.settled[thing.name] = self.refuse(thing, self.reason, 403, now)
            elif self.away == "report":
                self.settled[thing.name] = self.excuse(thing, now)
            else:
                status = 403 if self.synced else 503
                self.settled[thing.name] = self.refuse(thing, Code.MASTER_AWAY, status, now)

    def next_expiry(self) -> int | None:
        times = [thing.until for thing in self.those(State.LINGERING, State.WAITING)]
        times += [time for time in (self.bypass_until, self.floor_until) if time is not None]
        return min(times, default=None)

    def decide(self, name: str, kind: str, now: int) -> Decision:
        self.expire(now)
        thing = self.things.get(name)
        if thing is not None:
            if thing.state is State.WAITING:
                return WAITING
            if thing.state is State.LINGERING:
                self.put(thing, State.RESERVED, now)
                return RESERVED
            return ADMITTED
        if kind not in KINDS:
            return ADMITTED
        if name in self.settled:
            return self.settled[name]
        thing = Thing(name, kind, name in self.proven, State.FREE, 0, now)
        if self.admits(thing.proven):
            self.make_unit(now)
            self.put(thing, State.RESERVED, now)
            return RESERVED
        if self.bypass_until is not None:
            return self.excuse(thing, now)
        thing.turn, thing.until = self.asks, now + 2_000
        self.put(thing, State.WAITING, now)
        return WAITING

    def commit(self, name: str, kind: str, now: int, *, found: bool = False) -> bool:
        self.expire(now)
        if kind not in KINDS:
            return True
        thing = self.things.get(name) or Thing(name, kind, name in self.proven, State.FREE, 0, now)
        if thing.state in (State.HELD, State.SURPLUS):
            return thing.state is State.HELD
        thing.marked = thing.marked or found
        self.proven.add(name)
        if thing.state is State.WAITING:
            self.settled[name] = ADMITTED
        if thing.state in (State.RESERVED, State.LINGERING):
            self.put(thing, State.HELD, now)
        elif self.kept if thing.marked else self.room:
            self.make_unit(now)
            self.put(thing, State.HELD, now)
        else:
            self.put(thing, State.SURPLUS, now)
        thing.proven, thing.until = True, 0
        self.balance(now)
        return self.things[name].state is State.HELD

    def release(self, name: str, now: int) -> None:
        self.expire(now)
        thing = self.things.get(name)
        if thing is None or thing.state is State.LINGERING:
            return
        if thing.state in (State.WAITING, State.RESERVED, State.PASSING):
            self.settled.pop(name, None)
        lingers = thing.state is State.RESERVED and thing.until > now
        if thing.state is State.HELD and LINGER_MS[thing.kind]:
            thing.until, lingers = now + LINGER_MS[thing.kind], True
        self.put(thing, State.LINGERING if lingers else State.FREE, now)
        self.balance(now)

    def may_call(self, name: str) -> bool:
        thing = self.things.get(name)
        if thing is None or thing.state is not State.SURPLUS or thing.marked:
            return True
        return self.lenient or thing.excused == self.answers

    def settle(self, now: int) -> list[tuple[str, Decision]]:
        self.expire(now)
        settled, self.settled = list(self.settled.items()), {}
        return settled

    # The sync

    @property
    def need(self) -> int:
        return self.busy + self.count(State.SURPLUS, State.WAITING)

    @property
    def want(self) -> int:
        kept = self.need + self.count(State.LINGERING)
        nominal = nominal_spare(self.count(State.HELD))
        want = kept
        if not self.short:
            steady = (nominal + 1) // 2 <= self.written - kept <= 2 * nominal
            want = self.written if steady else kept + nominal
        if self.recall is not None:
            unmarked = sum(not thing.marked for thing in self.those(State.SURPLUS))
            want = min(want, max(self.recall, self.need - unmarked))
        return max(want, self.floor)

    @property
    def idle(self) -> int:
        return max(0, self.want - max(self.need, self.floor))

    @property
    def urgent(self) -> bool:
        waiting = self.those(State.WAITING)
        if len(waiting) > self.room and waiting[-1].turn == self.asks:
            return True
        pressed = self.short or self.recall is not None
        less = self.want < self.written or self.idle > self.idle_written
        return self.want > self.written or (pressed and less)

    def ask(self) -> None:
        self.asks += 1
        want, idle = self.want, self.idle
        self.written, self.idle_written = want, idle
        self.refused_asked, self.refused = self.refused_asked + self.refused, 0
        self.peak_asked, self.peak = max(self.peak, self.peak_asked), self.count(State.HELD)
        self.lent, self.usable = min(self.lent, want), min(self.usable, want)

    def answer(
        self, units: int, recall: int | None, short: bool, denial: tuple[Code, int] | None, now: int
    ) -> None:
        self.answers += 1
        self.covered = self.asks
        self.refused_asked = self.peak_asked = 0
        self.denial = denial
        self.lend(units, units, recall, short, False, True, now)
        if denial is not None and denial[1] == 0:
            for thing in self.turn()[self.room :]:
                if thing.turn < self.covered:
                    self.settled[thing.name] = self.refuse(thing, self.reason, 403, now)

    def lend(
        self, lent: int, usable: int, recall: int | None, short: bool, over: bool, synced: bool, now: int
    ) -> None:
        self.synced = synced
        if self.asks == 0:
            self.written = lent
        self.lent, self.usable, self.recall, self.short, self.over = lent, usable, recall, short, over
        self.balance(now)
        self.expire(now)

    def bypass(self, until: int | None, now: int) -> None:
        self.expire(now)
        self.bypass_until = until if until is not None and until > now else None
        if self.bypass_until is not None:
            for thing in self.those(State.WAITING):
                self.settled[thing.name] = self.excuse(thing, now)

    def find(self, name: str, kind: str, now: int) -> None:
        known = self.things.get(name)
        if kind not in KINDS or (known is not None and known.state in (State.HELD, State.SURPLUS)):
            return
        self.commit(name, kind, now, found=True)

    def restore(self, names: list[tuple[str, str]], now: int, unclean_until: int | None) -> None:
        for name, kind in names:
            self.find(name, kind, now)
        if unclean_until is not None and unclean_until > now:
            self.floor_until, self.floor = unclean_until, self.lent

    def snapshot(self, names: dict[str, str], asked: int, now: int) -> None:
        self.expire(now)
        for thing in list(self.things.values()):
            bound = thing.state in (State.HELD, State.SURPLUS)
            if bound and thing.name not in names and thing.since < asked:
                self.release(thing.name, now)
        for name, kind in names.items():
            known = self.things.get(name)
            if known is None or (known.state is State.LINGERING and known.since < asked):
                self.find(name, kind, now)
        self.floor_until, self.floor = None, 0
