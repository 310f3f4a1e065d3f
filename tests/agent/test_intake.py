"""What waits while others are served: the order, the bounds, and who does not wait."""

import asyncio
from collections.abc import Sequence

from agent.service import intake
from agent.service.intake import Arrived, Intake
from runtime.clock import SystemClock
from telephony.address import Flow
from telephony.meter import USUAL, Meter
from tests.telephony.scene import Scene

FLOODER, PHONE = Flow(0, "198.51.100.66", 5060), Flow(0, "203.0.113.7", 5060)
USUALLY = USUAL + 1
HELP = b"INVITE sip:112@pbx SIP/2.0\r\n\r\n"


class Reader:
    """Takes in what it is given."""

    def __init__(self, burst: int = 100_000) -> None:
        self.read: list[Arrived] = []
        self.intake = Intake(Meter(1_000, burst), Scene().guard, self.take_in, SystemClock())
        self.turns = 0

    def take_in(self, messages: Sequence[Arrived], now_ms: int) -> None:
        self.read += messages

    def burst(self, count: int, size: int = 10) -> None:
        """So many messages of one source in one millisecond."""
        self.intake.turn([(b"%d" % number + b"x" * size, FLOODER) for number in range(count)], 1_000)

    async def rest(self) -> None:
        """Let the loop turn until nothing waits."""
        while self.intake.behind:
            self.turns += 1
            await asyncio.sleep(0)


async def test_a_phone_overtakes_what_another_source_sent_at_once() -> None:
    reader = Reader()
    reader.burst(1_000)
    assert len(reader.read) == USUALLY
    for number in range(3):
        reader.intake.turn([(b"phone %d" % number, PHONE)], 1_001)
        assert reader.read[-1] == (b"phone %d" % number, PHONE)
        await asyncio.sleep(0)
    assert reader.intake.behind
    await reader.rest()
    assert len(reader.read) == 1_003
    numbers = [int(data.rstrip(b"x")) for data, flow in reader.read if flow is FLOODER]
    assert numbers == list(range(1_000)), "in their own order"
    assert reader.turns >= (1_000 - USUALLY) // intake.CATCH_UP - 3, "a few at a time"


async def test_the_backlog_is_bounded_in_messages_and_bytes() -> None:
    small = Reader()
    small.burst(20_000)
    assert small.intake.lost == 20_000 - USUALLY - intake.BACKLOG_MESSAGES
    await small.rest()
    assert len(small.read) == USUALLY + intake.BACKLOG_MESSAGES
    large = Reader()
    large.burst(1_000, size=60_000)
    await large.rest()
    assert len(large.read) - USUALLY == intake.BACKLOG_BYTES // 60_003
    assert large.intake.refused == large.intake.lost == 1_000 - len(large.read)
    lost = large.intake.lost
    large.burst(100, size=60_000)
    await large.rest()
    assert large.intake.lost == lost, "there is room again"


async def test_an_emergency_call_waits_for_nobody() -> None:
    reader = Reader(burst=500)
    reader.burst(400)
    reader.intake.turn([(b"call", FLOODER), (HELP, FLOODER)], 1_000)
    assert reader.read[-1] == (HELP, FLOODER)
    reader.burst(200)
    refused = reader.intake.refused
    assert refused == 102
    reader.intake.turn([(b"call", FLOODER)] + [(HELP, FLOODER)] * 30, 1_000)
    assert reader.read[-20:] == [(HELP, FLOODER)] * 20, "of a source over its limit so many at once"
    assert reader.read.count((HELP, FLOODER)) == 21
    reader.intake.close()


async def test_nothing_is_served_after_the_end() -> None:
    reader = Reader()
    reader.burst(500)
    reader.intake.close()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert (len(reader.read), reader.intake.behind) == (USUALLY, False)
