"""Where the dial plan of an Asterisk asks before a call enters a room: FastAGI (docs/asterisk.md).

The answer is in variables of the channel: LICENCE is `yes` or `no`, LICENCE_CODE and LICENCE_TEXT say why.
Without an agent none of them is set, and the dial plan goes on: its own next line decides.
"""

import asyncio
from ipaddress import ip_address

from agent.asterisk import Asterisk as Settings
from agent.endpoint import Address
from agent.service.desk import Desk
from licensing.codes import Code, sentence
from licensing.site.decision import Decision, Refused
from licensing.site.use import Leg
from runtime.clock import Clock
from runtime.logs import logger
from runtime.server import listen_tcp
from telephony.pbx.agi import DONE, LINE_LIMIT, LINES, AgiError, Question, read_question, set_variables

MAX_QUESTIONS = 1_000
QUESTION_S = 5.0  # until it is whole
ANSWER_S = 5.0  # until Asterisk took a command
NAME_LIMIT = 255
LOCAL = "local"  # Relay-Channels of this box first


class Dialplan:
    """The listener of one PBX; who asks is its Asterisk, for nobody else comes to it."""

    def __init__(self, settings: Settings, desk: Desk, clock: Clock, name: str) -> None:
        assert settings.dialplan is not None, "it is configured"
        self._address = settings.dialplan
        self._manager = settings.manager
        self._desk = desk
        self._clock = clock
        self._log = logger(pbx=name)
        self._asking: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        """Listen from now on; OSError when the address is taken."""
        listener = listen_tcp(self._address.host, self._address.port)
        self._server = await asyncio.start_server(self._accept, sock=listener, limit=LINE_LIMIT)

    def close(self) -> None:
        """Take no question more, and drop those that are open: their dial plans go on without an answer."""
        if self._server is not None:
            self._server.close()
        for task in self._asking:
            task.cancel()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._asking.add(task)
        try:
            peer = writer.get_extra_info("peername")  # None: it has gone already
            if peer is None or len(self._asking) > MAX_QUESTIONS:
                return
            await self._serve(peer[0], reader, writer)
        except (AgiError, TimeoutError, ValueError, OSError) as error:  # ValueError: a line too long
            self._log.warning("dialplan.not_understood", why=str(error) or "it stopped in the middle")
        finally:
            self._asking.discard(task)
            writer.close()

    async def _serve(self, peer: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not may_ask(peer, self._address, self._manager):
            raise AgiError(f"{peer} is not where manager of agent.yaml says that Asterisk is")
        async with asyncio.timeout(QUESTION_S):
            question = await _question(reader)
        room = question.argument(0) or question.extension
        if question.script != "join" or not 0 < len(room) <= NAME_LIMIT or not room.isprintable():
            raise AgiError(f"found {question.script!r} of {room!r}; ask agi://HOST/join, with a room")
        leg = Leg(room, question.call)
        decision = await self._decided(leg, question, reader)
        if decision is None or not await _told(decision, reader, writer):
            await self._desk.end(self._desk.calls.leave(leg.room, leg.call, self._clock.monotonic_ms()))

    async def _decided(self, leg: Leg, question: Question, reader: asyncio.StreamReader) -> Decision | None:
        """The decision; None when the caller hung up before it came."""
        calls, local = self._desk.calls, question.argument(1) == LOCAL
        asked = asyncio.ensure_future(
            self._desk.ask(
                leg,
                lambda now_ms: calls.join(leg.room, leg.call, now_ms, prefer_local=local),
                self._clock.monotonic_ms(),
            )
        )
        hung_up = asyncio.ensure_future(reader.readline())
        try:
            await asyncio.wait((asked, hung_up), return_when=asyncio.FIRST_COMPLETED)
            if not hung_up.done():
                return asked.result()
            calls.leave(leg.room, leg.call, self._clock.monotonic_ms())
            self._desk.noticed()  # ends the wait
            await asked
            return None
        finally:
            asked.cancel()
            hung_up.cancel()
            await asyncio.wait((hung_up,))  # before anybody else reads


def may_ask(peer: str, listener: Address, manager: Address) -> bool:
    """Whether this is the Asterisk of this PBX: any program of this host, else the address of its manager."""
    return (listener.ip is not None and listener.ip.is_loopback) or ip_address(peer) == manager.ip


async def _question(reader: asyncio.StreamReader) -> Question:
    lines = []
    while (line := await reader.readline()).strip():
        lines.append(line)
        if len(lines) > LINES:
            raise AgiError(f"more than {LINES} lines")
    return read_question(lines)


async def _told(decision: Decision, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    """Whether the call lives and its dial plan knows the answer."""
    variables = {"LICENCE": "yes", "LICENCE_CODE": "", "LICENCE_TEXT": ""}
    if isinstance(decision, Refused):
        code: Code = decision.code
        variables = {"LICENCE": "no", "LICENCE_CODE": code.value, "LICENCE_TEXT": sentence(code)}
    for command in set_variables(variables):
        writer.write(command)
        async with asyncio.timeout(ANSWER_S):
            if not (await reader.readline()).startswith(DONE):
                return False
    return True
