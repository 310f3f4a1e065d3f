"""`pbx-agent cdr replay --unread`: what could not be read is read again, after a mapping was corrected."""

from collections.abc import Sequence

import msgspec

from agent.cdrs import CdrSource
from agent.service.cdr import dialect
from agent.store.spool import Spool
from runtime.clock import Clock
from telephony.cdr.reading import Origin
from telephony.cdr.record import Cdr
from telephony.cdr.wire import Unread


class Replayed(msgspec.Struct, frozen=True):
    """How many entries are sent again, and of those that could not be read, how many could be now."""

    sent_again: int = 0
    read: int = 0
    still_unread: int = 0


async def reread(
    spool: Spool, sources: Sequence[tuple[CdrSource, Origin]], clock: Clock, from_ms: int, to_ms: int
) -> Replayed:
    """Read each with a new parser, whose mapping is read now; what is still no record stays as it is."""
    read = still = behind = 0
    while rows := await spool.unread(from_ms, to_ms, behind):
        for row in rows:
            behind = row.n
            entry = row.read()
            assert isinstance(entry, Unread)
            records = _records(entry, sources)
            if records:
                await spool.read_after_all(row.n, entry.source, records, clock.wall_ms())
                read += 1
            else:
                still += 1
    return Replayed(read=read, still_unread=still)


def _records(entry: Unread, sources: Sequence[tuple[CdrSource, Origin]]) -> list[Cdr]:
    """The records in these bytes, if they are records and nothing else."""
    for settings, origin in sources:
        if origin.source == entry.source:
            parser = dialect.parser(settings, origin)
            readings = parser.feed(entry.raw, entry.taken_ms) + parser.end(entry.taken_ms)
            records = [reading for reading in readings if isinstance(reading, Cdr)]
            return records if len(records) == len(readings) else []
    return []
