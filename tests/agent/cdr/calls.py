"""Call records for the tests of the intake: lines of cdr_custom as Asterisk writes them."""

import asyncio

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
        return (await client.post(url, content=body)).status_code
    except httpx.HTTPError:
        return None


async def until_open(port: int) -> None:
    """Wait until somebody listens there."""
    async with asyncio.timeout(20):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except ConnectionRefusedError:
                await asyncio.sleep(0.02)
            else:
                writer.close()
                return
