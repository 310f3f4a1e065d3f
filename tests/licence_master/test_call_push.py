"""Call records that the master pushes: each once they are here, in order, again until they are taken."""

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path

from licence_master.config import CallsConfig
from licence_master.service.calls.calls import Calls, open_calls
from runtime.ballast import Ballast
from runtime.clock import SystemClock
from runtime.push import Push
from telephony.cdr.wire import Batch, BatchAnswer
from tests.acceptance.peers.waiting import until
from tests.licence_master.recorder import record


@asynccontextmanager
async def pushing(home: Path, push: Push) -> AsyncIterator[Calls]:
    """The call records of acme in this process, and what pushes them."""
    calls = await open_calls(
        "acme", home / "calls.db", home / "calls", SystemClock(), Ballast(home / "ballast")
    )
    calls.upkeep.config = CallsConfig(push=push)
    running, pusher = asyncio.create_task(calls.run()), asyncio.create_task(calls.push())
    try:
        yield calls
    finally:
        pusher.cancel()
        calls.stop()
        await running
        await calls.close()


async def put(calls: Calls, number: int, *refs: str) -> None:
    batch = Batch(1, "acme", "lyon", "s", number, tuple(record("lyon", ref) for ref in refs))
    assert await calls.intake.take(batch) == BatchAnswer("s", number)


def refs(files: Sequence[Path]) -> list[list[str]]:
    """What stands in each file."""
    return [[json.loads(line)["call_ref"] for line in file.read_text().splitlines()] for file in files]


async def filled(folder: Path, files: int) -> list[Path]:
    def whole() -> list[Path]:
        return sorted(folder.glob("acme-*.jsonl"))

    await asyncio.to_thread(until, lambda: len(whole()) == files, what=f"{files} files")
    return whole()


def mark(home: Path) -> list[tuple[int]]:
    """How far the master has noted that it is."""
    with closing(sqlite3.connect(f"file:{home / 'calls.db'}?mode=ro", uri=True)) as store:
        return store.execute("SELECT value FROM mark").fetchall()


async def test_what_arrives_is_pushed_once_also_after_a_restart(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    push = Push(directory=folder, every_s=1)
    async with pushing(tmp_path, push) as calls:
        await put(calls, 1, "a", "b")
        (first,) = await filled(folder, 1)
        assert refs([first]) == [["a", "b"]]
        await asyncio.to_thread(until, lambda: mark(tmp_path) == [(2,)], what="it is noted")
    first.unlink()  # whom it is for has taken it away
    async with pushing(tmp_path, push) as calls:
        await put(calls, 2, "b", "c")  # b is known
        assert refs(await filled(folder, 1)) == [["c"]]


async def test_a_file_goes_to_an_endpoint_until_it_is_taken(tmp_path: Path) -> None:
    heads: list[bytes] = []
    bodies: list[bytes] = []
    taken = asyncio.Event()

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        heads.append(head.lower())
        bodies.append(await reader.readexactly(length))
        answer = b"500 Not now" if len(heads) == 1 else b"204 No Content"
        writer.write(b"HTTP/1.1 " + answer + b"\r\n\r\n")
        writer.close()
        if len(heads) == 2:
            taken.set()

    server = await asyncio.start_server(take, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/calls"
    async with server, pushing(tmp_path, Push(url=url, format="csv", every_s=1)) as calls:
        await put(calls, 1, "a")
        async with asyncio.timeout(10):
            await taken.wait()
    keys = [head.partition(b"idempotency-key: ")[2].partition(b"\r\n")[0] for head in heads]
    assert keys[0] == keys[1]
    assert keys[0].startswith(b"acme-")
    assert keys[0].endswith(b"-1-1.csv")
    assert bodies[0] == bodies[1]
    assert b",a," in bodies[0].splitlines()[1]
