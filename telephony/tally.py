"""The calls over lines that are known, by what their messages are known by, and the units they hold.

Several calls may share a unit: it is taken when the first comes and given back when the last goes.
"""

from collections.abc import Iterator
from heapq import heapify, heappop, heappush
from typing import Final

from telephony.dialog import REPEATS_MS, Call
from telephony.verdict import Verdict

CALL_LIMIT: Final = 10_000  # those that are only remembered give way to new ones
SAME_CALL_ID_LIMIT: Final = 64  # all are looked at for each message


class Tally:
    """Calls by branch and Call-ID, their units, and when each is looked at next."""

    def __init__(self, verdict: Verdict) -> None:
        self._verdict = verdict
        self._by_branch: dict[bytes, Call] = {}
        self._by_call_id: dict[bytes, list[Call]] = {}
        self._units: dict[str, list[Call]] = {}
        self._remembered: dict[bytes, None] = {}  # branches of calls that are over or refused, oldest first
        self._dues: list[tuple[int, int, bytes]] = []
        self._noted = 0

    def all(self) -> list[Call]:
        """Every call that is known, the oldest first."""
        return list(self._by_branch.values())

    def get(self, branch: bytes) -> Call | None:
        """The call whose INVITE went on with this branch."""
        return self._by_branch.get(branch)

    def of_call_id(self, call_id: bytes) -> list[Call]:
        """The calls with this Call-ID: one for each time that it came to a line."""
        return self._by_call_id.get(call_id, [])

    def keep(self, call: Call) -> bool:
        """Know a call from now on; False when there are too many."""
        if len(self.of_call_id(call.call_id)) >= SAME_CALL_ID_LIMIT:
            return False
        if len(self._by_branch) >= CALL_LIMIT:
            if not self._remembered:
                return False
            self.forget(self._by_branch[next(iter(self._remembered))])
        self._by_branch[call.branch] = call
        self._by_call_id.setdefault(call.call_id, []).append(call)
        return True

    def remember(self, call: Call, now_ms: int) -> None:
        """It is over or refused, and known as long as its messages may come again."""
        call.ends_ms = now_ms + REPEATS_MS
        self._remembered[call.branch] = None
        self.note(call)

    def revive(self, call: Call, now_ms: int) -> None:
        """It was not over after all."""
        del self._remembered[call.branch]
        self.take(call, now_ms)

    def forget(self, call: Call) -> None:
        """Know a remembered call no more."""
        del self._remembered[call.branch], self._by_branch[call.branch]
        of_call_id = self._by_call_id[call.call_id]
        of_call_id.remove(call)
        if not of_call_id:
            del self._by_call_id[call.call_id]

    # Units

    def join(self, call: Call) -> None:
        """It holds its unit, which the verdict has given."""
        self._units.setdefault(call.unit, []).append(call)

    def take(self, call: Call, now_ms: int) -> None:
        """It goes on, whatever is free; its own unit may be that of the call which replaced it."""
        if call.unit in self._units:
            call.unit = f"{call.name}.again"
        self.join(call)
        self._verdict.called(call.unit, call.line.gateway, call.line.interface, now_ms)

    def part(self, call: Call, now_ms: int) -> None:
        """It needs its unit no more."""
        sharing = self._units[call.unit]
        sharing.remove(call)
        if not sharing:
            del self._units[call.unit]
            self._verdict.hung_up(call.unit, now_ms)

    def shares(self, call: Call, name: str) -> bool:
        """Whether the call of this name holds its unit, too."""
        return any(other.name == name for other in self._units[call.unit])

    # Time

    def note(self, call: Call) -> None:
        """Look at it when it is due; a time that moved away is set right when the noted one comes."""
        due_ms = call.due_ms
        if not call.noted_ms or due_ms < call.noted_ms:
            call.noted_ms = due_ms
            self._noted += 1
            if len(self._dues) > 4 * len(self._by_branch) + 64:  # what is noted for hours outlives its call
                self._dues = [due for due in self._dues if self._counts(due)]
                heapify(self._dues)
            heappush(self._dues, (due_ms, self._noted, call.branch))

    def due(self, now_ms: int) -> Iterator[Call]:
        """The calls whose time has come, each to be noted again or forgotten."""
        while self._dues and self._dues[0][0] <= now_ms:
            noted_ms, _, branch = heappop(self._dues)
            call = self._by_branch.get(branch)
            if call is None or call.noted_ms != noted_ms:
                continue
            call.noted_ms = 0
            if call.due_ms <= now_ms:
                yield call
            else:
                self.note(call)

    def _counts(self, due: tuple[int, int, bytes]) -> bool:
        call = self._by_branch.get(due[2])
        return call is not None and call.noted_ms == due[0]

    def next_timer(self) -> int | None:
        """When `due` may have something, in monotonic ms."""
        return self._dues[0][0] if self._dues else None
