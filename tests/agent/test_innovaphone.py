"""The driver of innovaphone, at a PBX emulated from the vendor's documentation (innovaphone_pbx.py)."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from agent.config import AgentConfig
from agent.edges.innovaphone.driver import Innovaphone, InnovaphoneSession
from agent.edges.observing import observation_of
from agent.innovaphone import Innovaphone as Settings
from agent.service.driver import CannotEvictError, LinkLostError, RefusedError
from runtime.clock import SystemClock
from telephony.pbx.innovaphone import Counter, contacts, counter, listed, login_digest
from telephony.pbx.picture import Contact
from tests.agent.innovaphone_pbx import Pbx

ANNA = {"guid": "a1", "h323": "anna", "e164": "201", "cn": "Anna Ander"}
BERT = {"guid": "b2", "h323": "", "e164": "202", "cn": "Bert Bader"}
PORTS = {"name": "Port", "version": "13", "count": "10", "local": "8", "slaves": "2", "used": "3"}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "password").write_text("secret\n")
    made = {
        "url": "ws://127.0.0.1:9/PBX0/APPS/websocket",
        "app": "pbx-agent",
        "password": tmp_path / "password",
    }
    return Settings.model_validate(made)


@asynccontextmanager
async def session_at(pbx: Pbx, settings: Settings) -> AsyncIterator[tuple[Innovaphone, InnovaphoneSession]]:
    driver = Innovaphone(settings.model_copy(update={"url": pbx.url}))
    async with driver.connect(lambda _change: None) as session:
        yield driver, session


async def test_every_registration_of_every_object_is_a_contact(settings: Settings) -> None:
    """Two devices of one user are two contacts of one AOR; who has no registration has none."""
    regs = {"a1": [{"hw": "00-90-33-01-02-ab", "addr": "10.0.0.7"}, {"hw": "softphone", "addr": "10.0.0.8"}]}
    pbx = Pbx(objects=[ANNA, BERT, {"guid": "c3"}], regs=regs, noise=True)
    async with pbx.running(), session_at(pbx, settings) as (_, session):
        assert (await session.snapshot()).contacts == (
            Contact("anna", "00-90-33-01-02-ab@10.0.0.7"),
            Contact("anna", "softphone@10.0.0.8"),
        )
        pbx.regs = {"b2": [{"hw": "0090330102ac", "addr": "10.0.0.9"}]}
        assert (await session.snapshot()).contacts == (Contact("202", "0090330102ac@10.0.0.9"),)
        pbx.objects = []
        assert (await session.snapshot()).contacts == ()
        with pytest.raises(CannotEvictError):
            await session.evict(Contact("anna", "x"))


async def test_its_own_licences_are_there_for_comparison(settings: Settings) -> None:
    """All values are text; in test mode there are none."""
    pbx = Pbx(lic=[PORTS, {"name": "Channels", "count": "4", "used": "x"}, {"count": "1"}])
    async with pbx.running(), session_at(pbx, settings) as (driver, session):
        await session.snapshot()
        assert driver.counters == (Counter("Port", "13", 10, 8, 2, 3), Counter("Channels", "", 4, 0, 0, 0))
        assert driver.told()[0]["used"] == 3
        pbx.lic = None
        await session.snapshot()
        assert driver.told() == []


async def test_an_error_is_unknown_and_never_an_empty_set(settings: Settings) -> None:
    regs = {"a1": [{"hw": "x", "addr": "y"}]}
    for errors in (
        {"GetRegs": {"error": 2, "errorText": "no such object"}},
        {"GetRegs": {"regs": "none"}},
        {"GetRegs": {"mt": "GetRegs"}},
        {"ReplicateStart": {"error": 1}},
        {"ReplicateNext": {"columns": ["a1"]}},
    ):
        pbx = Pbx(objects=[ANNA], regs=regs, errors=errors)
        async with pbx.running(), session_at(pbx, settings) as (_, session):
            with pytest.raises(LinkLostError):
                await session.snapshot()


async def test_a_link_that_breaks_is_heard_of_by_all_who_wait(settings: Settings) -> None:
    pbx = Pbx(objects=[ANNA], silent={"GetRegs"})
    async with pbx.running(), session_at(pbx, settings) as (_, session):
        asking = asyncio.create_task(session.snapshot())
        ending = asyncio.create_task(session.ended())
        await pbx.connections[0].close()
        with pytest.raises(LinkLostError):
            await asking
        with pytest.raises(LinkLostError):
            await ending
    with pytest.raises(LinkLostError):
        async with session_at(pbx, settings):
            pass


@pytest.mark.parametrize("changed", [{"password": "other"}, {"app": "other"}])
async def test_who_is_not_let_in_is_told_so(settings: Settings, changed: dict[str, str]) -> None:
    pbx = Pbx(**changed)  # type: ignore[arg-type]
    async with pbx.running():
        with pytest.raises(RefusedError, match="its name or its password"):
            async with session_at(pbx, settings):
                pass


async def test_a_password_that_cannot_be_read_is_no_password(settings: Settings) -> None:
    gone = settings.model_copy(update={"password": Path("/nonexistent")})
    with pytest.raises(RefusedError, match="nonexistent"):
        async with session_at(Pbx(), gone):
            pass


def test_the_digest_is_that_of_the_vendors_sample() -> None:
    """sha256(app + ":::::" + challenge + ":" + password)."""
    digest = "59a72c94c19707a18e7b384ef720f7a3ef1c2ca2ff39c617b899651648c1835c"
    assert login_digest("a", "c", "p") == digest


def test_what_does_not_fit_is_left() -> None:
    rows: list[dict[str, Any]] = [{}, {"guid": "a"}, {"guid": 1, "h323": "x"}, {"guid": "", "cn": "x"}]
    assert [listed(row) for row in rows] == [None] * 4
    assert counter({"name": 7}) is None
    assert contacts("a", [{}]) == [Contact("a", "@")]


def test_the_agent_drives_what_its_file_names(tmp_path: Path) -> None:
    innovaphone = {"url": "wss://192.0.2.20/PBX0/APPS/websocket", "app": "pbx-agent", "password": "p"}
    sip = {"listen": ("udp:192.0.2.2:5060",), "pbx": "udp:192.0.2.20:5060"}
    entry = {"name": "hq", "software": 13, "sip": sip, "innovaphone": innovaphone}
    config = AgentConfig.model_validate({"data": tmp_path, "pbxs": (entry,)})
    observation = observation_of(config.pbxs[0], SystemClock())
    assert observation is not None
    assert (observation.driver.name, observation.resync_s, observation.licences()) == ("innovaphone", 60, [])
