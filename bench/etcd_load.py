"""Clients of an etcd that lends units from a pool: `python -m bench.etcd_load HOST:PORT CLIENTS POOLS`.

A unit is a key that is attached to a lease; how many of a pool are lent is a counter, compared and put in
the transaction that puts the units, so that no pool can be oversold. An operation for one unit takes a lease
of its own first; clients that ask for many units keep one lease. With `POOLS` = 1 all clients draw on one
pool, with as many pools as clients nobody meets anybody.

Who comes second reads the counter in the same transaction that failed, waits for a random moment which
doubles each time, and tries again. Requests are rendered by hand (etcd_wire.py): nothing of the client's
library but HTTP/2 itself costs time.
"""

import asyncio
import random
import sys
import time
from itertools import count

import grpc.aio
import uvloop

from bench import etcd_wire
from bench.worker import Rounds

TTL_S = 86_400
FIRST_WAIT_S, LONGEST_WAIT_S = 0.001, 0.064
UNITS = b"unit/"


class Renter:
    """One client with a connection of its own."""

    def __init__(self, address: str, name: int, pool: int) -> None:
        # Else all channels of a process to one address share a connection.
        channel = grpc.aio.insecure_channel(address, [("grpc.use_local_subchannel_pool", 1)])
        self.txn = channel.unary_unary(etcd_wire.TXN)
        self.range = channel.unary_unary(etcd_wire.RANGE)
        self._grant = channel.unary_unary(etcd_wire.LEASE_GRANT)
        self.channel = channel
        self.again = 0
        self.pool = b"pool/%d" % pool
        self._unit = UNITS + b"%d/" % name
        self._numbers = count()
        self._lease = 0
        self._revision = self._lent = 0

    async def lend(self, units: int) -> int:
        """Take so many units from the pool."""
        if units == 1 or not self._lease:
            self._lease = await self._leased()
        changes = [self._held(next(self._numbers)) for _ in range(units)]
        wait_s = FIRST_WAIT_S
        while not await self._swapped(units, changes):
            self.again += 1
            await asyncio.sleep(random.random() * wait_s)
            wait_s = min(2 * wait_s, LONGEST_WAIT_S)
        return units

    def _held(self, number: int) -> bytes:
        """The unit's key, with what an activity event of ours says of it."""
        at_ms = time.time_ns() // 1_000_000
        event = b'{"at_ms":%d,"object":"phone-%d","kind":"user","class":"seat","event":"held"}' % (
            at_ms,
            number,
        )
        return etcd_wire.put(b"%s%d" % (self._unit, number), event, self._lease)

    async def read(self, request: bytes) -> etcd_wire.Fields:
        """A RangeResponse."""
        return etcd_wire.decode(await self.range(request))

    async def _leased(self) -> int:
        return etcd_wire.number(etcd_wire.decode(await self._grant(etcd_wire.grant(TTL_S))), 2)

    async def _swapped(self, units: int, changes: list[bytes]) -> bool:
        counter = etcd_wire.put(self.pool, b"%d" % (self._lent + units))
        request = etcd_wire.swap(self.pool, self._revision, [counter, *changes])
        answer = etcd_wire.decode(await self.txn(request))
        if etcd_wire.number(answer, 2):
            self._revision = etcd_wire.number(etcd_wire.message(answer, 1), 3)
            self._lent += units
            return True
        found = etcd_wire.message(etcd_wire.message(etcd_wire.message(answer, 3), 1), 2)
        self._revision, self._lent = etcd_wire.number(found, 3), int(etcd_wire.text(found, 5))
        return False


async def lent(renter: Renter, pools: int) -> int:
    """What all pools say together."""
    total = 0
    for pool in range(pools):
        answer = await renter.read(etcd_wire.read(b"pool/%d" % pool))
        if 2 in answer:
            total += int(etcd_wire.text(etcd_wire.message(answer, 2), 5))
    return total


async def main(address: str, clients: int, pools: int) -> None:
    """Answer rounds, then compare what was counted with the pools and with the keys of the units."""
    renters = [Renter(address, number, number % pools) for number in range(clients)]
    for renter in renters:
        await renter.read(etcd_wire.read(renter.pool))
    rounds = Rounds(renters)
    await rounds.answer()
    counted = await lent(renters[0], pools)
    keys = etcd_wire.number(await renters[0].read(etcd_wire.count(UNITS)), 4)
    for renter in renters:
        await renter.channel.close()
    if not rounds.units == counted == keys:
        sys.exit(f"{rounds.units} units were lent, the pools say {counted}, there are {keys} keys")


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
