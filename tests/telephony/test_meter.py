"""The meter against token buckets in fractions, and what a flood under many names can do to it: nothing."""

from fractions import Fraction
from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telephony.address import Flow, source_of
from telephony.meter import LATER, NO, NOW, Meter

FLOODER, PHONE, PBX = "198.51.100.66", "203.0.113.7", "192.0.2.20"


class Bucket:
    """The token bucket as textbooks have it."""

    def __init__(self, rate: int, burst: int) -> None:
        self.rate, self.burst = rate, burst
        self.tokens, self.since_ms = Fraction(burst), 0

    def admit(self, now_ms: int) -> bool:
        gained = Fraction((now_ms - self.since_ms) * self.rate, 1_000)
        self.tokens = min(Fraction(self.burst), self.tokens + gained)
        self.since_ms = now_ms
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True


steps = st.lists(
    st.tuples(st.sampled_from(["10.0.0.1", "10.0.0.2", "2001:db8::1", "2001:db8::2"]), st.integers(0, 700)),
    max_size=60,
)


@given(st.integers(1, 5_000), st.integers(1, 8), steps)
def test_each_source_has_its_own_exact_bucket(rate: int, burst: int, steps: list[tuple[str, int]]) -> None:
    meter = Meter(rate, burst)
    buckets = {host: Bucket(rate, burst) for host in ("10.0.0.1", "10.0.0.2", "2001:db8::")}
    now_ms, refused = 1_000, 0
    for host, pause_ms in steps:
        now_ms += pause_ms
        wanted = buckets["2001:db8::" if ":" in host else host].admit(now_ms)
        assert bool(meter.admit(host, now_ms)) == wanted
        refused += not wanted
    assert meter.refused == sum(count for _, count in meter.over()) == refused


@given(st.integers(1, 3), st.lists(st.tuples(st.integers(0, 9), st.integers(0, 400)), max_size=80))
def test_a_small_table_forgets_only_in_favour_of_a_source(burst: int, steps: list[tuple[int, int]]) -> None:
    """Forgotten means paid: nobody is refused who would not be with a table without end."""
    meter, buckets, now_ms = Meter(4, burst, table=4), [Bucket(4, burst) for _ in range(10)], 0
    for number, pause_ms in steps:
        now_ms += pause_ms
        if buckets[number].admit(now_ms):
            assert meter.admit(f"10.0.0.{number}", now_ms)
        else:
            meter.admit(f"10.0.0.{number}", now_ms)
        assert len(meter) <= 4


@pytest.mark.parametrize("rate", [1, 1_000])
@pytest.mark.parametrize("name", ["10.{0}.{1}.{2}", "2001:db8:{0}:{1}{2:02x}::1"])
def test_a_flood_under_random_names_makes_no_flooder_forgotten(rate: int, name: str) -> None:
    """With a rate of 1/s even the spoofed sources owe something, and the table is full of them."""
    meter, now_ms = Meter(rate, 10, table=1_000), 50_000
    while meter.admit(FLOODER, now_ms):
        pass
    for number in range(30_000):
        assert meter.admit(name.format(number >> 16, number >> 8 & 255, number & 255), now_ms)
        assert len(meter) <= 1_000
    assert not meter.admit(FLOODER, now_ms)
    assert meter.admit(PHONE, now_ms), "a phone among them has its own bucket"


def test_addresses_of_one_ipv6_network_share_and_others_do_not() -> None:
    meter = Meter(1, 3)
    answers = [bool(meter.admit(f"2001:db8:0:1::{number:x}", 5_000)) for number in range(5)]
    assert answers == [True, True, True, False, False]
    assert meter.over() == [("2001:db8:0:1::/64", 2)]
    assert meter.admit("2001:db8:0:2::1", 5_000)
    assert meter.admit("192.0.2.1", 5_000)


def test_the_pbx_and_trusted_networks_are_not_counted() -> None:
    trusted = (ip_network("203.0.113.0/24"), ip_network("2001:db8:7::/48"))
    meter = Meter(1, 1, (PBX,), trusted, table=4)
    for host in (PBX, "203.0.113.7", "203.0.113.8", "2001:db8:7::1", "2001:db8:7::2"):
        assert all(meter.admit(host, 5_000) for _ in range(10)), host
        assert len(meter) <= 4
    for host in ("203.0.114.1", "2001:db8:8::1", "fe80::1%eth0"):
        assert [bool(meter.admit(host, 5_000)) for _ in range(3)] == [True, False, False]


def test_exhausted_means_the_rate_and_no_burst() -> None:
    meter = Meter(10, 1_000)
    assert meter.admit(FLOODER, 1_000)
    meter.exhaust(FLOODER, 1_000)
    times = (1_000, 1_000, 1_050, 1_100, 1_101)
    assert [meter.admit(FLOODER, now_ms) for now_ms in times] == [LATER, NO, NO, LATER, NO]


@pytest.mark.parametrize(("rate", "usual"), [(1, 101), (1_000, 101), (50_000, 5_001)])
def test_who_sends_much_at_once_is_served_after_the_others(rate: int, usual: int) -> None:
    meter = Meter(rate, 9_000)
    for host in (FLOODER, "2001:db8::1"):
        answers = [meter.admit(host, 1_000) for _ in range(9_001)]
        assert answers == [NOW] * usual + [LATER] * (9_000 - usual) + [NO]
        assert meter.admit(PHONE, 1_000) == NOW


def test_what_arrives_together_is_sorted_in_order() -> None:
    meter = Meter(1_000, 102, (PBX,))
    flows = {host: Flow(0, host, 5060) for host in (FLOODER, PHONE, PBX)}
    arrived = [(b"%d" % number, flows[FLOODER]) for number in range(104)]
    arrived += [(b"phone", flows[PHONE]), (b"pbx", flows[PBX])]
    assert meter.sort(arrived, 1_000) == (arrived[:101] + arrived[104:], arrived[101:102], arrived[102:104])


def test_over_names_the_worst_first_and_begins_anew() -> None:
    meter = Meter(1, 1)
    for host, count in (("10.0.0.1", 3), (FLOODER, 9), ("10.0.0.3", 1)):
        for _ in range(count):
            meter.admit(host, 1_000)
    assert meter.over() == [(FLOODER, 8), ("10.0.0.1", 2)]
    assert meter.over() == []
    assert meter.refused == 10


@given(st.integers(0, 2**128 - 1))
def test_the_source_of_an_ipv6_address_is_its_64(number: int) -> None:
    address = ip_address(number)
    text = str(address)
    if address.version == 4 or "." in text:
        assert source_of(text) == text
    else:
        assert ip_network(source_of(text)) == ip_network((number >> 64 << 64, 64))


def test_asking_what_a_source_owes_counts_nothing() -> None:
    meter = Meter(10, 2)
    assert not meter.owes("192.0.2.1", 0)
    assert [bool(meter.admit("192.0.2.1", 0)) for _ in range(3)] == [True, True, False]
    assert all(meter.owes("192.0.2.1", now_ms) for now_ms in (0, 50, 99))
    assert (meter.refused, meter.over()) == (1, [("192.0.2.1", 1)])
    assert not meter.owes("192.0.2.1", 100)
    assert meter.admit("192.0.2.1", 100)
