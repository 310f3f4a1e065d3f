"""A later catalogue at the master, and an agent that never saw it: it learns the new rows by itself.

The master's processes run the shipped modules beside a catalogue with more rows; the agent and its
commands run as they are installed.
"""

import asyncio
import json
import shutil
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

import licensing
from tests.agent.conftest import CONFIG
from tests.agent.test_program import command
from tests.agent.test_uses import local, post, told
from tests.agent.test_with_master import MASTER, PROGRAM, Master, branch, serving
from tests.licensing.new_rows import ROWS, document

ATTENDANT = {"licence": "attendant", "software": 13}
SIP = '{"listen": ["udp:127.0.0.1:5060"], "pbx": "udp:127.0.0.1:5062"}'
SCENARIO = """
pbxs: [{name: hq, role: master}]
licences: [{type: PBX-Attendant13, count: 1}]
objects: [{name: anna}, {name: bob}]
steps: [{login: attendant, user: anna}, {login: attendant, user: bob}, {logout: attendant, user: anna}]
"""


@pytest.fixture
async def master(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Master]:
    """A running master whose catalogue has the new rows; only the data differs."""
    room = tmp_path / "later" / "licensing"
    shutil.copytree(Path(licensing.__path__[0]), room)
    (room / "catalogue.yaml").write_text(json.dumps(document(*ROWS)))
    monkeypatch.setenv("PYTHONPATH", str(room.parent))
    rows = ("PBX-Attendant13,1", "PBX-Wallboard13,1", "PBX-Announcer13,1", "PBX-Operator13,1")
    async with serving(tmp_path, MASTER, *rows) as master:
        yield master


async def test_a_licence_that_the_agent_never_heard_of(
    master: Master, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scenario = tmp_path / "scenario.yaml"
    scenario.write_text(SCENARIO)
    simulated = await simulate(scenario)
    assert [step["code"] for step in simulated["steps"]] == [None, "no_free_licence", None]
    monkeypatch.delenv("PYTHONPATH")
    async with branch("lyon", master, tmp_path), local(tmp_path / "agent.yaml") as socket:
        assert await post(socket, "/login", **ATTENDANT, user="anna") is None
        assert await post(socket, "/login", user="anna", software=13) is None
        assert await post(socket, "/login", **ATTENDANT, user="bob") == "no_free_licence"
        watch = {"licence": "wallboard", "queue": "q1", "client": "pc1"}
        assert await post(socket, "/monitor", **watch, software=13) is None
        leg = {"room": "room1", "call": "c1"}
        assert await post(socket, "/join", licence="announcer", **leg) is None
        wrong = await socket.post("/join", json={"licence": "attendant", **leg})
        wanted = "expected a licence that is taken per call (pbx-channels, announcer)"
        assert (wrong.status_code, wrong.json()["detail"]) == (422, f'{wanted}, found "attendant"')
        await told(master, attendant=1, operator=1, wallboard=1, announcer=1)
        why = await master.asked("/why/attendant-login:bob")
        assert why["denials"][0]["code"] == "no_free_licence"
        assert [held["object"] for held in why["denials"][0]["holders"]] == ["attendant-login:anna"]
        usage = {(row["pool"], row["pbx"]): row["peak"] for row in await master.asked("/usage")}
        assert usage["attendant", "lyon"] == usage["announcer", ""] == 1
        assert await post(socket, "/logout", licence="attendant", user="anna") is True
        await told(master, attendant=0, operator=1, wallboard=1, announcer=1)
        await asked_by_a_person(tmp_path)


async def simulate(scenario: Path) -> Any:
    """What `licence-master simulate` answers beside the later catalogue."""
    argv = (PROGRAM, "simulate", str(scenario), "--json")
    process = await asyncio.create_subprocess_exec(*argv, stdout=PIPE)
    out, _ = await process.communicate()
    return json.loads(out)


async def asked_by_a_person(home: Path) -> None:
    """`pbx-agent login` with a name that there is not."""
    config = home / "agent.yaml"
    config.write_text(CONFIG.format(data=home / "lyon", sip=SIP, away="refuse"))
    words = ("--user", "bob", "--software", "13", "--config", str(config))
    code, _, said = await command("login", "attendent", *words)
    assert (code, said) == (
        2,
        "expected a licence that is taken per login (operator, attendant, kiosk),"
        ' found "attendent"; did you mean attendant?\n',
    )
