"""Phones register through the agent: real UDP, a scripted PBX, a scripted master over real HTTPS."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from agent.service.stand_in import NotProtectedError
from licensing import wire
from telephony.address import Flow
from tests.agent.conftest import House
from tests.agent.scripted_pbx import header, status_of


def stored_bindings(data: Path) -> list[tuple[str, str]]:
    """AOR and name of every binding on disk, read as another process would."""
    with sqlite3.connect(f"file:{data}/lyon/agent.db?mode=ro", uri=True) as reader:
        rows: list[tuple[str, str]] = reader.execute("SELECT aor, name FROM binding ORDER BY aor").fetchall()
    reader.close()
    return rows


async def test_challenge_then_binding(house: House) -> None:
    house.pbx.challenge = True
    async with house.running():
        phone = await house.phone()
        phone.register(house.guard, "202", auth=False)
        assert status_of(await phone.answer()) == 401
        assert house.seats()["reserved"] == 0
        assert await phone.registered(house.guard, "202") == 200
        assert house.seats()["used"] == 1
        assert b"\r\nPath: <sip:" in house.pbx.requests[-1]


async def test_a_further_device_and_a_refresh_draw_nothing(house: House) -> None:
    house.master.capacity = 1
    async with house.running():
        desk = await house.phone()
        assert await desk.registered(house.guard, "201") == 200
        assert await house.register("anna") == 200, "the other AOR of the same object"
        assert await desk.registered(house.guard, "201") == 200
        assert house.seats()["used"] == 1
        assert house.status()["bindings"] == 2


async def test_groups_draw_nothing(house: House) -> None:
    house.master.capacity = 0
    async with house.running():
        assert await house.register("11") == 200
        assert house.seats()["used"] == 0


async def test_refused_with_code_when_the_master_denies(house: House) -> None:
    house.master.capacity = 1
    async with house.running():
        assert await house.register("202") == 200
        phone = await house.phone()
        phone.register(house.guard, "203")
        answer = await phone.answer()
        assert status_of(answer) == 403
        assert header(answer, b"Warning").startswith(b'399 lyon "no_free_licence: ')
        assert [alarm["code"] for alarm in house.status()["alarms"]] == ["no_free_licence"]
        assert len(house.pbx.requests) == 1, "the PBX never saw the refused phone"


async def test_a_shortage_waits_until_units_come(house: House) -> None:
    """The REGISTER is held unanswered while the master has not denied it (sip-guard)."""
    house.master.capacity, house.master.state = 1, "short"
    async with house.running():
        assert await house.register("202") == 200
        house.master.holds = lambda message: message.classes["seat"].want == 2
        house.master.open.clear()
        phone = await house.phone()
        phone.register(house.guard, "203")
        await house.heard_demand(used=1, want=2)
        assert house.seats()["waiting"] == 1
        house.master.capacity = 2
        house.master.open.set()
        assert status_of(await phone.answer()) == 200
        assert house.seats()["used"] == 2


async def test_many_phones_and_an_empty_share(house: House) -> None:
    """A power cut: every phone at once, an agent with an empty share, enough at the master: 0 refusals."""
    house.master.capacity = 500
    async with house.running():
        phones = [await house.phone() for _ in range(100)]
        for index, phone in enumerate(phones):
            phone.register(house.guard, f"3{index:03}")
        statuses = {status_of(await phone.answer()) for phone in phones}
        assert statuses == {200}
        assert house.seats()["used"] == 100
        syncs = [path for path, _ in house.master.requests]
        assert len(syncs) < 30, "phones that come together are asked for together"


async def test_unregister_gives_the_unit_back(house: House) -> None:
    async with house.running():
        phone = await house.phone()
        assert await phone.registered(house.guard, "202") == 200
        assert await phone.registered(house.guard, "202", expires=0) == 200
        assert house.seats()["used"] == 0
        await house.written()
        assert stored_bindings(house.data) == []


async def test_expiry_gives_the_unit_back(house: House) -> None:
    """The PBX grants one second: the master hears of the unit once it is over."""
    house.pbx.granted_s = 1
    house.master.state = "short"
    async with house.running():
        assert await house.register("202") == 200
        await house.sync()
        await house.heard_demand(used=1, want=1)
        await house.heard_demand(used=0, want=0)
        assert house.seats()["used"] == 0


async def test_a_refused_register_gives_the_reservation_back(house: House) -> None:
    house.pbx.status = "403 Forbidden"
    async with house.running():
        assert await house.register("202") == 403
        counts = house.seats()
        assert (counts["used"], counts["reserved"]) == (0, 0)


async def test_first_binding_is_on_disk_before_the_phone_hears_of_it(house: House) -> None:
    async with house.running():
        phone = await house.phone()
        phone.register(house.guard, "202")
        assert status_of(await phone.answer()) == 200
        assert stored_bindings(house.data) == [("202@pbx.test", "202")]


async def test_no_answer_overtakes_the_first_binding_on_its_way_to_disk(house: House) -> None:
    """A phone that registers again before it has heard anything is not told more than is on disk either."""
    async with house.running():
        phone = await house.phone()
        house.pbx.silent = True
        for _ in range(2):
            phone.register(house.guard, "202")
        forwarded = [await house.pbx.received.get() for _ in range(2)]
        with closing(sqlite3.connect(house.data / "lyon" / "agent.db", isolation_level=None)) as disk:
            disk.execute("BEGIN IMMEDIATE")  # no commit gets through until this one ends
            for request, guard in forwarded:
                house.pbx.transport.sendto(house.pbx.answer(request), guard)
            other = await house.phone()
            for _ in range(2):
                other.transport.sendto(b"\r\n\r\n", house.guard)
                await other.received.get()  # the agent has turned since
            assert phone.received.empty()
            disk.execute("ROLLBACK")
        assert [status_of(await phone.answer()) for _ in range(2)] == [200, 200]


async def test_the_want_is_on_disk_before_the_request_leaves(house: House) -> None:
    """Safety rule 1: what reaches the master is already written here."""
    async with house.running():
        await house.heard()
        house.master.open.clear()
        house.lyon.conversation.speak()
        await house.heard()
        with sqlite3.connect(f"file:{house.data}/lyon/agent.db?mode=ro", uri=True) as reader:
            (row,) = reader.execute("SELECT body FROM share").fetchone()
        reader.close()
        sent = house.master.requests[-1][1]
        assert b'"seq":2' in sent
        assert b'"seq":2' in row
        house.master.open.set()


async def test_report_mode_admits_everything(house: House) -> None:
    house.master.capacity = 0
    house.master.policy = wire.Policy(etag="2", kinds={"user": "seat"}, enforcement="report")
    async with house.running():
        assert await house.register("202") == 200
        assert house.status()["enforcement"] == "report"
        assert house.seats()["surplus"] == 1


async def test_bypass_needs_no_master_and_ends(house: House) -> None:
    house.master.capacity = 0
    async with house.running():
        assert await house.register("202") == 403
        await house.lyon.site.bypass(3_600)
        assert await house.register("203") == 200
        assert house.status()["bypass_until_ms"] > house.main.clock.wall_ms()
    async with house.running():
        assert await house.register("204") == 200, "a restart does not end the bypass"
        await house.lyon.site.bypass(0)
        assert await house.register("205") == 403
        assert house.status()["bypass_until_ms"] is None


async def test_standing_in_needs_no_master_and_outlives_a_restart(house: House) -> None:
    house.master.policy = wire.Policy(
        etag="2",
        kinds={"user": "seat", "user@hq": "seat", "group": None},
        protected=("hq",),
        keep={"standby_seat": 3},
    )
    house.objects = '      - {kind: user, home: hq, aor: ["5??"]}\n'
    async with house.running():
        await house.sync()
        await house.sync()
        assert house.status()["classes"]["standby_seat"]["granted"] == 3
        house.master.down = True
        assert await house.register("501") == 200
        assert house.seats()["used"] == 1, "it draws as anybody"
        with pytest.raises(NotProtectedError, match="does not stand by for metz"):
            await house.lyon.stand_in.begin("metz")
        await house.lyon.stand_in.begin("hq")
        assert await house.register("502") == 200
        assert house.status()["classes"]["standby_seat"]["used"] == 2
        assert house.status()["standing_in"] == ["hq"]
    async with house.running():
        assert await house.register("503") == 200
        assert house.status()["classes"]["standby_seat"]["used"] == 3
        assert await house.register("504") == 403
        await house.lyon.stand_in.end("hq")
        assert house.status()["standing_in"] == []
        assert house.status()["classes"]["standby_seat"]["used"] == 3, "until they leave"


async def test_activity_reaches_the_master_once_numbered(house: House) -> None:
    async with house.running():
        assert await house.register("202") == 200
        await house.sync()
        await house.sync()
        syncs = [msgspec.json.decode(body, type=wire.Sync) for _, body in house.master.requests]
        told = [(event.n, event.object, event.event) for sync in syncs for event in sync.activity]
        assert told == [(1, "202", "held")]


async def test_garbage_and_strangers_go_nowhere(house: House) -> None:
    async with house.running():
        stranger = await house.phone()
        stranger.transport.sendto(b"INVITE nonsense", house.guard)
        stranger.transport.sendto(b"", house.guard)
        stranger.transport.sendto(b"\x00" * 200, house.guard)
        assert await house.register("202") == 200
        assert len(house.pbx.requests) == 1
        assert house.lyon.site.outbound.rejections["malformed"] >= 1


async def test_recovering_master_is_a_reason_of_its_own(house: House) -> None:
    house.master.capacity, house.master.state = 0, "recovering"
    async with house.running():
        assert await house.register("202") in (403, 503)
        assert house.status()["state"] == "recovering"


async def test_a_surprise_in_a_timer_is_not_the_last_timer(house: House) -> None:
    house.pbx.silent = True
    async with house.running() as main:
        sent: list[bytes] = []

        def send(flow: Flow, data: bytes) -> None:
            sent.append(data)
            if len(sent) == 2:
                raise OSError("a surprise")
            main.edges["lyon"].send(flow, data)

        house.lyon.site.serve(send, house.lyon.conversation.speak)
        phone = await house.phone()
        phone.register(house.guard, "202")
        async with asyncio.timeout(5):
            for _ in range(2):
                await house.pbx.received.get()
        assert len(sent) >= 3
