"""A real master comes back from a backup to a real agent: what is sent again, what nobody has any more."""

import asyncio
import json
import sqlite3
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from agent.edges.joining import Invitation, join
from agent.edges.local_client import ask
from agent.service.cdr import delivery
from agent.store.enrolment import SPOOL_FILE
from tests.agent.cdr.calls import call_ref, line, post, until, until_open
from tests.agent.conftest import House
from tests.agent.scripted_pbx import free_port
from tests.agent.test_program import rewrite, started
from tests.licence_master.master import Master

AGENT = """
data: beside
pbxs:
  - name: lyon
    software: 13
    sip: {{listen: ["udp:127.0.0.1:{sip}"], pbx: "udp:127.0.0.1:{pbx}"}}
    objects: [{{kind: user, aor: ["*"]}}]
    cdrs:
      keep_days: 0
      sources: [{{name: web, dialect: asterisk_custom, http: "127.0.0.1:{web}"}}]
"""


@pytest.mark.timeout(120)
async def test_a_master_from_a_backup_has_each_record_once_and_says_what_is_gone(tmp_path: Path) -> None:
    """1 to 3 are in the backup; 4 and 5 were dropped by the agent since, 6 and 7 were not; 8 comes behind."""
    web, backup = free_port(), tmp_path / "backup"
    master = Master(tmp_path)
    rewrite(master.config, 'agents: {listen: "127.0.0.1:0"', f'agents: {{listen: "127.0.0.1:{free_port()}"')
    config = tmp_path / "agent.yaml"
    config.write_text(AGENT.format(sip=free_port(), pbx=free_port(), web=web))
    spool = tmp_path / "beside" / "lyon" / SPOOL_FILE
    with master.init().start():
        invited = master.order("/invites", {"pbx": "lyon"})
        invitation = Invitation(master.url, invited["token"], invited["pin"])
        await asyncio.to_thread(join, invitation, tmp_path / "beside", 13)
        async with started(config), httpx.AsyncClient() as client:
            await told(client, web, 1, 2, 3)
            await until(lambda: exported(master) == refs(1, 2, 3))
            await asyncio.to_thread(master.command, "backup", str(backup))
            await told(client, web, 4, 5)
            await until(lambda: exported(master) == refs(1, 2, 3, 4, 5))
            await until(lambda: entries(spool) == 0)  # it looks every ten seconds
        rewrite(config, "keep_days: 0", "keep_days: 30")
        async with started(config), httpx.AsyncClient() as client:
            await told(client, web, 6, 7)
            await until(lambda: exported(master) == refs(*range(1, 8)))
            await asyncio.to_thread(master.stop)
            for path in master.ledger().parent.glob("calls.db*"):
                path.unlink()
            await asyncio.to_thread(master.command, "restore", str(backup), "--discard-newer")
            await asyncio.to_thread(master.start)
            assert exported(master) == refs(1, 2, 3)
            await told(client, web, 8)
            await until(lambda: exported(master) == refs(1, 2, 3, 6, 7, 8))
            await until(lambda: sources(master)["lost"] == 2)
            row = [each.split() for each in master.command("cdr", "gaps", code=1).splitlines()][1]
            assert (row[0], row[-5]) == ("acme/lyon/web", "2")
            assert sources(master)["arrived"] == {"kept": 6}, "none came twice"
            await until(lambda: "2 of acme/lyon/web" in alarm(tmp_path / "beside"))


async def told(client: httpx.AsyncClient, port: int, *numbers: int) -> None:
    """The PBX tells these calls; they are on the agent's disk."""
    await until_open(port)
    for number in numbers:
        assert await post(client, f"http://127.0.0.1:{port}/", line(number)) == 200


def refs(*numbers: int) -> list[str]:
    return [call_ref(number) for number in numbers]


def exported(master: Master) -> list[str]:
    """What the master has, in the order in which it ended."""
    with master.api() as api:
        said = api.get("/installations/acme/calls", params={"from_ms": 0, "to_ms": 2**53})
    return [json.loads(each)["call_ref"] for each in said.text.splitlines()]


def sources(master: Master) -> dict[str, object]:
    (row,) = master.ask("/calls/sources")
    return row


def alarm(data: Path) -> str:
    """What the agent says of records that are missing, when it has looked."""
    (pbx,) = ask(data, "/status")["pbxs"]
    return next((str(each["hint"]) for each in pbx["alarms"] if each["code"] == "cdr_missing"), "")


def entries(spool: Path) -> int:
    with closing(sqlite3.connect(f"file:{spool}?mode=ro", uri=True)) as store:
        return int(store.execute("SELECT count(*) FROM entry").fetchone()[0])


async def test_a_quiet_agent_asks_now_and_then_what_the_master_has(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a restored master would hear of what it lost when the next call ends, perhaps never."""
    monkeypatch.setattr(delivery, "SAY_EVERY_S", 0.01)
    monkeypatch.setattr(delivery, "SAY_AT_LEAST_S", 0.0)
    house.cdrs = {
        "sources": [{"name": "web", "dialect": "asterisk_custom", "http": f"127.0.0.1:{free_port()}"}]
    }
    async with house.running():
        await until(lambda: sum(map(len, house.master.spools.values())) > 3)
    assert house.master.records() == []
