"""The picture of a PBX against the PBX itself: late, repeated and lost events, lists that are old."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from telephony.pbx.picture import Call, Change, Contact, Gone, Item, Member, Picture, Present, Snapshot
from tests.machine import MACHINE

ITEMS: list[Item] = [
    *[Contact(aor, f"sip:{aor}@{host}") for aor in ("1001", "1002") for host in ("a", "b")],
    *[Member(room, call) for room in ("700", "701") for call in ("c1", "c2")],
    *[Call(call) for call in ("c1", "c2")],
]


class PictureMachine(RuleBasedStateMachine):
    """A PBX, a stream that delivers in order, and a list that is made some time after it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.pbx: set[Item] = set()
        self.stream: list[Change] = []
        self.picture = Picture()
        self.effects: set[Item] = set()  # what whoever follows the picture believes
        self.asking = False
        self.listed: Snapshot | None = None
        self.faithful = True  # nothing was lost since the last list

    def follow(self, effects: list[Change]) -> None:
        for effect in effects:
            if isinstance(effect, Present):
                assert effect.item not in self.effects, "it came twice"
                self.effects.add(effect.item)
            else:
                self.effects.remove(effect.item)

    @rule(item=st.sampled_from(ITEMS))
    def comes(self, item: Item) -> None:
        """A member is in a call."""
        if isinstance(item, Member) and Call(item.call) not in self.pbx:
            return
        self.pbx.add(item)
        self.stream.append(Present(item))  # also where it was there: events repeat

    @rule(item=st.sampled_from(ITEMS))
    def goes(self, item: Item) -> None:
        self.pbx.discard(item)
        if isinstance(item, Call):
            self.pbx -= {each for each in self.pbx if isinstance(each, Member) and each.call == item.call}
        self.stream.append(Gone(item))

    @precondition(lambda self: self.stream)
    @rule(count=st.integers(1, 4))
    def arrives(self, count: int) -> None:
        now, self.stream = self.stream[:count], self.stream[count:]
        for change in now:
            self.follow(self.picture.change(change))

    @rule()
    def link_breaks(self) -> None:
        before = self.view()
        self.stream.clear()
        self.picture.unanswered()
        self.asking, self.listed, self.faithful = False, None, False
        assert self.view() == before, "a lost link ends nothing"

    @precondition(lambda self: not self.asking)
    @rule()
    def asks(self) -> None:
        self.picture.ask()
        self.asking = True

    @precondition(lambda self: self.asking and self.listed is None)
    @rule()
    def makes_the_list(self) -> None:
        """What is still in the stream is in the list already."""
        self.listed = Snapshot(
            tuple(item for item in self.pbx if isinstance(item, Contact)),
            tuple(item for item in self.pbx if isinstance(item, Member)),
            tuple(item for item in self.pbx if isinstance(item, Call)),
        )

    @precondition(lambda self: self.listed is not None)
    @rule()
    def list_arrives(self) -> None:
        assert self.listed is not None
        self.follow(self.picture.settle(self.listed))
        self.asking, self.listed, self.faithful = False, None, True

    def view(self) -> set[Item]:
        return {*self.picture.contacts(), *self.picture.members(), *self.picture.calls()}

    @invariant()
    def who_follows_sees_the_same(self) -> None:
        assert self.effects == self.view()

    @invariant()
    def it_is_right_once_everything_arrived(self) -> None:
        if self.faithful and not self.stream:
            assert self.view() == self.pbx


TestPicture = PictureMachine.TestCase
TestPicture.settings = settings(MACHINE, max_examples=MACHINE.max_examples // 5)


def contact(uri: str, expires_ms: int | None = None) -> Contact:
    return Contact("1001", uri, expires_ms)


def test_a_replacement_is_right_whichever_comes_first() -> None:
    old, new = contact("sip:a"), contact("sip:b")
    for changes in ((Present(new), Gone(old)), (Gone(old), Present(new))):
        picture = Picture()
        picture.change(Present(old))
        for change in changes:
            picture.change(change)
        assert picture.contacts() == [new]


def test_an_event_does_not_forget_until_when_a_contact_lasts() -> None:
    picture = Picture()
    picture.ask()
    picture.settle(Snapshot(contacts=(contact("sip:a", 500),)))
    assert picture.change(Present(Contact("1001", "sip:a", reachable=False))) == []
    assert picture.contacts() == [Contact("1001", "sip:a", 500, reachable=False)]
    assert picture.expire(499) == []
    assert picture.expire(500) == [Gone(Contact("1001", "sip:a", 500, reachable=False))]


def test_what_a_pbx_cannot_list_is_left_alone() -> None:
    picture = Picture()
    picture.change(Present(Member("700", "c1")))
    picture.ask()
    assert picture.settle(Snapshot(contacts=())) == []
    assert picture.members() == [Member("700", "c1")]


def test_what_came_after_the_question_outlives_an_older_list() -> None:
    picture, came = Picture(), contact("sip:a")
    picture.ask()
    picture.change(Present(came))
    picture.settle(Snapshot(contacts=()))
    assert picture.contacts() == [came]
