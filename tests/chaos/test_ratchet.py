"""seq and nonce as a ratchet: a second copy of an agent is found, an honest one never suspected; pure.

The wire loses, repeats and delays; the agent crashes now and then, and so does its master.
"""

import copy
import random
from collections.abc import Callable

import pytest

from licensing import administration
from licensing.installation import Pbx, Settings
from licensing.ledger import CloneSuspected
from licensing.wire import Sync
from tests.chaos.conftest import CHAOS
from tests.licensing.peers import Master, Peer, Reply

SYNCS = 100_000 if CHAOS else 10_000
COPIES = 5_000 if CHAOS else 500
LOSS, REPEAT, LATE, CRASH, RESTART = 0.25, 0.1, 0.1, 0.02, 0.005
REMEMBERED = 40  # messages that the network may still bring
FEW = 6

PBXS = (Pbx("hq", role="master"), Pbx("lyon"))


class Wire:
    """One agent's way to its master; `answered` counts the messages whose answer came."""

    def __init__(self, seed: int) -> None:
        self.drawn = random.Random(seed)
        self.master = Master.found(PBXS, Settings())
        self.peer = Peer("hq")
        self.peer.enrol(self.master)
        self.answered = 0
        self._waits = False

    def step(self, loss: float = LOSS) -> None:
        """Write, or send again what was not answered; then let the network have its way."""
        drawn, peer = self.drawn, self.peer
        if drawn.random() < CRASH:
            peer.restart()
            self._waits = False
        if drawn.random() < RESTART:
            self.master.commit(administration.raise_term(self.master.state))
        if not self._waits:
            peer.write({"seat": (drawn.randrange(5), drawn.randrange(3))})
        self._waits = True
        assert peer.latest is not None
        if drawn.random() < LATE:
            self.master.receive(drawn.choice(peer.sent[-REMEMBERED:]))
        if drawn.random() >= loss:
            self._deliver(peer.latest, lost=drawn.random() < loss)

    def _deliver(self, request: Sync, *, lost: bool) -> None:
        reply: Reply = self.master.receive(request)
        if self.drawn.random() < REPEAT:
            reply = self.master.receive(request)
        if not lost:
            self.peer.take(request.seq, reply)
            self.answered += 1
            self._waits = False

    @property
    def suspicions(self) -> list[CloneSuspected]:
        """What the master suspects."""
        return [event for event in self.master.events if isinstance(event, CloneSuspected)]


def test_an_honest_agent_is_never_suspected(
    seed: int, record_property: Callable[[str, object], None]
) -> None:
    wire = Wire(seed)
    for _ in range(SYNCS):
        wire.step()
        if wire.suspicions:
            break
    assert wire.suspicions == []
    assert wire.answered > SYNCS // 2
    record_property("measured", f"ratchet: 0 false alarms in {SYNCS} lossy syncs, {wire.peer.boots} crashes")


def test_a_second_copy_is_found_at_the_second_message(
    seed: int, record_property: Callable[[str, object], None]
) -> None:
    """Whichever of the two speaks first, and however far the original went on before the copy was started."""
    worst = 0
    for number in range(COPIES):
        wire = Wire(seed + number)
        for _ in range(wire.drawn.randrange(3, 30)):
            wire.step()
        twin = copy.deepcopy(wire.peer)
        twin.boots += 1_000
        for _ in range(wire.drawn.choice((0, 0, 1, 3, 20, 60))):
            wire.step()
        worst = max(worst, _messages_until_found(wire, twin))
    assert worst <= 2
    record_property("measured", f"ratchet: {COPIES} second copies, each found at message {worst} or before")


def _messages_until_found(wire: Wire, twin: Peer) -> int:
    """How many messages the copy had sent when it was found; both start anew and speak in any order."""
    for each in (wire.peer, twin):
        each.restart()
    sent = {id(wire.peer): 0, id(twin): 0}
    while not wire.suspicions:
        each = wire.drawn.choice([wire.peer, twin])
        sent[id(each)] += 1
        if min(sent.values()) > FEW:
            pytest.fail(f"not found: {sent}")
        request = each.write({"seat": (1, 1)})
        each.take(request.seq, wire.master.receive(request))
    return min(sent.values())
