"""JSON as it was signed: one meaning or none.

Ordinary readers drop the first of two equal keys and read 1.0 as 1, so that two programs may see two
different texts under one signature (docs/licence-files.md). Here such a text is refused, each with its code.
"""

import json
from collections.abc import Sequence
from typing import Final, NoReturn, TypeVar

import msgspec

from licensing.codes import Code, Refusal

T = TypeVar("T")

LARGEST: Final = 2**53 - 1
"""Numbers up to here are the same in every JSON reader (RFC 8259, section 6)."""


class _NotExactError(Exception):
    def __init__(self, code: Code, detail: str) -> None:
        super().__init__(detail)
        self.refusal = Refusal(code, detail)


def decode(body: bytes, type_: type[T]) -> T | Refusal:
    """The value of these bytes.

    Codes: `file_malformed` (no UTF-8, no JSON, another shape), `duplicate_key`, `number_not_whole` (floats,
    NaN, Infinity, and what lies beyond ±`LARGEST`).
    """
    try:
        json.loads(
            body.decode(),
            object_pairs_hook=_single,
            parse_float=_no_number,
            parse_constant=_no_number,
            parse_int=_whole,
        )
        return msgspec.json.decode(body, type=type_)
    except _NotExactError as error:
        return error.refusal
    except (UnicodeDecodeError, json.JSONDecodeError, msgspec.MsgspecError) as error:
        return Refusal(Code.FILE_MALFORMED, f"the signed text: {error}")
    except RecursionError:
        return Refusal(Code.FILE_MALFORMED, "the signed text is nested too deeply")


def _single(pairs: Sequence[tuple[str, object]]) -> dict[str, object]:
    found: dict[str, object] = {}
    for key, value in pairs:
        if key in found:
            raise _NotExactError(Code.DUPLICATE_KEY, key[:100])
        found[key] = value
    return found


def _no_number(text: str) -> NoReturn:
    raise _NotExactError(Code.NUMBER_NOT_WHOLE, text[:100])


def _whole(text: str) -> int:
    if len(text) > len(str(LARGEST)) + 1 or abs(int(text)) > LARGEST:
        _no_number(text)
    return int(text)
