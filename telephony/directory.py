"""Which object an address-of-record belongs to: the configured rows, else the rule for unknown ones."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import translate
from typing import Final, NamedTuple

from telephony.address import Aor, Identity, read_aor

# The kind of objects that are forwarded and reported without asking for a licence.
PASS: Final = "pass"  # noqa: S105 - the word of agent.yaml
CACHE_LIMIT: Final = 20_000
CACHED_LENGTH: Final = 200


class Unknown(StrEnum):
    """What happens to an AOR without a row (agent.yaml `unknown`)."""

    USER = "user"
    REFUSE = "refuse"
    PASS = "pass"  # noqa: S105


class Pattern(NamedTuple):
    """A pattern with * and ?; with an @ in it (`whole`) compared with user@host, else with the user part."""

    whole: bool
    expression: re.Pattern[str]

    def fits(self, aor: str) -> bool:
        """Whether this AOR, as `Aor` writes it, is one of those meant."""
        user = "" if self.whole else aor.rpartition("@")[0]
        return self.expression.fullmatch(user or aor) is not None


@dataclass(frozen=True, slots=True)
class Row:
    """One row of `objects`: patterns with * and ?; with a name all its AORs are one object.

    A pattern with an @ is compared with user@host, one without with the user part.
    """

    kind: str
    patterns: tuple[str, ...]
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Subject:
    """The object behind an AOR; `refused` when it has no row and unknown ones are refused."""

    aor: str
    name: str
    kind: str
    refused: bool = False


class Directory:
    """The objects of one PBX."""

    def __init__(
        self, rows: Sequence[Row], unknown: Unknown = Unknown.USER, identity: Identity = Identity.USER
    ) -> None:
        self._rows = [(row, [compiled(pattern) for pattern in row.patterns]) for row in rows]
        self._unknown = unknown
        self._identity = identity
        self._known: dict[bytes, Subject] = {}

    def find(self, uri: bytes) -> Subject | None:
        """The object of this URI; None when the URI names nobody."""
        subject = self._known.get(uri)
        if subject is None:
            aor = read_aor(uri)
            if aor is None:
                return None
            subject = self._match(aor)
            if len(self._known) >= CACHE_LIMIT:
                self._known.clear()
            if len(uri) <= CACHED_LENGTH:
                self._known[uri] = subject
        return subject

    def _match(self, aor: Aor) -> Subject:
        name = aor.name(self._identity)
        full = str(aor)
        for row, patterns in self._rows:
            if any(pattern.fits(full) for pattern in patterns):
                return Subject(full, row.name or name, row.kind)
        kind = PASS if self._unknown is Unknown.PASS else "user"
        return Subject(full, name, kind, refused=self._unknown is Unknown.REFUSE)


def compiled(pattern: str) -> Pattern:
    """What this text of agent.yaml means."""
    return Pattern("@" in pattern, re.compile(translate(pattern)))
