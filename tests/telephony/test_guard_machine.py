"""The guard against a dict model: integer time, a rule that jumps exactly to the next timer, a lossy PBX.

The verdict counts units and asserts by itself that each reservation ends exactly once.
"""

from dataclasses import dataclass

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from telephony.address import Flow
from telephony.output import Output, Reason, Record, Rejected, Send
from telephony.verdict import Admitted
from tests.machine import MACHINE, examples
from tests.telephony.scene import NO_UNIT, PBX, Scene, answer, register, status

USERS = ("201", "anna", "202")  # the first two are one object
NAMES = {"201": "anna", "anna": "anna", "202": "202"}
DEVICES = ("a", "b")
GIVE_UP_MS = 32_000


@dataclass
class Asked:
    """A REGISTER on its way: what the model expects of it."""

    user: str
    device: str
    data: bytes
    flow: Flow
    expires: int
    ended_ms: int | None = None
    forwarded: bytes = b""
    forwarded_ms: int = 0
    final: bytes = b""


class GuardMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.cseq = 0
        self.asked: list[Asked] = []
        # user -> device -> end in ms; the model of what the PBX and the guard hold
        self.bound: dict[str, dict[str, int]] = {}
        self.refreshing: dict[str, Asked] = {}  # the newest that the PBX may grant, by user

    @initialize(units=st.integers(0, 2), waits=st.booleans())
    def begin(self, units: int, waits: bool) -> None:
        self.scene = Scene(units=units, waits=waits)
        self.waits = waits

    # What the model knows

    def held(self, name: str) -> bool:
        return any(ends for user, ends in self.bound.items() if NAMES[user] == name)

    def pending(self) -> list[Asked]:
        return [asked for asked in self.asked if asked.forwarded and asked.ended_ms is None]

    def waiting(self) -> list[Asked]:
        return [asked for asked in self.asked if not asked.forwarded and asked.ended_ms is None]

    def take_in(self, outputs: list[Output]) -> None:
        """Follow the outputs: which requests were forwarded, which ended, what was recorded."""
        for output in outputs:
            if isinstance(output, Record):
                ends = {self.device_of(b.contact): b.expires_ms for b in output.bindings}
                user = output.aor.partition("@")[0]
                assert ends == self.bound.get(user, {}), "a record tells what the model holds"
            elif isinstance(output, Send):
                self.follow(output)
            elif isinstance(output, Rejected) and output.reason is Reason.TIMED_OUT:
                for asked in self.pending():
                    if self.scene.now >= asked.forwarded_ms + GIVE_UP_MS:
                        asked.ended_ms = self.scene.now

    def follow(self, send: Send) -> None:
        for asked in self.asked:
            if f"branch=z9hG4bK-{self.branch(asked)}".encode() not in send.data:
                continue
            if send.flow == PBX:
                assert asked.forwarded in (b"", send.data), "a repeat has the same bytes"
                if not asked.forwarded:
                    asked.forwarded_ms = self.scene.now
                    self.outlast(asked)
                asked.forwarded = send.data
            elif status(send.data) >= 200:
                assert asked.final in (b"", send.data)
                asked.final = send.data
                asked.ended_ms = self.scene.now if asked.ended_ms is None else asked.ended_ms

    def outlast(self, asked: Asked) -> None:
        """While the PBX may grant a refresh, what it refreshes does not end (decision 0055)."""
        ends = self.bound.get(asked.user)
        if asked.expires and ends and min(ends.values()) < self.scene.now + GIVE_UP_MS:
            self.refreshing[asked.user] = asked

    def until(self, user: str) -> int:
        """How long its newest refresh keeps what it refreshes."""
        asked = self.refreshing.get(user)
        return 0 if asked is None or asked.ended_ms is not None else asked.forwarded_ms + GIVE_UP_MS

    def ends(self) -> list[int]:
        """When the first binding of each user ends."""
        return [max(min(ends.values()), self.until(user)) for user, ends in self.bound.items() if ends]

    def branch(self, asked: Asked) -> str:
        return asked.data.split(b"branch=z9hG4bK-")[1].split(b"\r\n")[0].decode()

    def device_of(self, contact: str) -> str:
        return contact.rpartition(".")[2]

    def expire_model(self) -> None:
        now = self.scene.now
        for user, ends in list(self.bound.items()):
            if self.until(user) <= now:
                self.bound[user] = {device: end for device, end in ends.items() if end > now}
                self.forget(user)

    def forget(self, user: str) -> None:
        """Nothing is kept where nothing is bound."""
        if not self.bound[user]:
            self.refreshing.pop(user, None)

    # What happens

    @rule(
        user=st.sampled_from(USERS),
        device=st.sampled_from(DEVICES),
        expires=st.sampled_from([0, 2, 2, 60]),
        authorized=st.booleans(),
    )
    def ask(self, user: str, device: str, expires: int, authorized: bool) -> None:
        self.cseq += 1
        data = register(
            user,
            cseq=self.cseq,
            contact=f"<sip:{user}@host.{device}>",
            expires=expires,
            authorized=authorized,
            branch=f"z9hG4bK-{user}-{self.cseq}.",
        )
        flow = Flow(0, f"198.51.100.{1 + DEVICES.index(device)}", 1000 + USERS.index(user))
        self.expire_model()
        name = NAMES[user]
        held = self.held(name)
        reserving = name in self.scene.verdict.reserved
        asks = bool(expires) and authorized and not held and not reserving
        before = len(self.scene.verdict.calls)
        asked = Asked(user, device, data, flow, expires)
        self.asked.append(asked)
        was_waiting = [other for other in self.waiting()[:-1] if NAMES[other.user] == name]
        self.take_in(self.scene.receive(data, flow))
        decided = [call for call in self.scene.verdict.calls[before:] if call.startswith("decide")]
        assert len(decided) == (asks and not was_waiting)
        if not asks:
            assert asked.forwarded, "what opens nothing is forwarded at once"

    @precondition(lambda self: any(asked.forwarded for asked in self.asked))
    @rule(
        data=st.data(),
        code=st.sampled_from([100, 200, 200, 200, 401, 403, 503]),
        seconds=st.sampled_from([1, 2, 60]),
    )
    def pbx_answers(self, data: st.DataObject, code: int, seconds: int) -> None:
        asked = data.draw(st.sampled_from([asked for asked in self.asked if asked.forwarded][-4:]))
        self.answer_of_pbx(asked, code, seconds)

    @rule(
        user=st.sampled_from(USERS), device=st.sampled_from(DEVICES), seconds=st.sampled_from([0, 1, 2, 60])
    )
    def register_at_once(self, user: str, device: str, seconds: int) -> None:
        self.ask(user, device, seconds, authorized=True)
        if self.asked[-1].forwarded:
            self.answer_of_pbx(self.asked[-1], 200, seconds)

    def answer_of_pbx(self, asked: Asked, code: int, seconds: int) -> None:
        self.expire_model()
        if self.forgotten(asked):
            return
        counts = not asked.final
        live = self.bound.get(asked.user, {}).items()
        contacts = {device: end for device, end in live if end > self.scene.now}
        if code == 200 and counts:
            if asked.expires:
                contacts[asked.device] = self.scene.now + 1000 * seconds
            else:
                contacts.pop(asked.device, None)
        granted = [
            f"Contact: <sip:{asked.user}@host.{device}>;expires={self.left(end)}"
            for device, end in contacts.items()
        ]
        if code == 200 and counts:
            # The PBX speaks whole seconds: the model holds what it said.
            now = self.scene.now
            self.bound[asked.user] = {device: now + 1000 * self.left(end) for device, end in contacts.items()}
            self.forget(asked.user)
        elif code >= 300 and self.refreshing.get(asked.user) is asked:
            del self.refreshing[asked.user]
            self.expire_model()
        self.take_in(self.scene.from_pbx(answer(asked.forwarded, code, *granted)))
        if code >= 200:
            assert asked.ended_ms is not None

    def forgotten(self, asked: Asked) -> bool:
        """Whether Timer J has ended the transaction."""
        return asked.ended_ms is not None and self.scene.now >= asked.ended_ms + GIVE_UP_MS

    def left(self, end: int) -> int:
        return -((self.scene.now - end) // 1000)

    @precondition(lambda self: self.asked)
    @rule(data=st.data())
    def phone_repeats(self, data: st.DataObject) -> None:
        asked = data.draw(st.sampled_from(self.asked[-4:]))
        self.expire_model()
        if self.forgotten(asked):
            return
        before = list(self.scene.verdict.calls)
        outputs = self.scene.receive(asked.data, asked.flow)
        self.take_in(outputs)
        sent = [output for output in outputs if isinstance(output, Send)]
        assert sent == ([Send(asked.flow, asked.final)] if asked.final else [])
        assert [call for call in self.scene.verdict.calls[len(before) :] if call.startswith("decide")] == []

    @precondition(lambda self: self.scene.verdict.waiting)
    @rule(data=st.data(), unit=st.booleans())
    def master_answers(self, data: st.DataObject, unit: bool) -> None:
        name = data.draw(st.sampled_from(sorted(self.scene.verdict.waiting)))
        self.expire_model()
        verdict = self.scene.verdict
        verdict.waiting.discard(name)
        waited = [asked for asked in self.waiting() if NAMES[asked.user] == name]
        assert waited, "the verdict keeps nobody waiting for nothing"
        if unit:
            verdict.units += 1
            verdict.reserved.add(name)
            self.take_in(self.scene.guard.settle(name, Admitted(reserved=True), self.scene.now))
            assert all(asked.forwarded for asked in waited)
        else:
            self.take_in(self.scene.guard.settle(name, NO_UNIT, self.scene.now))
            assert all(status(asked.final) == 403 for asked in waited)

    @precondition(lambda self: self.scene.guard.next_timer() is not None)
    @rule()
    def jump_to_next_timer(self) -> None:
        due = self.scene.guard.next_timer()
        assert due is not None
        self.pass_until(due)

    @precondition(lambda self: any(self.bound.values()))
    @rule(before=st.sampled_from([0, 0, 1]))
    def jump_to_next_expiry(self, before: int) -> None:
        self.pass_until(min(self.ends()) - before)

    @rule(ms=st.integers(1, 3_000))
    def wait(self, ms: int) -> None:
        self.pass_until(self.scene.now + ms)

    def pass_until(self, now_ms: int) -> None:
        self.scene.now = max(self.scene.now, now_ms)
        self.expire_model()
        self.take_in(self.scene.at(self.scene.now))

    # What always holds, once everything due is done

    @invariant()
    def bindings_are_those_of_the_model(self) -> None:
        if not hasattr(self, "scene"):
            return
        self.expire_model()
        found = {
            registration.aor.partition("@")[0]: {
                self.device_of(binding.contact): binding.expires_ms for binding in registration.bindings
            }
            for registration in self.scene.guard.snapshot()
        }
        live = {
            user: {d: end for d, end in ends.items() if max(end, self.until(user)) > self.scene.now}
            for user, ends in found.items()
        }
        assert {u: e for u, e in live.items() if e} == {u: e for u, e in self.bound.items() if e}

    @invariant()
    def units_follow_the_bindings(self) -> None:
        if not hasattr(self, "scene"):
            return
        verdict = self.scene.verdict
        self.take_in(self.scene.at(self.scene.now))
        assert verdict.held | verdict.surplus == {name for name in NAMES.values() if self.held(name)}
        assert len(verdict.reserved) + len(verdict.held) <= verdict.units
        assert verdict.reserved <= {NAMES[asked.user] for asked in self.pending()}
        assert verdict.waiting <= {NAMES[asked.user] for asked in self.waiting()}

    @invariant()
    def the_next_timer_is_never_late(self) -> None:
        if not hasattr(self, "scene"):
            return
        due = self.scene.guard.next_timer()
        if ends := self.ends():
            assert due is not None
            assert self.scene.now < due <= min(ends)
        if self.pending() or self.waiting():
            assert due is not None


GuardMachine.TestCase.settings = settings(MACHINE, max_examples=examples(MACHINE.max_examples))
TestGuard = GuardMachine.TestCase
