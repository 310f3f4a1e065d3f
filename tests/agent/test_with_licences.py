"""Licences change under two agents at work: a real `licence-master`, real agents, and phones."""

import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

from tests.agent.test_with_master import MASTER, Branch, Master, branch, master, serving

__all__ = ["master"]  # a fixture

BEFORE_THE_NEXT_SYNC_S = 20  # they come every 30 seconds
STANDBY = MASTER.replace(
    "{name: metz, role: slave, platform: gateway}",
    "{name: metz, role: slave, platform: gateway, standby_for: lyon}",
)


async def soon(holds: Callable[[], Awaitable[bool]]) -> None:
    """Ask until it holds, which must not take until the next sync that comes by itself."""
    began = time.monotonic()
    while not await holds():
        assert time.monotonic() - began < BEFORE_THE_NEXT_SYNC_S


async def registered(at: Branch, *users: str) -> list[int]:
    return [await (await at.phone()).registered(at.guard, user) for user in users]


async def test_what_is_installed_serves_the_next_phone_and_what_goes_drops_nobody(
    master: Master, tmp_path: Path
) -> None:
    async with AsyncExitStack() as stack:
        lyon = await stack.enter_async_context(branch("lyon", master, tmp_path))
        metz = await stack.enter_async_context(branch("metz", master, tmp_path))
        assert await registered(lyon, "204", "205") == [200, 200]
        assert await registered(metz, "301") == [200]
        late = await metz.phone()
        assert await late.registered(metz.guard, "302") == 403

        await master.install("PBX-Port13,2")
        assert await late.registered(metz.guard, "302") == 200, "the first REGISTER after it"
        last = await metz.phone()
        assert await last.registered(metz.guard, "303") == 200

        async def told() -> bool:
            return len(await master.asked("/holders")) == 5

        await soon(told)
        order = {"type": "PBX-Port13", "count": 2, "dry_run": True}
        tried = await master.asked("/licences/remove", order)
        text = await master.command("remove", "PBX-Port13", "2")
        assert "2 in use beyond what is left. Nobody is cut" in text
        (leaving,) = tried["leaving"]
        assert (leaving["pbx"], leaving["class_"], leaving["units"]) == ("metz", "seat", 2)
        assert leaving["objects"] == ["303", "302"], "the newest first"
        (pool,) = await master.asked("/pools")
        assert (pool["installed"], pool["lent"], pool["surplus"]) == (3, 5, 2)

        assert await last.registered(metz.guard, "303") == 200, "a refresh is never refused"
        assert await registered(metz, "304") == [403]
        seats = metz.main.pbxs["metz"].site.seats.counts()["seat"]
        assert (seats.used, seats.recall_to, seats.marked) == (3, 1, 2), "recalled, and in use all the same"
        leaves = {row["object"] for row in await master.asked("/holders") if row["leaves"]}
        assert leaves == {"302", "303"}
        assert "has to leave" in (await master.asked("/why/303"))["answer"]
        assert "has to leave" not in (await master.asked("/why/301"))["answer"]

        assert await last.registered(metz.guard, "303", expires=0) == 200
        assert await late.registered(metz.guard, "302", expires=0) == 200

        async def settled() -> bool:
            (pool,) = await master.asked("/pools")
            return (pool["lent"], pool["surplus"]) == (3, 0)

        await soon(settled)
        assert await registered(metz, "302") == [403]


async def test_the_phones_of_a_failed_pbx_go_to_the_one_that_stands_by(tmp_path: Path) -> None:
    rows = '      - {kind: user, home: lyon, aor: ["2??"]}\n'
    async with (
        serving(tmp_path, STANDBY, "PBX-Port13,2", "PBX-Standby13,2") as master,
        AsyncExitStack() as stack,
    ):
        async with branch("lyon", master, tmp_path) as lyon:
            assert await registered(lyon, "202", "203") == [200, 200]
            metz = await stack.enter_async_context(branch("metz", master, tmp_path, rows))
            assert await registered(metz, "202", "301") == [403, 403], "all Ports are in use"
        await master.asked("/pbxs/lyon/fail", {})
        seats = metz.main.pbxs["metz"].site.seats
        assert seats.counts()["standby_seat"].spare == 2, "lent in advance"

        async def draws(class_: str) -> bool:
            await master.asked("/agents")  # time passes
            return seats.class_of("user@lyon") == class_

        await soon(partial(draws, "standby_seat"))  # the master wakes it
        assert await registered(metz, "202", "203") == [200, 200]
        assert await registered(metz, "301") == [403], "the Ports wait for lyon"

        async def told() -> bool:
            pools = {row["pool"]: row["used"] for row in await master.asked("/pools")}
            return pools == {"port": 2, "standby": 2}

        await soon(told)
        assert "standby_seat at metz" in (await master.asked("/why/203"))["answer"]
        (row,) = [row for row in await master.asked("/agents") if row["pbx"] == "lyon"]
        assert (row["state"], "recover lyon" in row["hint"]) == ("failed", True)
        await master.asked("/pbxs/lyon/recover", {})
        await soon(partial(draws, "seat"))
        assert seats.counts()["standby_seat"].used == 2, "until they leave"
