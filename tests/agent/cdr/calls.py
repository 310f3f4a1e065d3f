"""Call records for the tests of the intake: lines of cdr_custom as Asterisk writes them."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import httpx

START_S = 1_795_000_000


def line(number: int, seconds: int = 60) -> bytes:
    """A record of cdr_custom with the shipped mapping, in UTC: call `number`."""
    day, clock = "2026-11-18", f"{number // 3600 % 24:02}:{number // 60 % 60:02}:{number % 60:02}"
    unique = f"{START_S}.{number}"
    cells = [
        "201", '""Anna"" <201>', "201", "0611223344", f"PJSIP/201-{number:08x}", "PJSIP/carrier-1",
        f"{day} {clock}", f"{day} {clock}", "", f"{seconds}.0", f"{seconds}.0", "ANSWERED", unique, unique,
        str(number),
    ]  # fmt: skip
    cells[8] = _later(day, number, seconds)
    return (",".join(f'"{cell}"' for cell in cells) + "\n").encode()


def _later(day: str, number: int, seconds: int) -> str:
    at = number % 86_400 + seconds
    return f"{day} {at // 3600 % 24:02}:{at // 60 % 60:02}:{at % 60:02}"


def call_ref(number: int) -> str:
    """How the record of `line(number)` is known."""
    return f"{START_S}.{number}/{START_S}.{number}"


async def post(client: httpx.AsyncClient, url: str, body: bytes) -> int | None:
    """The status of the answer; None: there was none."""
    try:
        return (await client.post(url, content=body, timeout=20)).status_code
    except httpx.HTTPError:
        return None


async def repeated(client: httpx.AsyncClient, url: str, body: bytes) -> None:
    """Send it until it is acknowledged, as a box does."""
    while True:
        if await post(client, url, body) == 200:
            return
        await asyncio.sleep(0.02)


async def until(condition: Callable[[], bool]) -> None:
    """Look until it holds: for what a kernel or another process does, which tells nobody."""
    async with asyncio.timeout(20):
        while True:
            if condition():
                return
            await asyncio.sleep(0.01)


def bound(port: int, kind: str = "udp") -> bool:
    """Whether a socket of this machine has this port."""
    rows = [row.split() for row in Path(f"/proc/net/{kind}").read_text().splitlines()[1:]]
    ready = {"udp": "07", "tcp": "0A"}[kind]  # a connection may have the port of a listener
    return any(row[1].endswith(f":{port:04X}") and row[3] == ready for row in rows)


async def until_open(port: int) -> None:
    """Wait until somebody listens there."""
    await until(lambda: bound(port, "tcp"))
