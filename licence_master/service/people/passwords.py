"""Passwords: argon2id with its parameters beside the hash, at most two at once, and patience after failures.

Source: RFC 9106 (argon2id); 19 MiB, 2 passes, 1 lane took 24 to 45 ms here.
"""

import asyncio
import os
from collections import OrderedDict
from collections.abc import Callable
from typing import TypeVar

from cryptography.exceptions import InvalidKey
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

MEMORY_KIB, PASSES, LANES = 19 * 1024, 2, 1
SALT_BYTES, HASH_BYTES = 16, 32
PARAMETERS = f"$argon2id$v=19$m={MEMORY_KIB},t={PASSES},p={LANES}$"
AT_ONCE = 2  # 19 MiB each
MAX_WAITING = 16

FREE_FAILURES = 5
FIRST_DELAY_MS = 1_000
LONGEST_DELAY_MS = 5 * 60_000
FORGOTTEN_MS = 15 * 60_000
MAX_SUSPECTS = 10_000

Result = TypeVar("Result")


class Busy(Exception):  # noqa: N818 - a state, not an error
    """Too many passwords are being looked at already."""


class Passwords:
    """Hashes and checks in threads, so that the loop goes on."""

    def __init__(self) -> None:
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._waiting = 0
        self._nobody: str | None = None

    async def hash(self, password: str) -> str:
        """The PHC text to store; Busy."""
        return await self._in_turn(_hash, password)

    async def fits(self, password: str, stored: str | None) -> bool:
        """Is this the password of that hash? Without one (no such person) it takes as long; Busy."""
        if stored is not None:
            return await self._in_turn(_fits, password, stored)
        self._nobody = self._nobody or await self.hash("nobody")
        await self._in_turn(_fits, password, self._nobody)
        return False

    async def _in_turn(self, work: Callable[..., Result], *words: str) -> Result:
        if self._waiting >= MAX_WAITING:
            raise Busy
        self._waiting += 1
        try:
            async with self._turns:
                return await asyncio.to_thread(work, *words)
        finally:
            self._waiting -= 1


def outdated(stored: str) -> bool:
    """Was this made with other parameters than today's? Then hash again while the password is at hand."""
    return not stored.startswith(PARAMETERS)


def _hash(password: str) -> str:
    return _argon2id(os.urandom(SALT_BYTES)).derive_phc_encoded(password.encode())


def _fits(password: str, stored: str) -> bool:
    try:
        Argon2id.verify_phc_encoded(password.encode(), stored)
    except InvalidKey:
        return False
    return True


def _argon2id(salt: bytes) -> Argon2id:
    return Argon2id(salt=salt, length=HASH_BYTES, iterations=PASSES, lanes=LANES, memory_cost=MEMORY_KIB)


class Failures:
    """How long an account or an address must wait after failures; bounded, the longest unseen goes first.

    An attempt counts as a failure from its begin, so that many at once are no more guesses.
    """

    def __init__(self) -> None:
        self._seen: OrderedDict[str, tuple[int, int]] = OrderedDict()  # failures, when the last was

    def wait_ms(self, who: str, now_ms: int) -> int:
        """How long until the next attempt is looked at; 0: now."""
        failures, last_ms = self._seen.get(who, (0, 0))
        if failures < FREE_FAILURES or now_ms - last_ms >= FORGOTTEN_MS:
            return 0
        delay_ms = min(FIRST_DELAY_MS << min(failures - FREE_FAILURES, 20), LONGEST_DELAY_MS)
        return max(0, last_ms + delay_ms - now_ms)

    def count(self, who: str, now_ms: int) -> None:
        """One more attempt: a failure until it is forgiven."""
        failures, last_ms = self._seen.get(who, (0, 0))
        self._seen[who] = (1 if now_ms - last_ms >= FORGOTTEN_MS else failures + 1, now_ms)
        self._seen.move_to_end(who)
        if len(self._seen) > MAX_SUSPECTS:
            self._seen.popitem(last=False)

    def forgive(self, who: str) -> None:
        """The attempt was none to guess: one failure less."""
        failures, last_ms = self._seen.get(who, (1, 0))
        self._seen[who] = (failures - 1, last_ms)
        if failures <= 1:
            del self._seen[who]

    def forget(self, who: str) -> None:
        """All failures of an account that got in; an address is forgiven only its own attempt."""
        self._seen.pop(who, None)
