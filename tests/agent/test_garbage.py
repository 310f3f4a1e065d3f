"""What the agent does again and again is gone when it is done: the collector is spared (`runtime.daemon`)."""

import asyncio
import gc
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from types import FrameType

import pytest

from agent.edges import netlink
from agent.edges.kamailio.rpc import Rpc
from agent.kamailio import Kamailio
from licensing.box.proof import Sight
from runtime.targets import HttpTarget
from tests.agent.conftest import House
from tests.agent.test_counting import LINES, Gateway

TIMES = 20
LARGE = bytes(100_000)
CUT_SHORT = 1_000  # objects that one look at the kernel leaves when it is cancelled, at most; TIMES: 9,000


@contextmanager
def nothing_left(*, closing: bool = False, beside: int = 0) -> Iterator[None]:
    """What happens inside, TIMES times, leaves no cycles.

    With `closing` connections end inside: what asyncio's transports hold, themselves among it, is aside.
    `beside`: so many objects may be left once, by what is cut short at the end.
    """
    gc.collect()
    gc.disable()
    try:
        yield
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        left = Counter(type(thing).__qualname__ for thing in gc.garbage if not (closing and _asyncios(thing)))
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
    assert left.total() < TIMES + beside, left.most_common()


def _asyncios(thing: object) -> bool:
    package = type(thing).__module__.partition(".")[0]
    return package in ("asyncio", "socket") or (package == "builtins" and not isinstance(thing, FrameType))


async def test_a_conversation_leaves_nothing(house: House) -> None:
    async with house.running():
        await house.sync()
        await house.master.polls.get()
        with nothing_left():
            for _ in range(TIMES):
                await house.sync()
                house.master.woken.put_nowait(False)
                await house.master.polls.get()


async def test_a_master_that_is_away_leaves_nothing(house: House) -> None:
    async with house.running():
        house.master.down = True
        await house.sync()
        with nothing_left():
            for _ in range(TIMES):
                await house.sync()
        house.master.down = False


async def test_phones_and_calls_leave_nothing(house: House) -> None:
    house.further = LINES
    async with house.running():
        phone = await house.phone()
        gateway = Gateway(house, phone)
        for user in ("gw1", "202"):
            assert await phone.registered(house.guard, user) == 200
        with nothing_left():
            for number in range(TIMES):
                assert await phone.registered(house.guard, "202") == 200
                await gateway.call(f"c{number}")
                assert await gateway.hang_up(f"c{number}") == 200


@asynccontextmanager
async def answering(body: bytes) -> AsyncIterator[str]:
    """An HTTP server that says the same to everybody who sends it something; where it listens."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0]))
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body))
        writer.write(body)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        yield ":".join(map(str, server.sockets[0].getsockname()))


async def test_questions_to_kamailio_leave_nothing() -> None:
    async with answering(b'{"jsonrpc":"2.0","result":[],"id":1}') as place:
        rpc = Rpc(Kamailio.model_validate({"rpc": place}))
        with nothing_left(closing=True):
            for _ in range(TIMES):
                assert await rpc.dialogs() == frozenset()
        await rpc.close()


async def test_pushed_records_leave_nothing() -> None:
    async with answering(b"") as place:
        target = HttpTarget(f"http://{place}/", "text/csv")
        with nothing_left(closing=True):
            for number in range(TIMES):
                await target.put(f"{number}.csv", LARGE)


async def test_looks_at_the_kernel_leave_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """pyroute2 leaves hundreds of cycles a look: they are swept up."""
    monkeypatch.setattr(netlink, "LOOK_S", 0)
    looks, enough = 0, asyncio.Event()

    def saw(sight: Sight) -> None:
        nonlocal looks
        looks += 1
        if looks == TIMES:
            enough.set()

    with nothing_left(closing=True, beside=CUT_SHORT):
        watching = asyncio.create_task(netlink.Watch(["127.0.0.1"]).run(saw))
        await enough.wait()
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching
