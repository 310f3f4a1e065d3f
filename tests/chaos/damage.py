"""Ways in which the end of a write-ahead log can be torn or garbled, drawn by a seed."""

import random
from collections.abc import Callable

FRAME_HEAD, LOG_HEAD = 24, 32


def page_size(wal: bytes) -> int:
    """Bytes of a page, as the log's head says (SQLite file format, 4.1)."""
    return int.from_bytes(wal[8:12], "big")


def current_end(wal: bytes) -> int:
    """The byte after the last frame of the log's present generation; older frames may follow."""
    salts, at = wal[16:24], LOG_HEAD
    step = FRAME_HEAD + page_size(wal)
    while at + step <= len(wal) and wal[at + 8 : at + 16] == salts:
        at += step
    return at


def generation(wal: bytes) -> int:
    """How often the log has begun anew."""
    return int.from_bytes(wal[12:16], "big")


def _cut(wal: bytes, at: int, drawn: random.Random) -> bytes:
    return wal[:at]


def _zeroed(wal: bytes, at: int, drawn: random.Random) -> bytes:
    return wal[:at] + bytes(len(wal) - at)


def _garbled(wal: bytes, at: int, drawn: random.Random) -> bytes:
    return wal[:at] + drawn.randbytes(len(wal) - at)


def _one_bit(wal: bytes, at: int, drawn: random.Random) -> bytes:
    at = min(at, len(wal) - 1)
    return wal[:at] + bytes([wal[at] ^ 1 << drawn.randrange(8)]) + wal[at + 1 :]


def _lost_block(wal: bytes, at: int, drawn: random.Random) -> bytes:
    """A block of the disk that was never written, with what follows it in place."""
    at -= at % 512
    return (wal[:at] + bytes(512) + wal[at + 512 :])[: len(wal)]


def _swapped_blocks(wal: bytes, at: int, drawn: random.Random) -> bytes:
    at -= at % 512
    other = drawn.randrange(LOG_HEAD, len(wal)) // 512 * 512
    made = bytearray(wal)
    made[at : at + 512], made[other : other + 512] = wal[other : other + 512], wal[at : at + 512]
    return bytes(made)


KINDS: tuple[Callable[[bytes, int, random.Random], bytes], ...] = (
    _cut,
    _cut,
    _zeroed,
    _garbled,
    _one_bit,
    _lost_block,
    _swapped_blocks,
)


def damaged(wal: bytes, drawn: random.Random) -> tuple[str, bytes]:
    """What was done, and the log after it; half of the places lie in its last eighth."""
    end = current_end(wal)
    first = end * 7 // 8 if drawn.random() < 0.5 else 0
    at = drawn.randrange(first, end)
    kind = drawn.choice(KINDS)
    return f"{kind.__name__[1:]} at {at} of {end}", kind(wal, at, drawn)
