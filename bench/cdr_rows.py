"""The call records of the benchmarks: as an Asterisk with cdr_custom tells them, one as large as another."""

import time

from telephony.cdr.record import Direction, Kind
from telephony.cdr.wire import Record

BATCH = 300
"""Records of a message: with this `raw` half of what one may have."""


def records(pbx: str, first: int, count: int) -> list[Record]:
    """So many records of this PBX, numbered from `first` on; they have just ended."""
    end_ms = time.time_ns() // 1_000_000
    return [_record(pbx, number, end_ms) for number in range(first, first + count)]


def _record(pbx: str, number: int, end_ms: int) -> Record:
    call = f"{end_ms // 1_000}.{number}"
    raw = (
        f'"201","""Anna"" <201>","201","0612345678","PJSIP/201-{number:08x}","PJSIP/carrier-{number:08x}",'
        f'"2026-11-02 10:00:00","2026-11-02 10:00:05","2026-11-02 10:01:05","65.0","60.0","ANSWERED",'
        f'"{call}","{call}","{number}"\n'
    )
    return Record(
        source=f"acme/{pbx}/master_csv",
        call_ref=call,
        leg=str(number),
        pbx=pbx,
        direction=Direction.OUT,
        kind=Kind.VOICE,
        setup_ms=end_ms - 65_000,
        end_ms=end_ms,
        talk_s=60,
        raw=raw.encode(),
        caller="201",
        called="0612345678",
        dialled="0612345678",
        account="201",
        answer_ms=end_ms - 60_000,
        cause=16,
    )
