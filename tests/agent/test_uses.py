"""Logins, watched queues, legs and ISDN calls through the shipped programs: agent, master, commands."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from agent.edges.joining import join
from tests.acceptance.peers.waiting import until
from tests.agent.conftest import CONFIG, House
from tests.agent.scripted_pbx import free_port
from tests.agent.test_program import Agent, asked, command, started
from tests.agent.test_with_master import MASTER, Master, serving

LICENCES = (
    "PBX-Operator13,2",
    "PBX-QueueMonitor13,1",
    "PBX-Channels13,1",
    "Relay-Channels,2",
    "Relay-PRIs,1",
)
HQ = '{name: lyon, role: master, platform: gateway, model: IP3011, interfaces: ["pri1", "pri2"]}'


@pytest.fixture
async def lender(tmp_path: Path) -> AsyncIterator[Master]:
    """The real master of a PBX with two PRI interfaces, one of them opened."""
    text = MASTER.replace("{name: lyon, role: master, platform: gateway}", HQ)
    async with serving(tmp_path, text, *LICENCES) as master:
        yield master


@pytest.fixture
async def config(lender: Master, tmp_path: Path) -> Path:
    """A joined agent's agent.yaml."""
    data = tmp_path / "lyon"
    await asyncio.to_thread(join, await lender.invitation("lyon"), data, 13)
    sip = {"listen": [f"udp:127.0.0.1:{free_port()}"], "pbx": f"udp:127.0.0.1:{free_port()}"}
    path = tmp_path / "agent.yaml"
    path.write_text(CONFIG.format(data=data, sip=json.dumps(sip), away="refuse"))
    return path


@asynccontextmanager
async def local(config: Path, data: str = "lyon") -> AsyncIterator[httpx.AsyncClient]:
    """The agent's Unix socket, as a dial plan asks it."""
    transport = httpx.AsyncHTTPTransport(uds=str(config.parent / data / "agent.sock"), verify=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://agent", timeout=20) as client:
        yield client


async def post(socket: httpx.AsyncClient, path: str, **body: Any) -> Any:
    """Ask; the code of a refusal, None for yes, and whether there was anything to end."""
    answer = (await socket.post(path, json=body)).json()
    return answer.get("code") if "ended" not in answer else answer["ended"]


async def login(config: Path, user: str, software: str = "13", *more: str) -> tuple[int, str]:
    """`pbx-agent login operator`: its exit code and what it said."""
    words = ("login", "operator", "--user", user, "--software", software, "--config", str(config))
    code, out, err = await command(*words, *more)
    return code, out + err


async def told(master: Master, **used: int) -> None:
    """Wait until the master has heard of these uses."""
    wanted = {name.replace("__", "@").replace("_", "-"): count for name, count in used.items()}
    transport = httpx.HTTPTransport(uds=str(master.config.parent / "master" / "admin.sock"), verify=False)
    with httpx.Client(transport=transport, base_url="http://master") as admin:

        def heard() -> bool:
            rows = admin.get("/api/v1/installations/acme/pools").json()
            return wanted.items() <= {row["pool"]: row["used"] for row in rows}.items()

        await asyncio.to_thread(until, heard, 30, f"{wanted} in the pools")


async def killed(agent: Agent) -> None:
    agent.process.kill()
    await agent.ended()


LINE = {"gateway": "gw1", "interface": "pri1"}


async def test_l_u13_and_all_other_uses_across_a_power_cut(lender: Master, config: Path) -> None:
    async with started(config) as agent, local(config) as socket:
        assert await login(config, "anna") == (0, "anna is logged in at lyon\n")
        assert await post(socket, "/login", user="bob", software=13) is None
        code, said = await login(config, "cora")
        assert (code, said.split(":")[0]) == (1, "no_free_licence")
        assert await post(socket, "/login", user="dora", software=14) == "licence_version_too_low"
        await queues_legs_and_calls(config, socket)
        (pbx,) = (await socket.get("/status")).json()["pbxs"]
        counts = pbx["classes"]["operator_login"]
        assert (counts["granted"], counts["used"], counts["refused"]) == (2, 2, 2)
        await told(lender, queue_monitor=1, pbx_channels=1, relay_channel__lyon=2, relay_pri__lyon=1)
        await killed(agent)
    async with started(config), local(config) as socket:
        await told(lender, operator=2, queue_monitor=1, pbx_channels=1, relay_channel__lyon=2)
        await the_third_operator(config, socket)
        await what_ends_is_free(config, socket)
        await told(lender, operator=2, queue_monitor=0, pbx_channels=1, relay_channel__lyon=2)
        why = json.loads(await lender.command("why", "login:dora", "--json"))
        assert "licence_version_too_low" in why["answer"]
        rows = json.loads(await lender.command("holders", "--json"))
        assert {row["object"] for row in rows} == {
            "login:bob", "login:cora", "leg:room1/c1", "call:c3", "call:c4",
        }  # fmt: skip


async def queues_legs_and_calls(config: Path, socket: httpx.AsyncClient) -> None:
    words = ("support", "--client", "pc1", "--software", "13", "--config", str(config))
    assert (await command("monitor", *words))[:2] == (0, "pc1 watches support at lyon\n")
    assert await post(socket, "/monitor", queue="support", client="pc2", software=13) is None
    assert await post(socket, "/monitor", queue="sales", client="pc1", software=13) == "no_free_licence"
    assert await post(socket, "/join", room="room1", call="c1") is None
    assert await post(socket, "/join", room="room1", call="c2") is None  # on a Relay-Channel
    assert await post(socket, "/call", call="c3", **LINE) is None
    assert await post(socket, "/call", call="c4", **LINE) == "relay_channels_exhausted"
    assert await post(socket, "/call", call="c5", gateway="gw1", interface="pri2") == "relay_missing"
    assert await post(socket, "/call", call="c6", emergency=True, **LINE) is None
    assert await post(socket, "/join", room="room1", call="c7") == "no_free_licence"


async def the_third_operator(config: Path, socket: httpx.AsyncClient) -> None:
    assert await post(socket, "/login", user="anna", software=13) is None  # she never logged out
    assert await post(socket, "/login", user="cora", software=13) == "no_free_licence"
    answer = await asked(config, "logout", "operator", "--user", "anna")
    assert answer == {"pbx": "lyon", "ok": True, "ended": True}
    assert await post(socket, "/logout", user="anna") is False
    assert await post(socket, "/login", user="cora", software=13) is None


async def what_ends_is_free(config: Path, socket: httpx.AsyncClient) -> None:
    assert await post(socket, "/call", call="c4", **LINE) == "relay_channels_exhausted"
    assert await post(socket, "/hangup", call="c6") is True  # that one had no unit
    assert await post(socket, "/leave", room="room1", call="c2") is True
    assert await post(socket, "/call", call="c4", **LINE) is None
    said = (await command("unmonitor", "support", "--client", "pc1", "--config", str(config)))[1]
    assert said == "pc1 watches support no more at lyon\n"
    assert await post(socket, "/unmonitor", queue="support", client="pc2") is True


async def test_what_is_asked_for_wrongly_is_said(house: House) -> None:
    config = house.data.parent / "agent.yaml"
    config.write_text(house.config_text())
    assert (await login(config, "anna"))[0] == 3  # nobody runs
    async with house.running(), local(config, "data") as socket:
        code, said = await login(config, "anna", "13", "--pbx", "metz")
        assert (code, said) == (2, "name one PBX of this agent: lyon\n")
        assert (await socket.post("/join", json={"room": "", "call": "c1"})).status_code == 422
        assert (await socket.post("/join", json={"room": "r", "call": "c", "seats": 4})).status_code == 422
