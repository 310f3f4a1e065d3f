"""An agent's side of call records for tests: makes records, sends them in signed batches, repeats them."""

import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count

import msgspec

from runtime.clock import SystemClock
from telephony.cdr.record import Direction, Kind
from telephony.cdr.wire import Batch, BatchAnswer, Record, SourceState, Unread
from tests.licence_master.peer import Peer, Said

PATH = "/v1/agent/cdrs"
DAY_MS = 24 * 3_600_000


def record(
    pbx: str, name: str, *, end_ms: int | None = None, talk_s: int = 60, intake: str = "cdr"
) -> Record:
    """One call of a minute that has just ended, unless it is said otherwise."""
    end = SystemClock().wall_ms() if end_ms is None else end_ms
    return Record(
        source=f"acme/{pbx}/{intake}",
        call_ref=name,
        leg="1",
        pbx=pbx,
        direction=Direction.OUT,
        kind=Kind.VOICE,
        setup_ms=end - 65_000,
        end_ms=end,
        talk_s=talk_s,
        raw=f"{name};201;+33612345678;{talk_s}".encode(),
        caller="201",
        called="+33612345678",
        dialled="0612345678",
        account="201",
        answer_ms=end - 60_000,
        cause=16,
    )


@dataclass
class Recorder:
    """One spool: numbers its batches from 1."""

    peer: Peer
    spool: str = field(default_factory=lambda: secrets.token_hex(8))
    number: int = 0
    names: Iterator[int] = field(default_factory=count)

    def record(self, name: str = "", **more: int) -> Record:
        """A record of this PBX with a name of its own."""
        return record(self.peer.name, name or f"{self.spool}-{next(self.names)}", **more)  # type: ignore[arg-type]

    def batch(
        self,
        records: Sequence[Record] = (),
        unread: Sequence[Unread] = (),
        sources: Sequence[SourceState] = (),
        number: int | None = None,
    ) -> Batch:
        """The next batch of this spool, or one with this number."""
        return Batch(
            v=1,
            installation=self.peer.installation,
            agent=self.peer.name,
            spool=self.spool,
            number=self.number + 1 if number is None else number,
            records=tuple(records),
            unread=tuple(unread),
            sources=tuple(sources),
        )

    async def post(self, batch: Batch) -> Said:
        """Send a batch as it is."""
        return await self.peer.post(PATH, msgspec.json.encode(batch))

    async def send(self, *records: Record, **more: Sequence[Unread] | Sequence[SourceState]) -> int:
        """Send the next batch; the number that the master has, which must have taken it."""
        said = await self.post(self.batch(records, **more))  # type: ignore[arg-type]
        assert said.status == 200, said.body
        assert self.peer.is_signed(said)
        answer = said.decoded(BatchAnswer)
        assert answer.spool == self.spool
        self.number = answer.kept
        return answer.kept
