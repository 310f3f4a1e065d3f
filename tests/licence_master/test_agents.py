"""Agents at a real master over HTTPS: enrolment, lending, repeats, wakes; each refusal changes nothing."""

import asyncio

from licensing import wire
from tests.acceptance.peers.waiting import until
from tests.licence_master.conftest import join
from tests.licence_master.master import Master
from tests.licence_master.peer import Peer, happened


async def test_an_agent_joins_and_is_lent_what_it_wants(master: Master) -> None:
    async with await join(master, "lyon") as lyon:
        assert (lyon.name, lyon.installation, lyon.epoch) == ("lyon", "acme", 1)
        answer = (await lyon.sync({"seat": 7})).decoded(wire.Answer)
        assert answer.shares["seat"] == wire.ShareGrant(granted=7, max_software=13)
        assert answer.policy is not None
        assert answer.policy.kinds["user"] == "seat"
        assert answer.roster is not None
        assert set(answer.roster.agents) == {"lyon"}
        (await lyon.sync({"seat": 2}))
        assert lyon.shares == {"seat": 2}


async def test_a_virtual_pbx_gets_port_and_ipva_together_or_neither(master: Master) -> None:
    async with await join(master, "nice") as nice:
        answer = (await nice.sync({"virtual_seat": 6})).decoded(wire.Answer)
        assert answer.shares["virtual_seat"].granted == 4
        assert answer.denials["virtual_seat"].code == "ipva_missing"
    assert {row["pool"]: row["lent"] for row in master.ask("/pools")} == {"ipva": 4, "port": 4}


async def test_a_repeat_gets_the_stored_answer_byte_for_byte(master: Master) -> None:
    async with await join(master, "lyon") as lyon:
        first = await lyon.sync({"seat": 5})
        assert [await lyon.again() for _ in range(3)] == [first] * 3
        master.kill()
        master.start()
        await lyon.move_to(master.url)
        assert await lyon.again() == first


async def test_idle_units_are_recalled_for_a_phone_that_waits(master: Master) -> None:
    """Wake and recall: lyon's spare serves a phone at hq, with no timer in between."""
    async with await join(master, "lyon") as lyon, await join(master, "hq") as hq:
        await lyon.sync({"seat": 10}, idle={"seat": 6})
        assert lyon.shares == {"seat": 10}
        sleeping = asyncio.create_task(lyon.wake())
        denial = (await hq.sync({"seat": 1})).decoded(wire.Answer).denials["seat"]
        assert denial.recalling == 1
        assert await sleeping
        recalled = (await lyon.sync({"seat": 10}, idle={"seat": 6})).decoded(wire.Answer)
        assert recalled.shares["seat"].recall_to == 9
        waiting = asyncio.create_task(hq.wake())
        await lyon.sync({"seat": 9}, idle={"seat": 5})
        assert await waiting
        await hq.sync({"seat": 1})
        assert (lyon.shares, hq.shares) == ({"seat": 9}, {"seat": 1})


async def test_what_a_released_site_once_needed_keeps_nobody_short(master: Master) -> None:
    async with await join(master, "lyon") as lyon, await join(master, "hq") as hq:
        await lyon.sync({"seat": 10})
        assert (await hq.sync({"seat": 1})).decoded(wire.Answer).denials["seat"].code == "no_free_licence"
        master.order("/agents/lyon/release-site", {})
        answer = (await hq.sync({"seat": 4}, idle={"seat": 2})).decoded(wire.Answer)
        assert answer.shares["seat"] == wire.ShareGrant(granted=4, max_software=13)


async def test_bye_gives_everything_back(master: Master) -> None:
    async with await join(master, "lyon") as lyon, await join(master, "hq") as hq:
        await lyon.sync({"seat": 10})
        await lyon.bye()
        assert (await hq.sync({"seat": 10})).decoded(wire.Answer).shares["seat"].granted == 10
        await lyon.sync({"seat": 1})
        assert lyon.shares == {"seat": 0}


async def test_activity_is_acknowledged_once_and_tells_who_holds_what(master: Master) -> None:
    async with await join(master, "lyon") as lyon:
        await lyon.sync({"seat": 2}, activity=[happened(1, "201"), happened(2, "202")])
        assert lyon.activity == 2
        late = [happened(2, "202"), happened(3, "201", "released"), happened(4, "203", "refused")]
        await lyon.sync({"seat": 2}, activity=late)
        assert lyon.activity == 4
    assert [(row["object"], row["state"]) for row in master.ask("/holders")] == [("202", "held")]
    assert len(master.ask("/events")) == 4


async def test_a_holder_list_that_differs_twice_is_asked_for_and_healed(master: Master) -> None:
    async with await join(master, "lyon") as lyon:
        told = {"seat": {"count": 1, "digest": "0123456789abcdef"}}
        await lyon.sync({"seat": 2}, activity=[happened(1, "201")], holders=told)
        assert lyon.answer().holders_wanted == ()
        await lyon.sync({"seat": 2}, holders=told)
        assert lyon.answer().holders_wanted == ("seat",)
        page = {"class": "seat", "after": "", "names": ["205", "206"], "last": True}
        await lyon.sync({"seat": 2}, holders=told, pages=[page])
    assert [row["object"] for row in master.ask("/holders")] == ["205", "206"]


async def test_a_health_check_needs_no_key(master: Master) -> None:
    async with Peer(master.url, master.pin) as nobody:
        assert (await nobody.http.get("/healthz")).text == "ok\n"
        assert (await nobody.http.get("/v1/agent/sync")).status_code == 405
        assert (await nobody.http.post("/v1/agent/sync", content=b"{}")).status_code == 422


async def test_wake_ends_when_the_master_stops(master: Master) -> None:
    async with await join(master, "lyon") as lyon:
        sleeping = asyncio.create_task(lyon.wake())
        await asyncio.to_thread(until, lambda: listening(master) == 1)
        await asyncio.to_thread(master.stop)
        assert not await sleeping


def listening(master: Master) -> int:
    """How many agents the master could wake now."""
    with master.api() as client:
        text = client.get("http://master/metrics").text
    (line,) = (line for line in text.splitlines() if line.startswith("licence_agents_listening{"))
    return int(float(line.split()[-1]))
