"""Keep-alives while a clock jumps from timer to timer: each phone behind a NAT once in each interval."""

from collections import Counter
from itertools import pairwise

import pytest

from telephony.address import Flow
from telephony.binding import Binding, Bindings, Registration
from telephony.keepalive import BEAT_MS, KeepAlives, is_behind_nat
from telephony.output import Send
from telephony.settings import Listener, Settings
from tests.telephony.scene import ANNA, BERT, PBX, Scene, register, sends

INTERVAL_S = 25
LISTENERS = (Listener("udp", "192.0.2.10:5060"), Listener("tcp", "192.0.2.10:5060"))
CONTACT = "Contact: <sip:201@10.0.0.5:5060>;expires=3600"


def settings(interval_s: int = INTERVAL_S) -> Settings:
    return Settings(PBX, LISTENERS, "lyon", nat_keep_alive_s=interval_s)


def bound(number: int, flow: Flow | None = None, contact: str = "sip:x@10.0.0.5") -> Registration:
    flow = flow or Flow(0, "198.51.100.7", 10_000 + number)
    return Registration(f"{number}@pbx", str(number), "user", (Binding(contact, flow, 1 << 60, 3_600),))


class Field:
    """Bindings with their keep-alives, and every one that was sent, with its time."""

    def __init__(self, interval_s: int = INTERVAL_S) -> None:
        self.bindings = Bindings()
        self.keep_alives = KeepAlives(settings(interval_s), self.bindings)
        self.now_ms = 1_234_567
        self.sent: list[tuple[int, Flow]] = []

    def bind(self, registration: Registration) -> None:
        self.bindings.replace(registration)
        self.keep_alives.note(registration, self.now_ms)

    def pass_time(self, for_ms: int) -> None:
        end_ms = self.now_ms + for_ms
        while (due_ms := self.keep_alives.next_timer()) is not None and due_ms <= end_ms:
            assert due_ms > self.now_ms
            assert self.keep_alives.due(due_ms - 1) == [], "not before its time"
            self.now_ms = due_ms
            self.sent += [(due_ms, flow) for flow in self.keep_alives.due(due_ms)]
        self.now_ms = end_ms


def test_each_flow_is_due_once_an_interval_and_they_are_spread() -> None:
    field = Field()
    flows = {bound(number).bindings[0].flow for number in range(5_000)}
    for number in range(5_000):
        field.bind(bound(number))
    field.pass_time(INTERVAL_S * 1_000)
    assert Counter(flow for _, flow in field.sent) == Counter(flows)
    at_once = Counter(time for time, _ in field.sent)
    assert max(at_once.values()) < 2 * 5_000 * BEAT_MS / (INTERVAL_S * 1_000)
    first = {flow: time for time, flow in field.sent}
    field.sent.clear()
    field.pass_time(INTERVAL_S * 1_000)
    assert {flow: time - INTERVAL_S * 1_000 for time, flow in field.sent} == first, "no gap is longer"


def test_a_new_phone_waits_no_longer_than_the_interval() -> None:
    for start_ms in range(0, 30_000, 700):
        field = Field()
        field.pass_time(start_ms)
        field.bind(bound(1))
        field.pass_time(INTERVAL_S * 1_000)
        assert len(field.sent) == 1


def test_only_phones_behind_a_nat_and_over_udp() -> None:
    field = Field()
    field.bind(bound(1, BERT, f"sip:1@{BERT.host}:5060"))
    field.bind(bound(2, Flow(1, "198.51.100.9", 5060, 7)))
    field.bind(bound(3, Flow(0, "2001:db8::7", 5060), "sip:3@[2001:DB8:0::7]:5060"))
    field.bind(bound(4, Flow(5, "198.51.100.9", 5060)))  # of a listener that is gone
    field.bind(bound(5, ANNA))
    field.pass_time(INTERVAL_S * 1_000)
    assert [flow for _, flow in field.sent] == [ANNA]


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0)])
def test_aors_that_share_a_flow_share_its_keep_alive_until_the_last_is_gone(order: tuple[int, ...]) -> None:
    field = Field()
    trunk = [bound(number, ANNA) for number in range(3)]
    for registration in trunk:
        field.bind(registration)
    for number, expected in zip(order, (1, 1, 0), strict=True):
        field.sent.clear()
        field.bindings.replace(trunk[number]._replace(bindings=()))
        field.pass_time(INTERVAL_S * 1_000)
        assert len(field.sent) == expected
    assert field.keep_alives.next_timer() is None


def test_a_phone_that_moved_is_kept_where_it_is() -> None:
    field = Field()
    field.bind(bound(1, ANNA))
    field.bind(bound(1, BERT))
    field.pass_time(INTERVAL_S * 1_000)
    assert [flow for _, flow in field.sent] == [BERT]


def test_after_a_stall_each_is_sent_once() -> None:
    field = Field()
    for number in range(100):
        field.bind(bound(number))
    assert len(field.keep_alives.due(field.now_ms + 10 * INTERVAL_S * 1_000)) == 100
    field.now_ms += 10 * INTERVAL_S * 1_000
    field.pass_time(INTERVAL_S * 1_000)
    assert len(field.sent) == 100


def test_the_shortest_interval_works_and_none_is_none() -> None:
    field = Field(1)
    field.bind(bound(1))
    field.pass_time(10_000)
    assert len(field.sent) == 10
    silent = Field(0)
    silent.bind(bound(1))
    assert silent.keep_alives.next_timer() is None
    assert silent.keep_alives.due(10**9) == []


@pytest.mark.parametrize(
    ("contact", "host", "expected"),
    [
        ("sip:201@10.0.0.5:5060", "10.0.0.5", False),
        ("sip:201@10.0.0.5:5060;ob", "198.51.100.7", True),
        ("sips:201@[2001:db8::1]:5061", "2001:db8::1", False),
        ("sip:201@[2001:0DB8:0:0::1]", "2001:db8::1", False),
        ("sip:201@[fe80::1]", "fe80::1%2", False),
        ("sip:201@phone.example.com", "198.51.100.7", True),
        ("sip:10.0.0.5", "10.0.0.5", False),
        ("nonsense", "10.0.0.5", True),
    ],
)
def test_who_is_behind_a_nat(contact: str, host: str, expected: bool) -> None:
    assert is_behind_nat(contact, Flow(0, host, 5060)) == expected


def test_the_guard_sends_them_in_time_and_after_a_restart() -> None:
    scene = Scene(nat_keep_alive_s=INTERVAL_S)
    scene.accepted(register(), CONTACT)
    stored = scene.guard.snapshot()
    for guard in (scene, Scene(nat_keep_alive_s=INTERVAL_S)):
        if guard is not scene:
            guard.guard.restore(stored, guard.now)
        begun_ms, times = guard.now, []
        while (due_ms := guard.guard.next_timer()) is not None and due_ms <= begun_ms + 100_000:
            if Send(ANNA, b"\r\n") in sends(guard.at(due_ms)):
                times.append(due_ms)
        assert len(times) == 4
        assert {later - earlier for earlier, later in pairwise(times)} == {25_000}
    assert not any(send.data == b"\r\n" for send in sends(scene.accepted(register(cseq=2), CONTACT)))
