"""Refusals as RFC 9457 problem documents, for agents and administrators alike."""

import msgspec

from licensing import wire
from licensing.codes import Refusal, sentence, status

MEDIA_TYPE = "application/problem+json"


def document(refusal: Refusal) -> wire.Problem:
    """The problem document of a refusal; its status is that of the table of codes."""
    return wire.Problem(
        type=f"urn:pbx-licences:{refusal.code}",
        title=sentence(refusal.code),
        status=status(refusal.code),
        code=str(refusal.code),
        detail=refusal.detail,
        hint=refusal.hint,
    )


def body(refusal: Refusal) -> bytes:
    """The same as JSON bytes."""
    return msgspec.json.encode(document(refusal))


class ProblemError(Exception):
    """A request of the admin API ends with these refusals; the first gives status and code.

    `bad_data` marks errors inside a file that was sent, each with its line.
    """

    def __init__(self, *refusals: Refusal, bad_data: bool = False) -> None:
        super().__init__(refusals[0].code)
        self.refusals = refusals
        self.bad_data = bad_data


def body_of_all(error: ProblemError) -> bytes:
    """One problem document; further refusals stand in its list `errors`."""
    document_ = msgspec.to_builtins(document(error.refusals[0]))
    first = error.refusals[0].code
    lines = [
        (refusal.detail or refusal.sentence) + (f" ({refusal.code})" if refusal.code is not first else "")
        for refusal in error.refusals
    ]
    return msgspec.json.encode(document_ | {"errors": lines, "bad_data": error.bad_data})
