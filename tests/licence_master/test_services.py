"""What needs no process: names of events, holders that heal, limits, wakes, inventories, secrets."""

import asyncio
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from licence_master.config import MasterConfig
from licence_master.edges import inventory
from licence_master.edges.limits import RateLimit
from licence_master.service.holdings import Holdings
from licence_master.service.secret import fits, id_of, new_secret
from licence_master.service.wakes import Wakes
from licence_master.service.writer import EVENT_NAMES
from licensing import wire
from licensing.holders import digest, fingerprint
from licensing.ledger import AnyEvent
from runtime.config import ConfigErrors, load


def test_every_ledger_event_has_a_name_of_its_own() -> None:
    assert set(EVENT_NAMES) == {event.__name__ for event in get_args(AnyEvent)}
    assert len(set(EVENT_NAMES.values())) == len(EVENT_NAMES)


NAMES = st.sampled_from(["201", "202", "203", "204"])
EVENTS = st.sampled_from(["held", "released", "lingering", "refused", "surplus", "reported"])


def activity(n: int, name: str, event: str) -> wire.Activity:
    return wire.Activity(n=n, at_ms=n, object=name, kind="user", class_="seat", event=event)  # type: ignore[arg-type]


def told(names: set[str]) -> dict[str, wire.HolderDigest]:
    fingerprints = 0
    for name in names:
        fingerprints ^= fingerprint(name)
    return {"seat": digest(len(names), fingerprints)}


@given(st.lists(st.tuples(NAMES, EVENTS), max_size=30))
def test_holders_follow_the_events_and_their_digest_agrees(steps: list[tuple[str, str]]) -> None:
    holdings, model = Holdings(), dict[str, str]()
    for n, (name, event) in enumerate(steps):
        holdings.apply("lyon", [activity(n, name, event)])
        if event in ("held", "surplus"):
            model[name] = event
        elif event in ("released", "lingering"):
            model.pop(name, None)
        assert {holder.object: holder.state for holder in holdings.all()} == model
        held = {name for name, state in model.items() if state == "held"}
        assert holdings.doubted("lyon", told(held)) == ()
        assert holdings.doubted("lyon", told(held | {"9"})) == ("seat",)


@given(st.sets(st.text(min_size=1, max_size=3)), st.sets(st.text(min_size=1, max_size=3)), st.integers(1, 4))
def test_pages_make_the_list_what_the_agent_says(before: set[str], after: set[str], size: int) -> None:
    holdings = Holdings()
    holdings.apply("lyon", [activity(n, name, "held") for n, name in enumerate(before)])
    names, last_name = sorted(after), ""
    for start in range(0, max(len(names), 1), size):
        part = tuple(names[start : start + size])
        page = wire.HolderPage("seat", last_name, part, last=start + size >= len(names))
        holdings.correct("lyon", page, 0)
        last_name = part[-1] if part else last_name
    assert {holder.object for holder in holdings.all()} == after
    assert holdings.doubted("lyon", told(after)) == ()


def test_a_rate_limit_allows_a_burst_and_then_its_rate() -> None:
    limit = RateLimit(10)
    assert [limit.allows("a", 0) for _ in range(25)] == [True] * 20 + [False] * 5
    assert limit.allows("b", 0)
    assert not limit.allows("a", 99)
    assert limit.allows("a", 100)
    assert not limit.allows("a", 100)
    assert [limit.allows("a", 10_000) for _ in range(21)] == [True] * 20 + [False]


async def test_a_wake_is_kept_for_the_next_poll_until_a_sync_settles_it() -> None:
    wakes = Wakes()
    wakes.wake("lyon")
    assert await wakes.wait("lyon", 60)
    assert await wakes.wait("lyon", 60)
    wakes.settle("lyon")
    assert not await wakes.wait("lyon", 0)


async def test_a_second_poll_of_an_agent_ends_the_first() -> None:
    wakes = Wakes()
    first = asyncio.ensure_future(wakes.wait("lyon", 60))
    second = asyncio.ensure_future(wakes.wait("lyon", 60))
    assert not await first
    wakes.wake("lyon")
    assert await second
    wakes.settle("lyon")
    third = asyncio.ensure_future(wakes.wait("lyon", 60))
    await asyncio.wait([third], timeout=0)
    wakes.close()
    assert not await third
    assert not await wakes.wait("lyon", 60)


def test_the_example_configuration_is_valid() -> None:
    example = Path(__file__).parents[2] / "config" / "master.yaml"
    (acme,) = load(example, MasterConfig).installations
    assert [each.name for each in acme.pbxs] == ["hq", "lyon"]


def test_a_secret_is_shown_once_and_kept_hashed() -> None:
    secret = new_secret()
    assert id_of(secret.text) == secret.id
    assert fits(secret.text, secret.hash)
    assert not fits(secret.text[:-1] + "!", secret.hash)
    assert len(secret.text.partition(".")[2]) * 5 == 160


def test_csv_and_yaml_inventories_say_the_same() -> None:
    csv = b"\xef\xbb\xbfType;Count\n".lower() + b"PBX-Port13;3\n"
    yaml = b"licences:\n  - {type: PBX-Port13, count: 3}\n"
    assert inventory.read("a.csv", csv).rows == inventory.read("a.yaml", yaml).rows
    assert inventory.read("a.csv", csv).digest != inventory.read("a.yaml", yaml).digest


@pytest.mark.parametrize(
    ("content", "place"),
    [
        (b"", "x.csv:1:1:"),
        (b"type,count\n", "x.csv:1:1:"),
        (b"type,count,colour\nP,1,red\n", "x.csv:1:1:"),
        (b"type,count\nPBX-Port13,0\n", "x.csv:2:1: count:"),
        (b"type,count\nPBX-Port13,1,2\n", "x.csv:2:1:"),
        (b'type,count\n"PBX,1\n', "x.csv:"),
        (b"type,count\n\xff,1\n", "x.csv:2:1:"),
    ],
)
def test_a_bad_inventory_names_its_line(content: bytes, place: str) -> None:
    with pytest.raises(ConfigErrors) as caught:
        inventory.read("x.csv", content)
    assert str(caught.value.errors[0]).startswith(place)
