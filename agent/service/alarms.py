"""What an administrator of this site should know now: a code, since when, and what would help."""

from collections.abc import Mapping
from dataclasses import dataclass

from licensing.codes import Code, hint
from licensing.site.counts import Counts
from licensing.wire import Denial
from runtime.logs import logger

DAY_S = 86_400
AWAY_DAYS = (1, 3, 7, 14, 21)
DENIAL_FADES_MS = 60_000  # phones that were refused try again about so often

_CODES = frozenset(code.value for code in Code)


@dataclass(frozen=True, slots=True)
class Alarm:
    """One thing that is wrong: its code, wall time since when, and what would help."""

    code: Code
    since_ms: int
    hint: str


class Alarms:
    """The alarms of one site, each once; what rises and what clears is a line in the log."""

    def __init__(self, pbx: str) -> None:
        self._log = logger(pbx=pbx)
        self._raised: dict[Code, Alarm] = {}

    def raise_(self, code: Code, at_ms: int, advice: str = "") -> None:
        """This is wrong since `at_ms`, unless it was already."""
        advice = advice or hint(code)
        known = self._raised.get(code)
        if known is None or known.hint != advice:
            since_ms = known.since_ms if known else at_ms
            self._raised[code] = Alarm(code, since_ms, advice)
            self._log.warning("alarm.raised", code=code.value, since_ms=since_ms, hint=advice)

    def clear(self, *codes: Code) -> None:
        """These are right again."""
        for code in codes:
            if self._raised.pop(code, None) is not None:
                self._log.info("alarm.cleared", code=code.value)

    def all(self) -> list[Alarm]:
        """Every alarm, the oldest first."""
        return sorted(self._raised.values(), key=lambda alarm: alarm.since_ms)


class DenialAlarms:
    """What the master denied is an alarm until it has denied it no more for a while: phones try again."""

    def __init__(self, alarms: Alarms) -> None:
        self._alarms = alarms
        self._denied_ms: dict[Code, int] = {}

    def note(
        self,
        denials: Mapping[str, Denial],
        before: Mapping[str, Counts],
        after: Mapping[str, Counts],
        now_ms: int,
        at_ms: int,
    ) -> None:
        """The denials of one answer, the classes before it and after it; monotonic and wall time.

        What a denial left to another class, which served it, is none.
        """
        for class_, denial in denials.items():
            if denial.code in _CODES and _missed(before.get(class_), after.get(class_)):
                code = Code(denial.code)
                self._alarms.raise_(code, at_ms, denial.hint)
                self._denied_ms[code] = now_ms
        faded = [code for code, denied_ms in self._denied_ms.items() if now_ms - denied_ms >= DENIAL_FADES_MS]
        for code in faded:
            self._alarms.clear(code)
            del self._denied_ms[code]


def _missed(before: Counts | None, after: Counts | None) -> bool:
    """Whether somebody goes without a unit."""
    if after is None:
        return False
    return bool(after.waiting or after.surplus) or after.refused > (before.refused if before else 0)


def away_advice(away_s: int, grace_left_s: int) -> str:
    """What to tell about a master that has been away so long: nothing for a day, then in stages."""
    if grace_left_s <= 0:
        return (
            "The grace period is over: only objects that hold a seat are served. Restore the master's link."
        )
    passed = [days for days in AWAY_DAYS if away_s >= days * DAY_S]
    if not passed:
        return ""
    days_left = grace_left_s // DAY_S
    return f"No answer for {passed[-1]} days or more, {days_left} days of grace left; see pbx-agent doctor."
