"""An agent that observes a scripted Asterisk: seats follow what it holds; a lost link ends nothing."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agent.asterisk import Asterisk as Settings
from agent.edges.asterisk.manager import Manager
from agent.edges.status_table import observed_table
from agent.service.driver import CannotEvictError, LinkLostError, RefusedError
from licensing.site.decision import Admitted, Decision
from licensing.site.use import Leg
from runtime.clock import SystemClock
from telephony.pbx.picture import Change, Contact, Member
from tests.acceptance.peers import waiting
from tests.agent.conftest import House
from tests.agent.scripted_manager import SECRET, ScriptedManager
from tests.authority import Authority

LEGS = {"conference_leg": "conference_leg", "relay_leg": "relay_channel"}


@pytest.fixture
async def manager() -> AsyncIterator[ScriptedManager]:
    async with ScriptedManager().serving() as serving:
        yield serving


@pytest.fixture
def observing(house: House, manager: ScriptedManager, tmp_path: Path) -> House:
    """A house whose PBX is observed, and whose master lends conference channels."""
    (tmp_path / "secret").write_text(f"{SECRET}\n")
    house.asterisk = {
        "manager": f"127.0.0.1:{manager.port}",
        "user": "agent",
        "secret": str(tmp_path / "secret"),
    }
    kinds = {**house.master.policy.kinds, **LEGS}
    house.master.policy = msgspec.structs.replace(house.master.policy, etag="2", kinds=kinds)
    return house


async def until(holds: Callable[[], bool], what: object = "") -> None:
    """Wait while the agent goes on in this loop, where it is asked too."""
    loop = asyncio.get_running_loop()

    async def ask() -> bool:
        return holds()

    def asked() -> bool:
        return asyncio.run_coroutine_threadsafe(ask(), loop).result()

    await asyncio.to_thread(waiting.until, asked, 10, str(what))


async def seen(house: House, **expected: Any) -> None:
    """Wait until status says this of what is observed."""
    await until(lambda: expected.items() <= house.status()["observed"].items(), expected)


async def used(house: House, count: int, class_: str = "seat", surplus: int = 0) -> None:
    def counted() -> bool:
        counts = house.status()["classes"].get(class_, {"used": 0, "surplus": 0})
        return (counts["used"], counts["surplus"]) == (count, surplus)

    await until(counted, f"{count} of {class_}")


async def test_who_goes_around_the_guard_holds_one_seat(observing: House, manager: ScriptedManager) -> None:
    manager.contacts[("205", "sip:205@a")] = 4_000_000_000
    async with observing.running():
        await observing.sync()
        await used(observing, 1)  # found
        manager.contact("NonQualified", "206", "sip:206@a")
        await used(observing, 2)
        manager.contact("Reachable", "206", "sip:206@a")
        manager.contact("NonQualified", "206", "sip:206@b")  # a second device is no second port
        manager.contact("NonQualified", "11", "sip:11@a")  # a group draws nothing
        await seen(observing, contacts=4)
        await used(observing, 2)
        manager.contact("Removed", "206", "sip:206@a")
        manager.contact("Unreachable", "206", "sip:206@b")
        await seen(observing, contacts=3, unreachable=1)
        rows, _ = observed_table({"pbxs": [observing.status()]})
        assert rows == [("lyon", "asterisk", True, 3, 1, 0, 0, 0, "")]
        await used(observing, 2)
        manager.contact("Removed", "206", "sip:206@b")
        await used(observing, 1)


async def test_a_seat_goes_back_when_guard_and_pbx_both_know_it_no_more(
    observing: House, manager: ScriptedManager
) -> None:
    """The object `anna` has two AORs; one phone comes by the guard, one around it."""
    async with observing.running():
        await observing.sync()
        await seen(observing, connected=True)
        phone = await observing.phone()
        assert await phone.registered(observing.guard, "201") == 200
        manager.contact("NonQualified", "anna", "sip:anna@b")
        await seen(observing, contacts=1)
        await used(observing, 1)
        assert await phone.registered(observing.guard, "201", expires=0) == 200
        await observing.written()
        assert observing.seats()["used"] == 1  # the other device is there
        assert await phone.registered(observing.guard, "201") == 200
        manager.contact("Removed", "anna", "sip:anna@b")
        await seen(observing, contacts=0)
        assert observing.seats()["used"] == 1  # the phone at the guard is
        assert await phone.registered(observing.guard, "201", expires=0) == 200
        await used(observing, 0)


async def test_a_register_on_its_way_while_a_list_shows_the_object(
    observing: House, manager: ScriptedManager
) -> None:
    """Its reservation becomes the other device's seat: when the PBX refuses it, nothing stays reserved."""
    async with observing.running():
        await observing.sync()
        await seen(observing, connected=True)
        observing.pbx.silent = True
        phone = await observing.phone()
        phone.register(observing.guard, "205")
        await until(lambda: observing.seats()["reserved"] == 1)
        manager.contacts[("205", "sip:205@b")] = 4_000_000_000
        manager.cut()
        await seen(observing, connected=True, contacts=1)
        observing.pbx.silent, observing.pbx.status = False, "403 Forbidden"
        assert b" 403 " in (await phone.answer()).splitlines()[0]  # to what the guard repeats
        assert (observing.seats()["reserved"], observing.seats()["used"]) == (0, 1)
        manager.contact("Removed", "205", "sip:205@b")
        await used(observing, 0)


async def test_a_lost_link_ends_nothing_but_what_its_own_time_ends(
    observing: House, manager: ScriptedManager
) -> None:
    async with observing.running():
        await observing.sync()
        manager.contact("NonQualified", "205", "sip:205@a")
        manager.contact("NonQualified", "206", "sip:206@a")
        await seen(observing, connected=True)
        await used(observing, 2)
        manager.deaf = True
        manager.cut()
        await seen(observing, connected=False)
        assert (observing.status()["observed"]["contacts"], observing.seats()["used"]) == (2, 2)
        manager.contacts = {("206", "sip:206@a"): 0}  # at the next connection one is gone, one is over
        manager.deaf = False
        await seen(observing, connected=True, contacts=1)
        await used(observing, 1)  # an end that has passed is Asterisk's to say
        manager.deaf = True
        manager.cut()
        await used(observing, 0)


async def test_an_answer_that_is_no_list_ends_nothing(observing: House, manager: ScriptedManager) -> None:
    async with observing.running():
        await observing.sync()
        manager.contact("NonQualified", "205", "sip:205@a")
        await seen(observing, connected=True, contacts=1)
        manager.errors["PJSIPShowContacts"] = "Internal error"
        manager.cut()
        await seen(observing, trouble="Internal error")
        await used(observing, 1)


async def join(house: House, leg: Leg) -> Decision:
    """As the dial plan asks."""
    desk, now_ms = house.lyon.site.desk, house.main.clock.monotonic_ms()
    return await desk.ask(leg, lambda now: desk.calls.join(leg.room, leg.call, now), now_ms)


async def test_legs_that_did_not_ask(observing: House, manager: ScriptedManager) -> None:
    """Found ones stay; one that is seen coming without a licence is removed, else it is surplus."""
    observing.master.capacity = 1
    manager.join("700", "c1", silently=True)
    manager.join("700", "c2", silently=True)
    async with observing.running():
        await observing.sync()
        await used(observing, 1, "conference_leg", surplus=1)
        manager.join("700", "c3")
        await manager.heard("ConfbridgeKick")
        await until(lambda: manager.rooms["700"] == ["c1", "c2"])
        await used(observing, 1, "conference_leg", surplus=1)
        manager.errors["ConfbridgeKick"] = "Permission denied"
        manager.join("701", "c4")
        await used(observing, 1, "conference_leg", surplus=2)
        for call in ("c1", "c2", "c4"):
            manager.hangup(call)
        await used(observing, 0, "conference_leg")
        manager.join("700", "c5")
        await used(observing, 1, "conference_leg")


async def test_legs_that_asked(observing: House, manager: ScriptedManager) -> None:
    """One seat for question and join; who never came to the room holds it until the call ends."""
    async with observing.running():
        await observing.sync()
        await seen(observing, connected=True)
        manager.calls = ["c1", "c2"]
        assert isinstance(await join(observing, Leg("700", "c1")), Admitted)
        assert isinstance(await join(observing, Leg("700", "c2")), Admitted)
        manager.rooms["700"] = ["c1"]
        manager.say("ConfbridgeJoin", Conference="700", Channel="PJSIP/x-c1", Uniqueid="c1")
        await seen(observing, members=1)
        await used(observing, 2, "conference_leg")
        manager.hangup("c2")
        await used(observing, 1, "conference_leg")
        manager.deaf = True
        manager.cut()
        await seen(observing, connected=False)
        manager.hangup("c1")  # nobody hears it
        await used(observing, 1, "conference_leg")
    manager.deaf = False
    async with observing.running():  # another process, which finds the leg on its disk
        await observing.sync()
        await used(observing, 0, "conference_leg")


async def test_a_wrong_secret_is_an_alarm_and_is_not_tried_again_and_again(
    observing: House, manager: ScriptedManager, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_text("guess")
    async with observing.running():
        await until(lambda: bool(observing.status()["observed"]["trouble"]))
        status = observing.status()
        assert "Authentication failed for user agent" in status["observed"]["trouble"]
        assert [alarm["code"] for alarm in status["alarms"]][-1:] == ["pbx_link_lost"]
        assert SECRET not in str(manager.actions)
        assert "guess" not in str(manager.actions)


# The driver alone


def driver(manager: ScriptedManager, tmp_path: Path, **more: Any) -> Manager:
    secret = tmp_path / "secret"
    secret.write_text(SECRET)
    said = {"manager": f"127.0.0.1:{manager.port}", "user": "agent", "secret": str(secret), **more}
    return Manager(Settings.model_validate(said), SystemClock())


def ignored(change: Change) -> None:
    """Nobody follows."""


async def test_nothing_is_asked_before_it_has_booted(manager: ScriptedManager, tmp_path: Path) -> None:
    """Contacts come back from its database while it boots: a list made then would show none."""
    manager.booted.clear()
    entered: list[bool] = []

    async def enter() -> None:
        async with driver(manager, tmp_path).connect(ignored):
            entered.append(True)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(enter())
        await manager.heard("Challenge")
        assert entered == []
        manager.booted.set()
    assert entered == [True]


async def test_rights_that_are_missing_are_named(manager: ScriptedManager, tmp_path: Path) -> None:
    manager.errors["ConfbridgeListRooms"] = "Permission denied"
    async with driver(manager, tmp_path).connect(ignored) as session:
        with pytest.raises(RefusedError, match="write = system,call,reporting"):
            await session.snapshot()
        with pytest.raises(CannotEvictError):
            await session.evict(Contact("205", "sip:205@a"))
        manager.errors["ConfbridgeKick"] = "No active conferences."
        with pytest.raises(CannotEvictError, match="No active conferences"):
            await session.evict(Member("700", "c1", "PJSIP/x-c1"))


@pytest.mark.parametrize("believed", [True, False])
async def test_tls_and_whom_it_believes(tmp_path: Path, believed: bool) -> None:
    right, wrong = Authority(tmp_path / "right"), Authority(tmp_path / "wrong")
    files, context = right.issue("127.0.0.1"), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certificate, files.key)
    tls = {"ca": str((right if believed else wrong).certificate)}
    async with ScriptedManager(context).serving() as manager:
        connecting = driver(manager, tmp_path, tls=tls).connect(ignored)
        if believed:
            async with connecting as session:
                assert (await session.snapshot()).contacts == ()
        else:
            with pytest.raises(LinkLostError, match="certificate verify failed"):
                await connecting.__aenter__()
