"""What one class wants from the master: everything it needs, a little spare, and no change with every phone.

**Hysteresis.** `want` = used + surplus + reserved + waiting + lingering + spare, and spare should be
max(2, 5 % of used rounded up). Written literally, `want` would move with every phone, and each move is a
change of the record at the master: a ledger event and an fsync. So the want last written stays as long as
the spare it leaves lies between half and twice the nominal one; outside, spare is nominal again. In a
short pool there is no spare and no hysteresis: a unit given back must reach whoever waits for it.
"""

from dataclasses import dataclass

from licensing.site.occupancy import Occupancy, State
from licensing.wire import ClassDemand

SPARE_MIN = 2
SPARE_PERCENT = 5


def nominal_spare(used: int) -> int:
    """Units to keep beyond need: max(2, 5 % of used, rounded up) (protocol, table of the sync)."""
    return max(SPARE_MIN, -(-used * SPARE_PERCENT // 100))


@dataclass(slots=True, eq=False)
class Want:
    """The want of one class: what was written last, the floor after an unclean stop, units to `keep`.

    Of a `bound` class, whose units can serve nobody else, it wants all `keep` units that are installed.

    `peak` and `refused` of a demand count since the last sync that was answered; what is in the sync on
    its way is remembered apart until its answer comes.
    """

    occupancy: Occupancy
    written: int = 0
    idle_written: int = 0
    floor: int = 0
    keep: int = 0
    bound: bool = False
    refused: int = 0
    refused_ever: int = 0
    _refused_asked: int = 0
    _peak_asked: int = 0

    @property
    def need(self) -> int:
        """Units in use or asked for by a phone."""
        groups = self.occupancy.groups
        return self.occupancy.busy + len(groups[State.SURPLUS]) + len(groups[State.WAITING])

    @property
    def want(self) -> int:
        """Units to ask for now; never below what may still be registered after an unclean stop (rule 4)."""
        occupancy = self.occupancy
        kept = self.need + occupancy.count(State.LINGERING)
        if self.bound:
            want = max(kept, self.keep)
        else:
            want = kept if occupancy.state == "short" else self._with_spare(kept)
        if occupancy.recall_to is not None:  # who came without a unit gets none of it, and keeps none
            want = min(want, max(occupancy.recall_to, self.need - occupancy.unmarked))
        return max(want, self.floor)

    def _with_spare(self, kept: int) -> int:
        nominal = nominal_spare(self.occupancy.count(State.HELD))
        left = self.written - kept
        steady = self.written if -(-nominal // 2) <= left <= 2 * nominal else kept + nominal
        return max(steady, self.keep)

    @property
    def complete(self) -> bool:
        """Whether every unit that there is for this box is here, so that asking for more is no use."""
        return self.bound and not self.occupancy.closed and self.occupancy.lent >= self.keep

    @property
    def idle(self) -> int:
        """The part of the want that nobody needs now; what the floor holds may be in use."""
        return max(0, self.want - max(self.need, self.floor))

    def demand(self) -> ClassDemand:
        """The class as a sync states it."""
        occupancy = self.occupancy
        return ClassDemand(
            used=occupancy.count(State.HELD),
            want=self.want,
            surplus=occupancy.count(State.SURPLUS),
            idle=self.idle,
            peak=max(occupancy.peak, self._peak_asked),
            refused=self.refused + self._refused_asked,
        )

    def ask(self) -> ClassDemand:
        """The demand, now written: it caps the class at once, before anything is on disk or on its way."""
        demand = self.demand()
        self.written, self.idle_written = demand.want, demand.idle
        self._refused_asked, self.refused = demand.refused, 0
        self._peak_asked, self.occupancy.peak = demand.peak, demand.used
        self.occupancy.lent = min(self.occupancy.lent, demand.want)
        self.occupancy.usable = min(self.occupancy.usable, demand.want)
        return demand

    def refuse(self) -> None:
        """One more object was refused."""
        self.refused += 1
        self.refused_ever += 1

    def answered(self) -> None:
        """The sync that carried the last `ask` was answered: what it told is told."""
        self._refused_asked, self._peak_asked = 0, 0

    @property
    def urgent(self) -> bool:
        """Whether the master should hear at once that more is wanted, or that it may have units back."""
        want = self.want
        if want > self.written:
            return True
        pressed = self.occupancy.recall_to is not None or self.occupancy.state == "short"
        return pressed and (want < self.written or self.idle > self.idle_written)
