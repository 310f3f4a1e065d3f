"""Clients of the plain server: `python -m bench.plain_load HOST PORT CLIENTS FILE`, one unit a request.

At the end the server's database must hold every lease that was counted, and its audit event.
"""

import asyncio
import sqlite3
import sys
from itertools import count

import uvloop

from bench.worker import Rounds

COUNTED = "SELECT used, (SELECT count(*) FROM lease), (SELECT count(*) FROM audit) FROM pool"


class Caller:
    """One client on a connection of its own."""

    again = 0

    def __init__(self, host: str, port: int, name: int) -> None:
        self._place = host, port
        self._name = name
        self._numbers = count()

    async def connect(self) -> None:
        """Open the connection that all requests share."""
        self._reader, self._writer = await asyncio.open_connection(*self._place)

    async def lend(self, units: int) -> int:
        """Draw one unit."""
        assert units == 1, "an operation is one unit"
        body = b'{"holder":"phone-%d-%d"}' % (self._name, next(self._numbers))
        self._writer.write(
            b"POST /leases HTTP/1.1\r\nHost: plain\r\nContent-Type: application/json\r\n"
            b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
        )
        first, *lines = (await self._reader.readuntil(b"\r\n\r\n")).lower().split(b"\r\n")
        assert b" 201 " in first, first
        length = next(int(line[16:]) for line in lines if line.startswith(b"content-length: "))
        await self._reader.readexactly(length)
        return units


async def main(host: str, port: int, clients: int, path: str) -> None:
    """Answer rounds, then compare."""
    callers = [Caller(host, port, number) for number in range(clients)]
    for caller in callers:
        await caller.connect()
    rounds = Rounds(callers)
    await rounds.answer()
    counted = set(sqlite3.connect(path).execute(COUNTED).fetchone())
    if counted != {rounds.units}:
        sys.exit(f"{rounds.units} units were lent, the database says {counted}")


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]))
