"""A dial plan asks the agent by FastAGI before a call enters a room."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Self

import msgspec
import pytest

from agent.edges.asterisk.dialplan import may_ask
from agent.endpoint import Address
from tests.agent.conftest import House
from tests.agent.scripted_pbx import free_port
from tests.agent.test_observer import manager, observing, seen, until, used

__all__ = ["manager", "observing"]  # fixtures

LEG = "conference_leg"


class Call:
    """A call whose dial plan asks, as res_agi does it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def ask(cls, port: int, call: str, script: str = "join", **more: str) -> Self:
        """Connect and say who asks."""
        made = cls(*await asyncio.open_connection("127.0.0.1", port))
        said = {"network": "yes", "network_script": script, "channel": f"PJSIP/x-{call}", "uniqueid": call}
        made.write("".join([f"agi_{name}: {value}\n" for name, value in {**said, **more}.items()]) + "\n")
        return made

    def write(self, text: str) -> None:
        self._writer.write(text.encode())

    async def answer(self, result: str = "200 result=1\n") -> dict[str, str]:
        """The variables that were set; each command is answered with `result`."""
        variables = {}
        async with asyncio.timeout(10):
            while line := (await self._reader.readline()).decode():
                _, name, value = line.split(" ", 3)[1:]
                variables[name] = value.strip().strip('"')
                self.write(result)
        self._writer.close()
        return variables

    async def hang_up(self) -> None:
        """The caller goes: Asterisk says so, and ends the connection."""
        self.write("HANGUP\n")
        self._writer.close()
        await self._writer.wait_closed()


@asynccontextmanager
async def asking(house: House, channels: int) -> AsyncIterator[int]:
    """An agent that has so many channels; the port where it is asked."""
    house.master.capacity = channels
    port = free_port()
    house.asterisk["dialplan"] = f"127.0.0.1:{port}"
    async with house.running():
        await house.sync()
        await seen(house, connected=True)
        yield port


YES = {"LICENCE": "yes", "LICENCE_CODE": "", "LICENCE_TEXT": ""}
NO = {"LICENCE": "no", "LICENCE_CODE": "no_free_licence", "LICENCE_TEXT": "No free licence"}


async def test_yes_and_no_and_the_room(observing: House) -> None:
    """L.C3: the room is the first argument, else the extension; who asks twice holds one."""
    async with asking(observing, 2) as port:
        assert await (await Call.ask(port, "c1", extension="700")).answer() == YES
        assert await (await Call.ask(port, "c1", extension="700")).answer() == YES
        assert await (await Call.ask(port, "c2", extension="s", arg_1="board")).answer() == YES
        assert set(observing.lyon.site.desk.uses.all()) == {"leg:700/c1", "leg:board/c2"}
        assert await (await Call.ask(port, "c3", extension="700")).answer() == NO
        await used(observing, 2, LEG)


async def test_relay_channels_of_this_box_first_where_the_dial_plan_says_so(observing: House) -> None:
    """L.r24, `prefer: local`."""
    policy = msgspec.structs.replace(observing.master.policy, etag="3", keep={"relay_channel": 2})
    observing.master.policy = policy
    async with asking(observing, 2) as port:
        assert await (await Call.ask(port, "c1", arg_1="700", arg_2="local")).answer() == YES
        await used(observing, 1, "relay_channel")
        await used(observing, 0, LEG)


async def test_who_hangs_up_while_waiting_holds_nothing(observing: House) -> None:
    observing.master.recalling = 1  # units are on their way, for ever
    async with asking(observing, 0) as port:
        call = await Call.ask(port, "c1", extension="700")
        desk = observing.lyon.site.desk
        await until(lambda: desk.uses.asked() == ("leg:700/c1",))
        await call.hang_up()
        await until(lambda: desk.uses.asked() == ())
        assert desk.uses.all() == {}


@pytest.mark.parametrize(
    "result", ["511 Command Not Permitted on a dead channel or intercept routine\n", "HANGUP\n"]
)
async def test_a_yes_that_the_call_did_not_live_to_hear_holds_nothing(observing: House, result: str) -> None:
    async with asking(observing, 1) as port:
        await (await Call.ask(port, "c1", extension="700")).answer(result)
        await until(lambda: observing.lyon.site.desk.uses.all() == {})


async def test_what_is_no_question_gets_no_answer(
    observing: House, capsys: pytest.CaptureFixture[str]
) -> None:
    async with asking(observing, 1) as port:
        assert await (await Call.ask(port, "c1", "leave", extension="700")).answer() == {}
        assert await (await Call.ask(port, "c1", extension="")).answer() == {}
        assert await (await Call.ask(port, "c1", extension="x" * 256)).answer() == {}
        assert await (await Call.ask(port, "c1", extension="7\x07")).answer() == {}
        assert await (await Call.ask(port, "c1", extension="x" * 10_000)).answer() == {}
        strange = await Call.ask(port, "c1")
        strange.write("GET / HTTP/1.1\n\n")
        assert await strange.answer() == {}
        assert observing.lyon.site.desk.uses.all() == {}
    assert capsys.readouterr().out.count("dialplan.not_understood") == 6


async def test_a_stop_leaves_who_waits_without_an_answer(observing: House) -> None:
    observing.master.recalling = 1
    async with asking(observing, 0) as port:
        call = await Call.ask(port, "c1", extension="700")
        await until(lambda: bool(observing.lyon.site.desk.uses.asked()))
    assert await call.answer() == {}


@pytest.mark.parametrize(
    ("listener", "peer", "may"),
    [
        ("127.0.0.1:4573", "127.0.0.9", True),
        ("192.0.2.10:4573", "192.0.2.20", True),
        ("192.0.2.10:4573", "192.0.2.21", False),
        ("[2001:db8::1]:4573", "2001:db8::2", False),
    ],
)
def test_only_the_asterisk_of_this_pbx_asks(listener: str, peer: str, may: bool) -> None:
    assert may_ask(peer, Address.parse(listener), Address.parse("192.0.2.20:5038")) is may
