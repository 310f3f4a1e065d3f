"""What needs no process: names of events, holders that heal, limits, wakes, inventories, secrets."""

import asyncio
import json
from pathlib import Path
from typing import get_args

import pytest

from licence_master.config import MasterConfig
from licence_master.edges import inventory
from licence_master.edges.limits import RateLimit
from licence_master.service.people.secret import fits, id_of, new_secret
from licence_master.service.wakes import Wakes
from licence_master.service.writer import EVENT_NAMES, facts_of
from licensing.ledger import AnyEvent
from runtime.config import ConfigErrors, load
from tests.licensing.test_ledger import EVENTS


def test_every_ledger_event_has_a_name_of_its_own() -> None:
    assert set(EVENT_NAMES) == {event.__name__ for event in get_args(AnyEvent)}
    assert len(set(EVENT_NAMES.values())) == len(EVENT_NAMES)


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_the_facts_of_an_event_are_json_for_log_and_history(event: AnyEvent) -> None:
    facts = facts_of(event)
    assert json.loads(json.dumps(facts)) == facts


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
