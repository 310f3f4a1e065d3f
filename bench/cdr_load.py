"""Agents that only deliver call records: `python -m bench.cdr_load ADDRESS=DATA_DIRECTORY…`.

A unit is a record that the master has acknowledged; each operation is a signed batch of so many.
"""

import asyncio
import secrets
import sys
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import uvloop

from bench.cdr_rows import records
from bench.grant_load import Asker, RefusedError
from bench.worker import Rounds
from telephony.cdr.wire import VERSION, Batch, BatchAnswer

PATH = "/v1/agent/cdrs"


@dataclass
class Deliverer(Asker):
    """One agent and its spool."""

    spool: str = field(default_factory=lambda: secrets.token_hex(8))
    number: int = 0
    made: int = 0

    async def lend(self, units: int) -> int:
        """Deliver one batch of new records."""
        enrolled = self._enrolment.enrolled
        self.number += 1
        made = tuple(records(enrolled.agent, self.made, units))
        self.made += units
        batch = Batch(VERSION, enrolled.installation, enrolled.agent, self.spool, self.number, made)
        answer = msgspec.json.decode(await self._post(PATH, msgspec.json.encode(batch)), type=BatchAnswer)
        if answer != BatchAnswer(self.spool, self.number):
            raise RefusedError(f"{answer} to batch {self.number}")
        return units


async def main(words: list[str]) -> None:
    """Connect each agent, then answer rounds."""
    pairs = [word.partition("=") for word in words]
    deliverers = [Deliverer(address, Path(home)) for address, _, home in pairs]
    for deliverer in deliverers:
        await deliverer.connect()
    await Rounds(deliverers).answer()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(sys.argv[1:]))
