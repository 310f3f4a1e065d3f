"""What happened, told twice: numbered activity for the master's history, and lines in the log."""

from collections.abc import Sequence

from agent.store.journal import Journal
from licensing.demand import is_use
from licensing.history import Happening, SeatEvent
from runtime.clock import Clock
from runtime.logs import logger, shorten
from telephony.dialog import Why
from telephony.output import Counted, Reason, Rejected

WINDOW_MS = 10_000
LINES_PER_WINDOW = 20

_LOST = frozenset((Why.SESSION_EXPIRED, Why.TOO_OLD, Why.UNKNOWN_TO_PBX))
_SPOKEN: dict[Happening, str] = {
    "held": "held",
    "released": "released",
    "lingering": "lingering_started",
    "refused": "refused",
    "surplus": "surplus_found",
    "reported": "reported",
}


class Chronicle:
    """The events of one site; `last_number` is the last one that was ever given."""

    def __init__(self, pbx: str, journal: Journal, clock: Clock, last_number: int) -> None:
        self._log = logger(pbx=pbx).bind()  # a line for each registration: it is put together once
        self._journal = journal
        self._clock = clock
        self._number = last_number
        self._window_ms = 0
        self._lines = 0

    def tell(self, events: Sequence[SeatEvent]) -> None:
        """Number what the seats did, keep it for the master, and log it."""
        offset_ms = self._clock.wall_ms() - self._clock.monotonic_ms()
        first = self._number + 1
        self._number += len(events)
        self._journal.add_activity([event.activity(first + i, offset_ms) for i, event in enumerate(events)])
        for event in events:
            self._spoken(event)

    def _spoken(self, event: SeatEvent) -> None:
        facts = {"object": shorten(event.object), "kind": event.kind, "class_": event.class_}
        name = f"{'use' if is_use(event.kind) else 'registration'}.{_SPOKEN[event.event]}"
        if event.code is not None:
            self._log.warning(name, code=event.code.value, **facts)
        else:
            self._log.info(name, **facts)

    def rejected(self, rejected: Rejected, now_ms: int) -> None:
        """A message that went nowhere; a flood of them fills no disk, only the site's counters."""
        if now_ms - self._window_ms >= WINDOW_MS:
            self._window_ms, self._lines = now_ms, 0
        self._lines += 1
        if self._lines > LINES_PER_WINDOW:
            return
        if rejected.reason is Reason.REFUSED:  # its detail goes on with a number
            code, _, name = rejected.detail.partition(": ")
            self._log.info("message.refused", code=code, object=shorten(name), source=rejected.flow.host)
        else:
            reason = rejected.reason.value
            self._log.warning(
                "message.rejected", reason=reason, detail=rejected.detail, source=rejected.flow.host
            )

    def counted(self, counted: Counted) -> None:
        """A call over a line that is over though nobody said so."""
        if counted.why in _LOST:
            self._log.warning("call.lost", call=counted.over, why=counted.why)

    def bypassed(self, until_at_ms: int) -> None:
        """Everything passes until then, or no longer."""
        if until_at_ms:
            self._log.warning("bypass.started", until_ms=until_at_ms)
        else:
            self._log.warning("bypass.ended")
