"""200,000 broken messages: nothing raises, hangs, grows, or reaches anyone but those it may.

The messages are those of RFC 4475 and those of a house at work: its phones register and call all the while,
so that tokens, branches and transactions in the broken ones are partly right. `make test` breaks them for the
core as it ships, and a tenth for its sources; `make chaos` runs 20 times as many from a seed that it prints;
`SEED=` repeats them.
"""

import functools
import gc
import os
import random
import sys
from collections import deque
from collections.abc import Callable, Iterator
from itertools import count
from time import thread_time_ns

import pytest

from telephony.address import Flow
from telephony.line import LineRow
from telephony.output import Output, Send
from telephony.sip.contact import read_contacts
from telephony.sip.message import scan
from telephony.sip.validate import validate
from tests.machine import CHAOS, examples
from tests.telephony.mutation import Mutator
from tests.telephony.rfc4475.messages import MESSAGES
from tests.telephony.scene import ANNA, BERT, NO_UNIT, PBX, Scene, answer, register, sends, text

SHARDS = 4
MUTATIONS = examples(4_000_000 if CHAOS else 200_000) // SHARDS
SEED = int(os.environ.get("SEED", random.SystemRandom().randrange(2**32) if CHAOS else 20_260_101))
HANG_MS = 50
PHONES = {"201": ANNA, "202": BERT, **{str(n): Flow(0, f"198.51.100.{n % 200}", n) for n in range(203, 215)}}
STRANGER = Flow(0, "203.0.113.66", 6666)


class House:
    """Phones and a PBX at work around one guard; what they said last is there to be broken."""

    def __init__(self, chance: random.Random) -> None:
        lines = (LineRow(("20?",), (), "pri1"),)  # half of the phones are gateways
        self.scene = Scene(units=5, waits=True, transaction_limit=100, lines=lines, call_age_s=60)
        self.reachable = {PBX, *PHONES.values()}
        self.said: deque[bytes] = deque(maxlen=40)
        self.slowest_ns = 0
        self.forwarded = 0
        self._chance = chance
        self._number = count(1)

    def work(self) -> None:
        """One phone registers and calls another one; now and then the master refuses whoever waits."""
        number = next(self._number)
        user = self._chance.choice(list(PHONES))
        phone, pbx = PHONES[user], self.scene.from_pbx
        asked = register(user, cseq=number, expires=self._chance.choice((0, 1, 60, 3600)))
        for sent in self._sent(asked, self.scene.receive(asked, phone)):
            granted = f"Contact: <sip:{user}@10.0.0.5:5060>;expires=60"
            self._sent(b"", pbx(answer(sent, self._chance.choice((100, 200, 200, 401)), granted)))
        token = self.scene.token(self._chance.choice(list(PHONES.values())))
        for caller, route in (
            (phone, "<sip:192.0.2.10:5060;lr>"),
            (PBX, f"<sip:{token}@192.0.2.10:5060;lr>"),
        ):
            call = invite(user, number, route)
            for send in sends(self.scene.receive(call, caller)):
                self.said += [call, send.data, answer(send.data, 180)]
                self.scene.receive(answer(send.data, 200), send.flow)
                self.said += [data.replace(b"INVITE", b"BYE") for data in (call, answer(send.data, 200))]
        for waiting in (self.scene.verdict.waiting, self.scene.verdict.ringing):
            for name in sorted(waiting):
                waiting.discard(name)
                self.scene.guard.settle(name, NO_UNIT, self.scene.now)
        self.scene.verdict.calls.clear()

    def _sent(self, asked: bytes, outputs: list[Output]) -> list[bytes]:
        sent = [output.data for output in outputs if isinstance(output, Send) and output.flow == PBX]
        self.said += [asked, *sent] + [answer(data, 200) for data in sent] if asked else sent
        return sent

    def take(self, data: bytes, source: Flow) -> None:
        """A broken message arrives: it may go back, to the PBX, or to a phone, and it may not take long."""
        begun = thread_time_ns()
        outputs = self.scene.receive(data, source)
        taken = thread_time_ns() - begun
        self.slowest_ns = max(taken, self.slowest_ns)
        assert taken < HANG_MS * 1_000_000, data
        for sent in sends(outputs):
            assert sent.flow == source or sent.flow in self.reachable, (data, sent.flow)
            self.forwarded += sent.flow != source

    def quiet(self) -> int:
        """Nothing happens until everything has ended; then how many blocks of memory are in use."""
        scene = self.scene
        while (due := scene.guard.next_timer()) is not None:
            scene.at(due)
        assert scene.guard.snapshot() == ()
        verdict = scene.verdict
        assert not verdict.reserved | verdict.held | verdict.surplus | verdict.waiting | verdict.busy.keys()
        scene.verdict.calls.clear()
        self.said.clear()
        forget(scene)
        gc.collect()
        return sys.getallocatedblocks()


def invite(user: str, number: int, route: str) -> bytes:
    return text(
        "INVITE sip:202@pbx.example.com SIP/2.0",
        f"v: SIP/2.0/UDP 10.0.0.5:5060;rport;branch=z9hG4bKi{number}, SIP/2.0/TCP h;branch=y",
        f"Route: {route},",
        ' "a, b" <sip:x@192.0.2.20:5060;lr>',
        "Record-Route: <sip:192.0.2.20;lr>",
        f"f: <sip:{user}@pbx.example.com>;tag=1",
        "t: <sip:202@pbx.example.com>" + (";tag=2" if number % 2 else ""),
        f"i: c{number}",
        f"CSeq: {number} INVITE",
        "Contact: <sip:201@10.0.0.5:5060>",
        "l: 0",
    )


def forget(scene: Scene) -> None:
    """Empty the caches, all of which have a limit: what remains must not grow."""
    scene.directory._known.clear()
    for found in gc.get_objects():
        if isinstance(found, functools._lru_cache_wrapper) and found.__module__.startswith("telephony"):
            assert found.cache_parameters()["maxsize"] is not None, found
            found.cache_clear()


def read(data: bytes) -> bool:
    """The scanner and the strict reading alone; what they let pass is whole and has contacts to read."""
    message = scan(data)
    if message is None:
        return False
    assert message.build({}) in data
    sound = validate(message) == []
    assert not sound or read_contacts(message) is not None
    return sound


@pytest.fixture
def uncollected() -> Iterator[None]:
    """The collector keeps still but where it is called: what other tests left would be counted as a hang."""
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("uncollected")
@pytest.mark.timeout(3_600 if CHAOS else 900)
@pytest.mark.parametrize("shard", range(SHARDS))
def test_broken_messages(shard: int, record_property: Callable[[str, object], None]) -> None:
    print(f"to repeat it: SEED={SEED}, shard {shard}")
    chance = random.Random(SEED + shard)
    house = House(chance)
    torture = list(MESSAGES.values())
    mutator = Mutator(chance, torture)
    sources = [ANNA, STRANGER, *PHONES.values()]
    blocks = []
    sound = 0
    for number in range(MUTATIONS):
        if number % 50 == 0:
            house.work()
            mutator.pool = torture + list(house.said)
            house.scene.at(house.scene.now + 1_000)
        if number in (MUTATIONS // 10, MUTATIONS // 2):
            blocks.append(house.quiet())
        data = mutator.draw()
        sound += read(data)
        house.take(data, PBX)
        house.take(data, chance.choice(sources))
    blocks.append(house.quiet())
    grown = blocks[-1] - blocks[-2]
    record_property(
        "measured",
        f"mutations {shard} of seed {SEED}: {MUTATIONS:,}, {sound:,} of them sound,"
        f" {house.forwarded:,} forwarded; slowest {house.slowest_ns / 1e6:.1f} ms of CPU,"
        f" {grown:+} blocks of memory in the second half",
    )
    assert grown < 1_000
    assert min(sound, house.forwarded) > MUTATIONS // 20, "not all of them may be nonsense"
