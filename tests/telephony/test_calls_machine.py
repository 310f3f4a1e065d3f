"""Calls over lines against a slow model: which dialogs stand and what rings, found by looking at all of them.

Messages come again, late and in any order, as UDP may bring them within 64 * T1; the agent is killed and goes
on with what it had noted; the PBX tells what it knows.
"""

from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from telephony.dialog import GIVE_UP_MS, REPEATS_MS, RINGING_MS, CallRecord
from telephony.pbx.picture import ALWAYS
from tests.machine import CHAOS, MACHINE
from tests.telephony.trunk import Invite, Trunk

AGE_S = 600
SESSIONS = st.sampled_from([None, 90, 300])
TAGS = st.sampled_from(["a", "b"])
GATEWAY_USES = ("gw1", "pri1")


@dataclass(eq=False, repr=False)
class Told:
    """One dialog: when it ends by itself, how long a sign of life lasts, when a BYE gives it up."""

    lives_until_ms: int
    lives_ms: int
    leaves_ms: int | None = None

    @property
    def ends_ms(self) -> int:
        leaves_ms = self.lives_until_ms if self.leaves_ms is None else self.leaves_ms
        return min(self.lives_until_ms, leaves_ms)


@dataclass(eq=False, repr=False)
class Story:
    """One INVITE that was admitted; `unit` is whose channel it uses, until `known_ms` it is remembered."""

    invite: Invite
    unit: object
    rings_ms: int | None
    alive: dict[str, Told] = field(default_factory=dict)
    over: set[str] = field(default_factory=set)
    replaces: "Story | None" = None
    parts_ms: int | None = None
    known_ms: int = 0
    lost: bool = False
    found: bool = False  # by something else than the answer to its INVITE
    first_ms: int | None = None
    answered_ms: int = 0

    @property
    def held(self) -> bool:
        return self.rings_ms is not None or bool(self.alive)


class CallMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.count = 0
        self.stories: list[Story] = []
        self.noted: dict[str, CallRecord] = {}

    @initialize(channels=st.integers(0, 3))
    def begin(self, channels: int) -> None:
        self.channels = channels
        self.trunk = Trunk(channels, call_age_s=AGE_S)

    # What the model knows

    @property
    def now(self) -> int:
        return self.trunk.scene.now

    def recent(self, story: Story) -> bool:
        """Whether the guard must still know of it."""
        return story.held or story.lost or self.now < story.known_ms

    def some(self, data: st.DataObject) -> Story:
        return data.draw(st.sampled_from([story for story in self.stories if self.recent(story)][-6:]))

    def ended(self, story: Story) -> None:
        story.rings_ms, story.parts_ms, story.known_ms = None, None, self.now + REPEATS_MS

    def lose(self, story: Story) -> None:
        story.alive, story.over, story.parts_ms, story.replaces = {}, set(), None, None
        story.lost = True

    def shows(self, story: Story, tag: str, seconds: int | None) -> None:
        """A dialog that nobody knew of stands."""
        if not story.held:
            taken = any(
                other.held and other.unit is story.unit for other in self.stories if other is not story
            )
            if taken or story.lost:
                story.unit = object()
        if story.lost:
            story.lost = False
        elif story.replaces is not None and story.parts_ms is None:
            story.parts_ms = self.now + REPEATS_MS
        story.rings_ms = None
        story.answered_ms = self.now
        story.alive[tag] = self.told(seconds)

    def told(self, seconds: int | None) -> Told:
        lives_ms = 1_000 * min(AGE_S, max(90, seconds or AGE_S))
        return Told(self.now + lives_ms, lives_ms)

    def note(self) -> None:
        for counted in self.trunk.counted:
            if counted.record is None:
                del self.noted[counted.over]
            else:
                self.noted[counted.record.name] = counted.record
        self.trunk.counted.clear()

    # What happens

    @rule(outward=st.booleans(), replaces=st.booleans(), data=st.data())
    def call(self, outward: bool, replaces: bool, data: st.DataObject) -> None:
        standing = [(story, tag) for story in self.stories for tag in story.alive]
        self.count += 1
        headers, old = [], None
        if replaces and standing:
            old, tag = data.draw(st.sampled_from(standing[-4:]))
            headers = [f"Replaces: {old.invite.call};to-tag={tag};from-tag=f{old.invite.call}"]
        verdict = self.trunk.scene.verdict
        free = len(verdict.busy) - len(verdict.over) < self.channels
        invite = self.trunk.invite(f"c{self.count}", *headers, outward=outward)
        assert bool(invite.sent) == (free or old is not None)
        assert bool(invite.refusal) == (not invite.sent)
        if invite.sent:
            unit = object() if old is None else old.unit
            self.stories.append(Story(invite, unit, self.now + GIVE_UP_MS, replaces=old))

    @precondition(lambda self: any(self.recent(story) and not story.lost for story in self.stories))
    @rule(data=st.data(), cancel=st.booleans())
    def comes_again_or_is_cancelled(self, data: st.DataObject, cancel: bool) -> None:
        story = self.some(data)
        if not story.lost and not story.found:
            before = story.invite.sent
            (self.trunk.cancel if cancel else self.trunk.again)(story.invite)
            assert story.invite.sent == before

    @precondition(lambda self: any(self.recent(story) for story in self.stories))
    @rule(data=st.data())
    def rings(self, data: st.DataObject) -> None:
        story = self.some(data)
        self.trunk.answer(story.invite, 180)
        if story.rings_ms is not None:
            story.rings_ms = self.now + RINGING_MS

    @precondition(lambda self: any(self.recent(story) for story in self.stories))
    @rule(data=st.data(), tag=TAGS, seconds=SESSIONS)
    def is_answered(self, data: st.DataObject, tag: str, seconds: int | None) -> None:
        story = self.some(data)
        if story.first_ms is not None and self.now >= story.first_ms + REPEATS_MS:
            return
        if story.found and tag not in story.alive:
            return
        story.first_ms = self.now if story.first_ms is None else story.first_ms
        self.trunk.answer(story.invite, 200, *session(seconds), tag=tag)
        if tag in story.alive:
            if story.found:
                story.alive[tag] = self.told(seconds)
        elif tag not in story.over:
            self.shows(story, tag, seconds)

    @precondition(lambda self: any(self.recent(story) for story in self.stories))
    @rule(data=st.data(), status=st.sampled_from([302, 401, 486, 487]))
    def fails(self, data: st.DataObject, status: int) -> None:
        story = self.some(data)
        self.trunk.answer(story.invite, status)
        if story.rings_ms is not None:
            self.ended(story)

    @precondition(lambda self: any(self.recent(story) for story in self.stories))
    @rule(data=st.data(), tag=TAGS, seconds=SESSIONS, caller=st.booleans())
    def is_refreshed(self, data: st.DataObject, tag: str, seconds: int | None, caller: bool) -> None:
        story = self.some(data)
        if not (tag in story.alive or tag in story.over or story.lost):
            return
        self.count += 1
        sent = self.trunk.within(story.invite, "INVITE", tag=tag, caller=caller, cseq=self.count)
        self.trunk.answer_within(sent, 200, *session(seconds))
        if tag in story.alive:
            story.alive[tag] = self.told(seconds)
        elif story.lost:
            self.shows(story, tag, seconds)
            story.found = True

    @precondition(lambda self: any(self.recent(story) for story in self.stories))
    @rule(
        data=st.data(),
        tag=TAGS,
        caller=st.booleans(),
        status=st.sampled_from([0, 100, 200, 200, 200, 401, 481, 500]),
    )
    def hangs_up(self, data: st.DataObject, tag: str, caller: bool, status: int) -> None:
        story = self.some(data)
        sent = self.trunk.within(story.invite, "BYE", tag=tag, caller=caller)
        told = story.alive.get(tag)
        if told is not None:
            told.leaves_ms = min(told.ends_ms, self.now + GIVE_UP_MS)
        if not status:
            return
        self.trunk.answer_within(sent, status)
        if told is None or status == 100:
            return
        if status in (401, 500):
            told.leaves_ms, told.lives_until_ms = None, self.now + told.lives_ms
            return
        del story.alive[tag]
        story.over.add(tag)
        if not story.alive:
            self.ended(story)
        self.pass_until(self.now)

    @rule(data=st.data(), ago_ms=st.sampled_from([0, 0, 1_000]))
    def pbx_tells(self, data: st.DataObject, ago_ms: int) -> None:
        held = [story for story in self.stories if story.held]
        known = data.draw(st.sets(st.sampled_from(held)) if held else st.just(set()))
        asked_ms = self.now - ago_ms
        guard = self.trunk.scene.guard
        call_ids = {story.invite.call.encode() for story in known}
        self.trunk.counted += guard.reconcile(call_ids, ALWAYS, asked_ms, self.now)  # type: ignore[arg-type] # all are
        for story in held:
            if story.alive and story.answered_ms < asked_ms and story not in known:
                self.lose(story)

    @rule()
    def the_agent_is_killed(self) -> None:
        self.note()
        before = self.trunk
        self.trunk = Trunk(self.channels, call_age_s=AGE_S)
        self.trunk.scene.now = before.scene.now
        verdict, was = self.trunk.scene.verdict, before.scene.verdict
        verdict.busy, verdict.over = was.busy.copy(), was.over.copy()
        self.trunk.scene.at(self.now)
        self.trunk.scene.guard.restore_calls(self.noted.values(), self.now)
        self.stories = [story for story in self.stories if story.held]
        for story in self.stories:
            story.over, story.answered_ms, story.parts_ms = set(), 0, None
            if story.rings_ms is not None:
                story.rings_ms = self.now + RINGING_MS
            if story.replaces is not None and story.alive:
                story.parts_ms = self.now + REPEATS_MS
            for told in story.alive.values():
                told.leaves_ms = None

    @precondition(lambda self: any(story.held for story in self.stories))
    @rule(before=st.sampled_from([0, 0, 1]))
    def jump_to_the_next_end(self, before: int) -> None:
        ends = [end for story in self.stories if story.held for end in moments(story)]
        self.pass_until(max(self.now, min(ends) - before))

    @rule(ms=st.sampled_from([1, 1_000, GIVE_UP_MS - 1, 90_000]))
    def wait(self, ms: int) -> None:
        self.pass_until(self.now + ms)

    def pass_until(self, now_ms: int) -> None:
        """Time passes from one moment at which something ends to the next."""
        while True:
            ends = [end for story in self.stories if story.held for end in moments(story) if end <= now_ms]
            self.trunk.scene.now = max(self.now, min(ends, default=now_ms))
            outputs = self.trunk.scene.at(self.now)
            self.trunk.counted += [output for output in outputs if type(output).__name__ == "Counted"]  # type: ignore[misc] # those
            for story in self.stories:
                if story.held:
                    self.time_passed(story)
            if not ends:
                return

    def time_passed(self, story: Story) -> None:
        now = self.now
        if story.rings_ms is not None:
            if story.rings_ms <= now:
                self.ended(story)
            return
        last = max(story.alive.values(), key=lambda told: told.ends_ms)
        if last.ends_ms <= now:
            if last.leaves_ms is not None:
                story.over |= set(story.alive)
                story.alive = {}
                self.ended(story)
            else:
                self.lose(story)
        elif story.parts_ms is not None and story.parts_ms <= now:
            old = story.replaces
            story.parts_ms, story.replaces = None, None
            if old is not None and old.held and old.unit is story.unit:
                story.unit = object()

    # What always holds

    @invariant()
    def as_many_channels_as_calls_need(self) -> None:
        if not hasattr(self, "trunk"):
            return
        self.note()
        held = [story for story in self.stories if story.held]
        assert self.trunk.busy == len({id(story.unit) for story in held})
        assert len(self.noted) == len(held)
        assert set(self.trunk.scene.verdict.busy) == {record.unit for record in self.noted.values()}

    @invariant()
    def the_next_timer_is_never_late(self) -> None:
        ends = [end for story in self.stories if story.held for end in moments(story)]
        if ends:
            due = self.trunk.scene.guard.next_timer()
            assert due is not None
            assert self.now < due <= min(ends)


def session(seconds: int | None) -> list[str]:
    return [] if seconds is None else [f"Session-Expires: {seconds};refresher=uac"]


def moments(story: Story) -> list[int]:
    """When something about a call that goes on may end."""
    ends = [told.ends_ms for told in story.alive.values()]
    found = [max(ends)] if ends else []
    found += [ms for ms in (story.rings_ms, story.parts_ms) if ms is not None]
    return found


CallMachine.TestCase.settings = settings(MACHINE, max_examples=MACHINE.max_examples if CHAOS else 50)
TestCalls = CallMachine.TestCase
