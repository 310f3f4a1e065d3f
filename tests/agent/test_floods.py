"""The watch over flooding sources, second by second: who is shut out, until when, what people are told."""

from collections.abc import Sequence

from agent.service.alarms import Alarms
from agent.service.floods import SHUT_OUT_AT, SHUT_OUT_LIMIT, SHUT_OUT_MS, Floods
from runtime.clock import SystemClock
from telephony.meter import Meter

FLOODER, BUSY = "198.51.100.66", "203.0.113.7"


class Sockets:
    """Where the kernel's filter would be; what it drops never reaches the meter."""

    def __init__(self) -> None:
        self.dropped = 0
        self.sources: list[str] = []
        self.changes = 0
        self.filters = True

    def shut_out(self, sources: Sequence[str]) -> None:
        if not self.filters:
            raise OSError(12, "Cannot allocate memory")
        self.sources = list(sources)
        self.changes += 1


class Street:
    """Sources that send to a meter, and the watch that looks each second."""

    def __init__(self) -> None:
        self.meter = Meter(1_000, 10)
        self.alarms = Alarms("lyon")
        self.floods = Floods(self.meter, 1_000, self.alarms, SystemClock(), "lyon")
        self.sockets = Sockets()
        self.now_ms = 50_000

    def second(self, **sent: int) -> None:
        """One second in which each of these sends so many, then a look."""
        for name, count in sent.items():
            source = {"flooder": FLOODER, "busy": BUSY}.get(name, f"10.0.0.{name[1:]}")
            for number in range(count):
                if source not in self.sockets.sources:
                    self.meter.admit(source, self.now_ms + number * 1_000 // count)
        self.now_ms += 1_000
        self.floods.look(self.sockets, self.now_ms)

    @property
    def hint(self) -> str:
        return " ".join(alarm.hint for alarm in self.alarms.all() if alarm.code.value == "flood")


def test_a_source_within_its_limit_is_nobodys_business() -> None:
    street = Street()
    for _ in range(5):
        street.second(busy=1_000)
    assert (street.hint, street.sockets.changes) == ("", 0)


def test_a_source_a_little_over_is_named_and_not_shut_out() -> None:
    street = Street()
    street.second(busy=1_500)
    assert f"More than 1000 messages a second from {BUSY}: " in street.hint
    for _ in range(9):
        street.second(busy=900)
        assert street.hint
    street.second()
    assert (street.hint, street.sockets.changes) == ("", 0)


def test_a_flood_is_shut_out_then_looked_at_again() -> None:
    street = Street()
    street.second(flooder=20_000, busy=500)
    assert street.sockets.sources == [FLOODER]
    for _ in range(SHUT_OUT_MS // 1_000 - 1):
        street.second(flooder=20_000)
        assert street.sockets.sources == [FLOODER]
        assert FLOODER in street.hint
    street.second()
    assert street.sockets.sources == [], "its time is over"
    admitted = sum(bool(street.meter.admit(FLOODER, street.now_ms)) for _ in range(100))
    assert admitted == 1, "it comes back without a burst"
    street.second(flooder=20_000)
    assert street.sockets.sources == [FLOODER]
    assert FLOODER in street.hint


def test_a_flood_that_ended_is_forgotten() -> None:
    street = Street()
    street.second(flooder=20_000)
    for _ in range(19):
        street.second()
        assert street.hint
    street.second()
    assert (street.hint, street.sockets.sources, street.sockets.changes) == ("", [], 2)


def test_the_worst_are_shut_out_first_and_never_more_than_the_limit() -> None:
    street = Street()
    many = {f"s{number}": 2_000 + SHUT_OUT_AT for number in range(SHUT_OUT_LIMIT + 5)}
    street.second(**many, flooder=30_000)
    assert len(street.sockets.sources) == SHUT_OUT_LIMIT
    assert street.sockets.sources[0] == FLOODER
    assert f" {FLOODER}, 10.0.0.0, 10.0.0.1 and {SHUT_OUT_LIMIT - 3} more: " in street.hint


def test_what_the_kernel_dropped_is_counted() -> None:
    street = Street()
    street.sockets.dropped = 77
    street.second()
    assert street.floods.dropped == 77


def test_a_kernel_without_filter_is_no_end() -> None:
    street = Street()
    street.sockets.filters = False
    for _ in range(15):
        street.second(flooder=20_000)
        assert FLOODER in street.hint
    assert street.meter.refused > 15 * 18_000
