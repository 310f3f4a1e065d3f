"""Sessions of people who signed in: random, kept as hashes in memory, over after 30 idle minutes or 8 hours.

A restart of the master ends them all: nothing that opens a door is read back from a disk or a backup.
"""

import hashlib
import secrets
from collections import OrderedDict
from dataclasses import dataclass, replace

from licence_master.service.people.secret import hash_of

IDLE_MS = 30 * 60_000
LIFETIME_MS = 8 * 3_600_000
MAX_SESSIONS = 1_000
MAX_OF_ONE = 20


@dataclass(frozen=True, slots=True)
class Session:
    """Who signed in where; times are monotonic milliseconds.

    `changed_ms` is that of the person: with another password, or removed and added again, it is over.
    """

    installation: str
    name: str
    changed_ms: int
    begun_ms: int
    seen_ms: int


class Sessions:
    """All sessions of the master by the hash of their secret; the longest unseen goes first."""

    def __init__(self) -> None:
        self._sessions: OrderedDict[bytes, Session] = OrderedDict()

    def begin(self, installation: str, name: str, changed_ms: int, now_ms: int) -> str:
        """The secret of a new session, for its cookie."""
        secret = secrets.token_urlsafe(32)
        own = [key for key, s in self._sessions.items() if (s.installation, s.name) == (installation, name)]
        for key in own[: max(0, len(own) - MAX_OF_ONE + 1)]:
            del self._sessions[key]
        self._sessions[hash_of(secret)] = Session(installation, name, changed_ms, now_ms, now_ms)
        if len(self._sessions) > MAX_SESSIONS:
            self._sessions.popitem(last=False)
        return secret

    def find(self, secret: str, now_ms: int) -> Session | None:
        """The living session of this secret, seen now."""
        key = hash_of(secret)
        session = self._sessions.get(key)
        if session is None:
            return None
        if now_ms - session.seen_ms >= IDLE_MS or now_ms - session.begun_ms >= LIFETIME_MS:
            del self._sessions[key]
            return None
        self._sessions[key] = session = replace(session, seen_ms=now_ms)
        self._sessions.move_to_end(key)
        return session

    def end(self, secret: str) -> None:
        """End one session."""
        self._sessions.pop(hash_of(secret), None)


def csrf_token(secret: str) -> str:
    """What a page of ours sends beside the cookie, and a page of others cannot know."""
    return hashlib.sha256(b"csrf " + secret.encode()).hexdigest()
