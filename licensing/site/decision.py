"""What the seats answer about an object: admitted, waiting or refused, each with what the caller must do."""

import zlib
from dataclasses import dataclass

from licensing.codes import Code, sentence

RETRY_AFTER_S = 30


@dataclass(frozen=True, slots=True)
class Admitted:
    """The registration may go to the PBX; with `reserved` the caller ends it by `commit` or `release`."""

    reserved: bool


@dataclass(frozen=True, slots=True)
class Waiting:
    """No unit here yet: hold the request until `settle` names the object."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The answer is no: SIP status 403 or 503, the code and its sentence.

    `excused`: the policy lets it pass all the same; only who asked for one of several classes sees that.
    """

    status: int
    code: Code
    sentence: str
    retry_after_s: int | None = None
    excused: bool = False


Decision = Admitted | Waiting | Refused

ADMITTED = Admitted(reserved=False)
RESERVED = Admitted(reserved=True)
WAITING = Waiting()


def refused(name: str, code: Code, status: int) -> Refused:
    """A refusal of this object; with 503 its Retry-After lies between 30 and 60 s, spread by the name."""
    if status == 503:
        spread = zlib.crc32(name.encode()) % (RETRY_AFTER_S + 1)
        return Refused(status, code, sentence(code), RETRY_AFTER_S + spread)
    return Refused(status, code, sentence(code))
