"""Two user agents with the timers of RFC 3261, a guard between them, and wires that lose, repeat and reorder.

A seed decides everything. Whoever talks through the gateway is counted while they talk, also across a kill of
the agent, and when all have hung up no channel is in use.
"""

import heapq
from collections.abc import Callable
from random import Random

import pytest

from telephony.address import Flow
from telephony.dialog import CallRecord
from tests.machine import CHAOS
from tests.telephony.scene import PBX, answer, sends, status, text
from tests.telephony.trunk import CONTACT, GATEWAY, Trunk

SEEDS = 2_000 if CHAOS else 10
CALLS = 12
LOSS = 0.15
GIVE_UP_MS = 32_000


class Leg:
    """One side of one call: who calls, or who is called; `up` while it talks."""

    def __init__(self, world: "World", call: str, flow: Flow, *, calls: bool) -> None:
        self.world, self.call, self.flow, self.calls = world, call, flow, calls
        self.state = "idle"
        self.repeating: dict[str, bytes] = {}
        self.invite = b""
        self.last = b""  # the last answer to the INVITE
        self.cseq = 1

    @property
    def up(self) -> bool:
        return self.state == "up"

    def repeat(self, name: str, data: bytes, then: Callable[[], None] = lambda: None) -> None:
        """Send, and again after 0.5 s, 1 s, … 4 s, until it is stopped or 32 s are over."""
        self.repeating[name] = data
        began = self.world.now

        def again(after_ms: int) -> None:
            if self.repeating.get(name) is not data:
                return
            if self.world.now >= began + GIVE_UP_MS:
                del self.repeating[name]
                then()
                return
            self.world.send(data, self.flow)
            self.world.later(after_ms, lambda: again(min(2 * after_ms, 4_000)))

        again(500)

    def request(self, method: str, *, branch: str = "", to: str = "") -> bytes:
        """A request of this side; the caller's tag is `a`, the other's `b`."""
        own, peer = ("a", "b") if self.calls else ("b", "a")
        from_pbx = self.flow == PBX
        route = [f"Route: <sip:{self.world.trunk.scene.token(GATEWAY)}@192.0.2.10:5060;lr>"]
        host = f"{self.flow.host}:{self.flow.port}"
        return text(
            f"{method} {CONTACT if from_pbx else 'sip:201@pbx.example.com'} SIP/2.0",
            f"Via: SIP/2.0/UDP {host};branch=z9hG4bK{branch or method}{self.cseq}{self.call}{own}",
            *(route if from_pbx else []),
            "Max-Forwards: 70",
            f"From: <sip:x@pbx.example.com>;tag={own}",
            "To: <sip:y@pbx.example.com>" + (f";tag={peer}" if method not in ("INVITE", "CANCEL") else to),
            f"Call-ID: {self.call}",
            f"CSeq: {self.cseq} {method}",
            "Content-Length: 0",
        )

    # Who calls

    def dial(self) -> None:
        self.state = "calling"
        self.invite = self.request("INVITE")
        self.repeat("INVITE", self.invite, self.over)

    def cancel(self) -> None:
        if self.state == "ringing":
            self.repeat("CANCEL", self.request("CANCEL", branch="INVITE"))

    def over(self) -> None:
        self.state = "over"

    def hang_up(self) -> None:
        if self.up:
            self.over()
            self.cseq = 2
            self.repeat("BYE", self.request("BYE"))

    def answered(self, data: bytes) -> None:
        code, method = status(data), data.split(b"CSeq: ")[1].split(b"\r\n")[0].split(b" ")[1].decode()
        if method != "INVITE":
            if code >= 200:
                self.repeating.pop(method, None)
            return
        self.repeating.pop("INVITE", None)
        if code < 200:
            self.state = "ringing" if self.state == "calling" else self.state
            return
        self.repeating.pop("CANCEL", None)
        if code < 300:
            if self.state in ("calling", "ringing"):
                self.state = "up"
                self.world.talk(self)
            self.world.send(self.request("ACK"), self.flow)
            if self.state == "over" and "BYE" not in self.repeating:
                self.cseq = 2
                self.repeat("BYE", self.request("BYE"))
            return
        self.over()
        ack = self.request("ACK", branch="INVITE")
        self.world.send(ack, self.flow)

    # Who is called

    def asked(self, data: bytes) -> None:
        method = data.split(b" ")[0].decode()
        if method == "INVITE" and self.state == "idle":
            self.state, self.invite = "ringing", data
            self.say(180)
            self.world.later(self.world.dice.randrange(20_000), self.pick_up)
        elif method == "INVITE":
            self.world.send(self.last, self.flow)
        elif method == "ACK":
            self.repeating.pop("final", None)
        elif method == "CANCEL":
            self.world.send(answer(data, 200, to_tag="b"), self.flow)
            if self.state == "ringing":
                self.refuse(487)
        elif method == "BYE":
            known = self.state == "up"
            self.repeating.pop("final", None)
            self.over()
            self.world.send(answer(data, 200 if known else 481), self.flow)

    def say(self, code: int) -> None:
        self.last = answer(self.invite, code, to_tag="b")
        self.world.send(self.last, self.flow)

    def refuse(self, code: int) -> None:
        self.over()
        self.last = answer(self.invite, code, to_tag="b")
        self.repeat("final", self.last)

    def pick_up(self) -> None:
        if self.state != "ringing":
            return
        if self.world.dice.random() < 0.3:
            self.refuse(486)
            return
        self.state = "up"
        self.last = answer(self.invite, 200, to_tag="b")
        self.repeat("final", self.last, self.hang_up)
        self.world.talk(self)


class World:
    """Everything between two phones' users, and the time."""

    def __init__(self, seed: int) -> None:
        self.dice = Random(seed)
        self.now = 1_000
        self.trunk = Trunk(channels=4)
        self.trunk.scene.now = self.now
        self.events: list[tuple[int, int, Callable[[], None]]] = []
        self.numbered = 0
        self.noted: dict[str, CallRecord] = {}
        self.confirmed: set[str] = set()
        self.legs: dict[tuple[str, Flow], Leg] = {}
        for number in range(CALLS):
            outward = self.dice.random() < 0.5
            call = f"c{number}"
            for flow in (PBX, GATEWAY):
                self.legs[call, flow] = Leg(self, call, flow, calls=outward == (flow == PBX))
            self.later(self.dice.randrange(60_000), self.begin(call))
        for _ in range(3):
            self.later(self.dice.randrange(120_000), self.kill)

    def begin(self, call: str) -> Callable[[], None]:
        caller = next(leg for (name, _), leg in self.legs.items() if name == call and leg.calls)

        def dial() -> None:
            caller.dial()
            if self.dice.random() < 0.3:
                self.later(self.dice.randrange(15_000), caller.cancel)

        return dial

    def talk(self, leg: Leg) -> None:
        """Some time later one of both hangs up."""
        self.later(self.dice.randrange(60_000), leg.hang_up)

    def later(self, ms: int, do: Callable[[], None]) -> None:
        self.numbered += 1
        heapq.heappush(self.events, (self.now + ms, self.numbered, do))

    def wire(self, do: Callable[[], None]) -> None:
        if self.dice.random() < LOSS:
            return
        for _ in range(2 if self.dice.random() < LOSS else 1):
            self.later(1 + self.dice.randrange(300), do)

    def send(self, data: bytes, flow: Flow) -> None:
        self.wire(lambda: self.at_guard(data, flow))

    def at_guard(self, data: bytes, flow: Flow) -> None:
        outputs = self.trunk.pass_(data, flow)
        self.note()
        if data.startswith(b"SIP/2.0 2") and b" INVITE\r\n" in data:
            self.confirmed.add(data.split(b"Call-ID: ")[1].split(b"\r\n")[0].decode())
        for sent in sends(outputs):
            self.wire(lambda sent=sent: self.deliver(sent.data, sent.flow))  # type: ignore[misc] # a default

    def deliver(self, data: bytes, flow: Flow) -> None:
        leg = self.legs[data.split(b"Call-ID: ")[1].split(b"\r\n")[0].decode(), flow]
        (leg.answered if data.startswith(b"SIP/2.0") else leg.asked)(data)

    def note(self) -> None:
        for counted in self.trunk.counted:
            if counted.record is None:
                del self.noted[counted.over]
            else:
                self.noted[counted.record.name] = counted.record
        self.trunk.counted.clear()

    def kill(self) -> None:
        """The agent dies, and another goes on with what was noted."""
        was, self.trunk = self.trunk, Trunk(channels=4)
        self.trunk.scene.now = self.now
        self.trunk.scene.verdict.busy = was.scene.verdict.busy
        self.trunk.scene.verdict.over = was.scene.verdict.over
        self.trunk.scene.guard.restore_calls(self.noted.values(), self.now)

    def run(self) -> None:
        """Until nothing happens any more, and the guard's timers are over."""
        while self.events:
            now, _, do = heapq.heappop(self.events)
            self.pass_until(now)
            do()
            self.watch()
        self.pass_until(self.now + 600_000)

    def pass_until(self, now: int) -> None:
        guard = self.trunk.scene.guard
        while (due := guard.next_timer()) is not None and due <= now:
            self.trunk.scene.now = due
            outputs = guard.handle_timers(due)
            self.trunk.counted += [each for each in outputs if type(each).__name__ == "Counted"]  # type: ignore[misc]
            self.note()
        self.now = self.trunk.scene.now = now

    def watch(self) -> None:
        """Who talks through the gateway, as far as the guard can know, is counted."""
        talking = {call for (call, flow), leg in self.legs.items() if flow == GATEWAY and leg.up}
        counted = {record.call_id.decode() for record in self.noted.values()}
        assert talking & self.confirmed <= counted
        assert self.trunk.busy == len(self.noted)


@pytest.mark.parametrize("seed", range(SEEDS))
def test_every_seed_counts_right(seed: int) -> None:
    world = World(seed)
    world.run()
    assert {leg.state for leg in world.legs.values()} <= {"over", "idle"}
    assert (world.trunk.busy, world.noted) == (0, {})
