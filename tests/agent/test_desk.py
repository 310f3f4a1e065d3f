"""Uses in one agent with a scripted master: what is answered is on disk, and nobody waits for nothing."""

import asyncio
import sqlite3
from contextlib import closing
from dataclasses import replace

import msgspec

from agent.service.alarms import Alarms, DenialAlarms
from agent.service.desk import Desk
from licensing.codes import Code
from licensing.site.counts import Counts
from licensing.site.decision import Admitted, Decision, Refused
from licensing.site.use import LineCall, Login
from licensing.wire import Denial
from tests.agent.conftest import House


def lends_operators(house: House) -> None:
    """The master's policy knows logins, and two Relay-Channels of a PRI are here."""
    kinds = {**house.master.policy.kinds, "operator_login": "operator_login", "isdn_call": "relay_channel"}
    lines = {"pri1": 30}
    house.master.policy = msgspec.structs.replace(house.master.policy, etag="2", kinds=kinds, lines=lines)


async def login(house: House, user: str) -> Decision:
    desk, use = house.lyon.site.desk, Login(user, 13)
    now_ms = house.main.clock.monotonic_ms()
    return await desk.ask(use, lambda now: desk.clients.login(user, 13, now), now_ms)


async def emergency(desk: Desk, house: House) -> Decision:
    use, now_ms = LineCall("c1", "gw1", "pri1"), house.main.clock.monotonic_ms()
    return await desk.ask(
        use, lambda now: desk.calls.call("c1", "gw1", "pri1", now, emergency=True), now_ms, urgent=True
    )


def stored(house: House) -> list[str]:
    path = f"file:{house.data}/lyon/agent.db?mode=ro"
    with closing(sqlite3.connect(path, uri=True)) as reader:
        return [row[0] for row in reader.execute("SELECT key FROM use ORDER BY n")]


async def test_a_login_is_on_disk_before_it_is_answered(house: House) -> None:
    lends_operators(house)
    async with house.running():
        await house.sync()
        assert isinstance(await login(house, "anna"), Admitted)
        phone = await house.phone()
        with closing(sqlite3.connect(house.data / "lyon" / "agent.db", isolation_level=None)) as busy:
            busy.execute("BEGIN IMMEDIATE")
            waiting = asyncio.create_task(login(house, "bob"))
            assert isinstance(await emergency(house.lyon.site.desk, house), Admitted)  # waits for no disk
            phone.transport.sendto(b"\r\n\r\n", house.guard)
            assert (await phone.received.get())[0] == b"\r\n"  # the agent has turned since
            assert house.status()["classes"]["operator_login"]["used"] == 2
            assert not waiting.done()
            assert stored(house) == ["login:anna"]
            busy.execute("ROLLBACK")
        assert isinstance(await waiting, Admitted)
        assert stored(house) == ["login:anna", "call:c1", "login:bob"]


async def test_a_logout_is_on_disk_before_it_is_answered_and_ends_a_wait(house: House) -> None:
    lends_operators(house)
    house.master.recalling = 1  # units are on their way, for ever
    async with house.running():
        await house.sync()
        desk = house.lyon.site.desk
        assert isinstance(await login(house, "anna"), Admitted)
        house.master.capacity = 1
        await house.sync()
        waiting = asyncio.create_task(login(house, "bob"))
        async with asyncio.timeout(5):
            while "login:bob" not in desk.uses.asked():
                await house.heard()
        now_ms = house.main.clock.monotonic_ms()
        assert await desk.end(desk.clients.logout("bob", now_ms))
        assert isinstance(await waiting, Refused)
        assert await desk.end(desk.clients.logout("anna", now_ms))
        assert stored(house) == []


async def test_uses_go_on_in_the_next_process(house: House) -> None:
    lends_operators(house)
    async with house.running():
        await house.sync()
        await login(house, "anna")
    async with house.running():
        assert house.status()["classes"]["operator_login"]["used"] == 1
        assert not house.lyon.site.seats.recovering
        desk = house.lyon.site.desk
        assert await desk.end(desk.clients.logout("anna", house.main.clock.monotonic_ms()))
        assert house.status()["classes"]["operator_login"]["used"] == 0


def test_a_denial_is_an_alarm_for_who_goes_without() -> None:
    idle = Counts(
        usable=1, recall_to=None, used=1, reserved=0, waiting=0, lingering=0, surplus=0, marked=0, spare=0,
        refused=3,
    )  # fmt: skip
    denial = Denial(asked=2, granted=1, code="no_free_licence", capacity=1, used=1)
    alarms = Alarms("lyon")
    denials = DenialAlarms(alarms)
    denials.note({"conference_leg": denial}, {"conference_leg": idle}, {"conference_leg": idle}, 0, 0)
    assert alarms.all() == []  # a Relay-Channel served it
    for worse in (replace(idle, refused=4), replace(idle, waiting=1), replace(idle, surplus=1)):
        denials.note({"conference_leg": denial}, {"conference_leg": idle}, {"conference_leg": worse}, 0, 0)
        assert [alarm.code for alarm in alarms.all()] == [Code.NO_FREE_LICENCE]
        alarms.clear(Code.NO_FREE_LICENCE)
