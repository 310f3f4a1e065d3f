"""Which SIP calls go on by the word of a scripted Asterisk, and what becomes of those that do not."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agent.asterisk import Asterisk as Settings
from agent.edges.asterisk import manager as driver
from agent.edges.asterisk.manager import Manager
from runtime.clock import SystemClock
from telephony.pbx.asterisk import CALL_ID_LIMIT
from telephony.pbx.picture import ALWAYS, Ongoing, Snapshot
from tests.agent.conftest import House
from tests.agent.scripted_manager import SECRET, ScriptedManager
from tests.agent.scripted_pbx import status_of
from tests.agent.test_counting import LINES, Gateway, channels
from tests.agent.test_observer import seen


@pytest.fixture
async def manager() -> AsyncIterator[ScriptedManager]:
    async with ScriptedManager().serving() as serving:
        serving.calls = ["1.1", "1.2"]
        serving.call_ids = {"1.1": "c1", "1.2": "c2"}
        yield serving


@pytest.fixture
def section(manager: ScriptedManager, tmp_path: Path) -> dict[str, str]:
    """The section of agent.yaml for this Asterisk."""
    (tmp_path / "secret").write_text(SECRET)
    return {"manager": f"127.0.0.1:{manager.port}", "user": "agent", "secret": str(tmp_path / "secret")}


async def snapshot(section: dict[str, str], *, counts: bool = True) -> Snapshot:
    """One look."""
    settings = Settings.model_validate(section)
    async with Manager(settings, SystemClock(), counts=counts).connect(lambda _change: None) as session:
        return await session.snapshot()


async def test_every_channel_is_asked_for_its_call_id(
    manager: ScriptedManager, section: dict[str, str]
) -> None:
    assert (await snapshot(section)).ongoing == Ongoing(frozenset({b"c1", b"c2"}), ALWAYS)
    manager.calls = []
    assert (await snapshot(section)).ongoing == Ongoing(frozenset())  # a whole list, which is empty


async def test_nothing_is_asked_where_no_call_is_counted(
    manager: ScriptedManager, section: dict[str, str]
) -> None:
    assert (await snapshot(section, counts=False)).ongoing is None
    assert "Getvar" not in {action["Action"] for action in manager.actions}


@pytest.mark.parametrize("call_id", ["", "x" * CALL_ID_LIMIT])
async def test_a_call_id_that_is_not_surely_whole_makes_no_snapshot(
    manager: ScriptedManager, section: dict[str, str], call_id: str
) -> None:
    manager.call_ids["1.2"] = call_id
    found = await snapshot(section)
    assert (found.ongoing, found.trouble) == (None, "the Call-ID of channel 1.2 is not told")
    assert found.calls is not None, "all else is what it was"
    assert len(found.calls) == 2


@pytest.mark.parametrize("error", ["Permission denied", "No such channel", "No variable specified"])
async def test_a_question_that_is_refused_makes_no_snapshot(
    manager: ScriptedManager, section: dict[str, str], error: str
) -> None:
    manager.errors["Getvar"] = error
    assert (await snapshot(section)).ongoing is None


async def test_a_channel_that_ended_meanwhile_is_over(
    manager: ScriptedManager, section: dict[str, str]
) -> None:
    del manager.call_ids["1.2"]
    manager.on_getvar = lambda: manager.calls.remove("1.2") if "1.2" in manager.calls else None
    assert (await snapshot(section)).ongoing == Ongoing(frozenset({b"c1"}))


async def test_more_channels_than_are_asked_for_make_no_snapshot(
    manager: ScriptedManager, section: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver, "CHANNELS_LIMIT", 1)
    found = await snapshot(section)
    assert (found.ongoing, found.trouble) == (None, "2 channels; calls are compared up to 1")


async def test_a_channel_that_cannot_be_asked_makes_no_snapshot(
    manager: ScriptedManager, section: dict[str, str]
) -> None:
    manager.technology = "SIP"
    assert "chan_pjsip is needed" in (await snapshot(section)).trouble


async def test_a_call_that_asterisk_does_not_list_is_over_and_the_others_stay(
    house: House, manager: ScriptedManager, section: dict[str, str]
) -> None:
    """Its BYE passed nobody; of a list that is not understood nothing follows."""
    house.further, house.asterisk = LINES, section
    manager.deaf = True
    async with house.running():
        phone = await house.phone()
        assert await phone.registered(house.guard, "gw1") == 200
        gateway = Gateway(house, phone)
        for call in ("c1", "c2", "c3"):
            assert status_of(await gateway.call(call)) == 200
        manager.errors["Getvar"] = "Permission denied"
        manager.deaf = False
        await seen(house, connected=True, trouble="the Call-ID of channel 1.1 is not told")
        assert channels(house)["used"] == 3
        del manager.errors["Getvar"]
        manager.cut()
        await seen(house, connected=True, trouble="")
        assert channels(house)["used"] == 2
        assert await gateway.hang_up("c1") == 200
        assert channels(house)["used"] == 1
