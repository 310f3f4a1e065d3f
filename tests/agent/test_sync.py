"""The conversation with the master: what is asked, what is believed, and what happens without answers."""

from functools import partial

import msgspec
import pytest

from agent.store import enrolment
from licensing import wire
from licensing.codes import Code
from licensing.site.holders import page
from runtime.signing import SigningKey
from tests.agent.conftest import House
from tests.agent.scripted_master import ScriptedMaster
from tests.agent.scripted_pbx import header, status_of
from tests.agent.test_observer import until


def sequence(body: bytes) -> int:
    """The seq of a request."""
    return msgspec.json.decode(body, type=wire.Sync).seq


async def test_hello_comes_first_and_then_syncs(house: House) -> None:
    async with house.running():
        path, hello = await house.heard()
        assert path == "/v1/agent/hello"
        assert (hello.agent, hello.installation, hello.seq, hello.prev) == ("lyon", "acme", 1, "n0")
        await house.sync()
        path, sync = await house.heard()
        assert (path, sync.seq, sync.prev) == ("/v1/agent/sync", 2, "n1")
        assert sync.boot == hello.boot


async def test_a_wake_makes_it_sync_at_once(house: House) -> None:
    async with house.running():
        await house.heard()
        await house.master.polls.get()
        house.master.woken.put_nowait(True)
        path, _ = await house.heard(within_s=2)
        assert path == "/v1/agent/sync"
        await house.master.polls.get()


async def test_a_wake_that_cannot_be_read_ends_nothing(house: House) -> None:
    """Signed, and from a master of another release."""
    house.master.garbles_wake = True
    async with house.running():
        await house.heard()
        await house.master.polls.get()
        house.master.woken.put_nowait(True)
        await house.master.polls.get()
        assert await house.register("202") == 200


async def test_a_unit_freed_elsewhere_reaches_the_waiting_phone(house: House) -> None:
    """Recall and wake: a denial that is recalling makes the phone wait, the wake brings its unit."""
    house.master.capacity, house.master.recalling, house.master.state = 0, 1, "short"
    async with house.running():
        await house.sync()
        phone = await house.phone()
        phone.register(house.guard, "202")
        await house.heard_demand(used=0, want=1)
        house.master.capacity = 1
        house.master.woken.put_nowait(True)
        assert status_of(await phone.answer()) == 200


async def test_a_retry_repeats_the_bytes(house: House) -> None:
    async with house.running():
        await house.sync()
        house.master.say = [Code.STORE_FAILED, Code.STORE_FAILED]
        for _ in range(3):
            await house.sync()
        bodies = [body for _, body in house.master.requests[-3:]]
        assert len(set(bodies)) == 1
        await house.sync()
        assert sequence(house.master.requests[-1][1]) == sequence(bodies[0]) + 1


async def test_hello_when_the_store_does_not_know_us(house: House) -> None:
    async with house.running():
        await house.sync()
        house.master.say = [Code.HELLO_NEEDED]
        await house.sync()
        await house.sync()
        (asked, _), (path, hello) = house.master.requests[-2:]
        assert (asked, path) == ("/v1/agent/sync", "/v1/agent/hello")
        proofs = msgspec.json.decode(hello, type=wire.Hello).proofs
        assert len(proofs) == 1, "the stored answer proves what this master lent"
        assert house.status()["state"] == "in_sync"


async def test_hello_when_a_new_store_cannot_even_sign_for_us(house: House) -> None:
    """A master whose store was deleted knows no key of ours: its answer is a hint, hello is what it needs."""
    async with house.running():
        await house.sync()
        house.master.unsigned = [Code.UNKNOWN_AGENT]
        await house.sync()
        await house.sync()
        assert [path for path, _ in house.master.requests[-2:]] == ["/v1/agent/sync", "/v1/agent/hello"]


async def test_after_a_release_the_share_is_gone_until_the_new_epoch(house: House) -> None:
    house.master.capacity = 5
    async with house.running():
        assert await house.register("202") == 200
        house.master.epoch, house.master.capacity = 2, 0
        house.master.say = [Code.EPOCH_OLD]
        await house.sync()
        assert house.seats()["granted"] == 0
        await house.sync()
        assert house.lyon.conversation.record.epoch == 2
        assert house.seats()["surplus"] == 1, "the phone is not cut"
        assert await house.register("203") == 403


@pytest.mark.parametrize("fault", ["foreign key", "older term", "other instance"])
async def test_answers_of_others_change_nothing(house: House, fault: str) -> None:
    codes = {
        "foreign key": Code.SIGNATURE_INVALID,
        "older term": Code.TERM_OLD,
        "other instance": Code.INSTANCE_CONFLICT,
    }
    async with house.running():
        assert await house.register("202") == 200
        house.master.capacity = 0
        match fault:
            case "foreign key":
                house.master.signing_key = SigningKey.generate()
            case "older term":
                house.master.term = 0
            case _:
                house.master.instance = "two"
        await house.sync()  # whatever was on its way has been answered now
        before = house.lyon.conversation.record
        await house.sync()
        after = house.lyon.conversation.record
        assert (after.term, after.instance, after.answer) == (before.term, before.instance, before.answer)
        assert [alarm["code"] for alarm in house.status()["alarms"]] == [codes[fault]]
        assert house.seats()["used"] == 1


async def test_a_master_with_another_key_hears_nothing(house: House, master: ScriptedMaster) -> None:
    """A wrong pin: the connection ends before the first byte of a request."""
    enrolment_file = house.data / "lyon" / "enrolment.json"
    enrolment_file.write_text(enrolment_file.read_text().replace(master.pin, "sha256:" + "0" * 64))
    async with house.running():
        phone = await house.phone()
        phone.register(house.guard, "202")
        answer = await phone.answer()
        assert status_of(answer) == 503
        assert b"master_away" in header(answer, b"Warning")
        assert house.master.requests == []
        assert [alarm["code"] for alarm in house.status()["alarms"]] == ["pin_mismatch"]


async def test_away_refuse_and_report(house: House, master: ScriptedMaster) -> None:
    """No answer within 2 s of waiting: `refuse` says 503, `report` admits and tells."""
    master.open.clear()
    for policy, expected in (("refuse", 503), ("report", 200)):
        house.away = policy
        async with house.running():
            assert await house.register("202") == expected
            assert house.status()["state"] == "never_synced"


async def test_the_first_answer_brings_the_policy_of_the_enrolment(
    house: House, master: ScriptedMaster
) -> None:
    """The away policy of agent.yaml ends with the first answer, which repeats no policy we have."""
    master.capacity = 1
    master.policy = msgspec.structs.replace(master.policy, etag="reporting", away="report")
    directory = house.data / "lyon"
    key = SigningKey.load(directory / enrolment.KEY_FILE)
    enrolment.save(directory, master.enrolment("lyon", key))
    async with house.running():
        assert await house.register("202") == 200
        master.open.clear()
        assert await house.register("203") == 200, "beyond the share, reported"
        assert house.seats()["surplus"] == 1


async def test_inside_the_share_everything_goes_on_without_a_master(
    house: House, master: ScriptedMaster
) -> None:
    async with house.running():
        assert await house.register("202") == 200
        master.open.clear()
        assert await house.register("203") == 200, "a spare unit is at hand"
        assert await house.register("202") == 200


async def test_revoked_agents_keep_what_they_hold(house: House) -> None:
    async with house.running():
        assert await house.register("202") == 200
        house.master.say = [Code.AGENT_REVOKED] * 100
        await house.sync()
        assert house.status()["state"] == "revoked"
        assert await house.register("202") == 200
        assert [alarm["code"] for alarm in house.status()["alarms"]] == ["agent_revoked"]


@pytest.mark.parametrize(("size", "names"), [(1_000, [("202", "203")]), (1, [("202",), ("203",)])])
async def test_holders_are_listed_when_asked_and_to_the_end(
    house: House, monkeypatch: pytest.MonkeyPatch, size: int, names: list[tuple[str, ...]]
) -> None:
    """A list that has begun goes on at once."""
    monkeypatch.setattr("licensing.site.seat.page", partial(page, size=size))
    async with house.running():
        assert await house.register("202") == 200
        assert await house.register("203") == 200
        house.master.holders_wanted = ("seat",)
        await house.sync()
        house.master.holders_wanted = ()
        await house.sync()
        await until(lambda: pages(house)[-1].last)
        assert [(each.class_, each.names) for each in pages(house)] == [("seat", each) for each in names]


async def test_a_list_that_is_wanted_for_ever_comes_with_the_syncs(house: House) -> None:
    """As where two releases make another digest of the same names."""
    async with house.running():
        assert await house.register("202") == 200
        house.master.holders_wanted = ("seat",)
        await house.sync()
        before = len(house.master.requests)
        for _ in range(100):
            await house.sync()
        assert len(house.master.requests) - before < 105, "and what became known meanwhile"
        assert len(pages(house)) >= 100


def pages(house: House) -> list[wire.HolderPage]:
    """All pages of holders that the master was told."""
    syncs = (msgspec.json.decode(body, type=wire.Sync) for _, body in house.master.requests)
    return [each for sync in syncs for each in sync.pages]


async def test_bye_gives_everything_back_and_stops(house: House) -> None:
    async with house.running():
        assert await house.register("202") == 200
        await house.lyon.conversation.bye()
        assert house.master.requests[-1][0] == "/v1/agent/bye"
        assert house.seats()["granted"] == 0
        assert house.lyon.conversation.departed


async def test_activity_numbers_go_on_after_a_restart(house: House) -> None:
    for user in ("202", "203"):
        async with house.running():
            assert await house.register(user) == 200
            await house.sync()
            await house.sync()
    syncs = [msgspec.json.decode(body, type=wire.Sync) for _, body in house.master.requests]
    told = {(event.n, event.object, event.event) for sync in syncs for event in sync.activity}
    assert told == {(1, "202", "held"), (2, "203", "held")}


async def test_joining_again_begins_a_new_epoch(house: House) -> None:
    """The share of the old epoch is others' now; no phone is cut, they wait for units of the new one."""
    async with house.running():
        assert await house.register("202") == 200
    house.master.epoch = 2
    directory = house.data / "lyon"
    enrolment.save(directory, house.master.enrolment("lyon", SigningKey.load(directory / enrolment.KEY_FILE)))
    house.master.requests.clear()
    async with house.running():
        await house.sync()
        hello = msgspec.json.decode(house.master.requests[0][1], type=wire.Hello)
        assert (hello.epoch, hello.seq, hello.proofs) == (2, 1, ())
        assert hello.classes["seat"].surplus == 1
        assert house.seats()["used"] == 1
