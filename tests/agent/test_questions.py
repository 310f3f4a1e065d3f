"""Kamailio asks an agent: its words, what is on disk then, limits, and a link that breaks."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
from structlog.testing import capture_logs

from tests.acceptance.peers.waiting import until
from tests.agent.conftest import House
from tests.agent.scripted_kamailio import ScriptedKamailio


@pytest.fixture
async def kamailio(house: House) -> AsyncIterator[ScriptedKamailio]:
    async with ScriptedKamailio().serving() as serving:
        house.kamailio, house.listen = serving.section, []
        yield serving


async def eventually(condition: Callable[[], bool], what: str) -> None:
    await asyncio.to_thread(until, condition, what=what)


async def heard(kamailio: ScriptedKamailio) -> None:
    """The agent is there for questions."""
    async with asyncio.timeout(10):
        await kamailio.beaten.wait()


async def test_a_question_draws_as_a_registration_does_and_is_on_disk(
    house: House, kamailio: ScriptedKamailio
) -> None:
    house.master.capacity = 1
    async with house.running():
        await heard(kamailio)
        question, status, *_ = await kamailio.ask("202")
        assert status == "100"
        assert house.seats()["reserved"] == 1
        kamailio.saved(question, "202")
        await eventually(lambda: house.seats()["used"] == 1, "the commit")
        _, status, headers, reason, _ = await kamailio.ask("203")
        assert (status, reason) == ("403", "No free licence")
        assert headers == 'Warning: 399 lyon "no_free_licence: No free licence"\r\n'
        assert (await kamailio.ask("11"))[1] == "100", "a group draws nothing"
        assert (await kamailio.ask("202"))[1] == "100", "a refresh"
    kamailio.table.clear()  # it forgot everything; until its expiry the binding counts
    async with house.running():
        await heard(kamailio)
        assert house.seats()["used"] == 1
        assert (await kamailio.ask("202"))[1] == "100"
        question, status, *_ = await kamailio.ask("202")
        kamailio.saved(question, "202", bound=False)
        await eventually(lambda: house.seats()["used"] == 0, "it left")
        assert (await kamailio.ask("203"))[1] == "100"


async def test_whose_end_was_never_told_is_found_in_the_table(
    house: House, kamailio: ScriptedKamailio
) -> None:
    """The connection broke between "go on" and what Kamailio holds."""
    house.master.capacity = 1
    async with house.running():
        await heard(kamailio)
        assert (await kamailio.ask("202"))[1] == "100"
        kamailio.hang_up()
        kamailio.table["202"] = "sip:202@192.0.2.7:5090"
        await heard(kamailio)
        await eventually(lambda: house.status()["observed"]["contacts"] == 1, "the next look")
        assert (await kamailio.ask("203"))[1] == "403"
        assert house.seats()["surplus"] == 0


async def test_a_source_over_its_limit_is_answered_at_once(house: House, kamailio: ScriptedKamailio) -> None:
    """Silence would be taken for our death."""
    house.sip["limits"] = {"messages_per_s": 1, "burst": 1}
    async with house.running():
        await heard(kamailio)
        question, status, *_ = await kamailio.ask("202")
        assert status == "100"
        kamailio.saved(question, "202")  # nobody's limit counts for what Kamailio holds
        await eventually(lambda: house.seats()["used"] == 1, "the commit")
        assert (await kamailio.ask("203"))[1:3] == ["503", "Retry-After: 5\r\n"]
        assert (await kamailio.ask("203", host="192.0.2.8"))[1] == "100", "another source"


async def test_an_evapi_without_netstrings_is_said_once(house: House, kamailio: ScriptedKamailio) -> None:
    kamailio.broken = True
    with capture_logs() as logs:
        async with house.running():
            await eventually(lambda: kamailio.connections >= 4, "several attempts")
    lost = [line for line in logs if line["event"] == "questions.lost"]
    assert len(lost) == 1
    assert "netstring_format" in lost[0]["why"]
