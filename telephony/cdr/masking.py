"""Numbers of a call record made unreadable: the first digits stay, the last ones become `x`, in `raw` too.

A masked record is for reading: two of them may have the same key, and its content hash is another one.
Source: docs/contract.md "Call record".
"""

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Final, NamedTuple

from telephony.cdr.record import Cdr

NUMBERS: Final = ("caller", "called", "dialled", "account", "forwarded_by", "transferred_by")
HIDDEN: Final = b"x"
TAIL: Final = 6
"""Last digits that two forms of one number share, such as +33 1 42 00 00 01 and 0142000001."""

# A digit as a PBX, a query, XML or JSON may write it, and what people write between two of them.
_DIGIT: Final = rb"(?:%3([0-9])|&#0*(4[89]|5[0-7]);|&#[xX]0*3([0-9]);|\\u003([0-9])|([0-9]))"
_BETWEEN: Final = rb"(?:[ \t+.()/\-]|%2[0-9A-Fa-f]){0,3}"
_ONE: Final = re.compile(rb"%%2[0-9A-Fa-f]|%s" % _DIGIT)
_RUN: Final = re.compile(rb"%s(?:%s%s)*" % (_DIGIT, _BETWEEN, _DIGIT))


class _Place(NamedTuple):
    """Where a digit stands in a text."""

    start: int
    end: int
    digit: str


def masked(cdr: Cdr, keep: int) -> Cdr:
    """The record with at most the first `keep` digits of each of its numbers.

    A number of `keep` digits or fewer stays, and so does a name. In `raw`, `call_ref` and `leg` a number is
    hidden wherever it stands, with another prefix, with separators or escaped.
    """
    hidden = _hidden_digits(cdr, keep)

    def rewritten(text: str) -> str:
        return _rewritten(text.encode(), hidden).decode()

    def number(text: str) -> str:
        return _beginning(rewritten(text), keep)

    return replace(
        cdr,
        call_ref=rewritten(cdr.call_ref),
        leg=rewritten(cdr.leg),
        caller=number(cdr.caller),
        called=number(cdr.called),
        dialled=number(cdr.dialled),
        account=number(cdr.account),
        forwarded_by=number(cdr.forwarded_by),
        transferred_by=number(cdr.transferred_by),
        raw=_rewritten(cdr.raw, hidden),
    )


def _hidden_digits(cdr: Cdr, keep: int) -> dict[str, int]:
    """For the ending of each number how many of its last digits must not be seen.

    Numbers with the same last digits are forms of one: all are hidden as far as the longest.
    """
    found: dict[str, int] = {}
    for text in {getattr(cdr, name) for name in NUMBERS}:
        runs = re.findall(r"[0-9]+", text.partition("@")[0])
        for digits in {*runs, "".join(runs)}:
            if len(digits) > keep:
                ending = digits[-TAIL:]
                found[ending] = max(found.get(ending, 0), len(digits) - keep)
    return found


def _rewritten(text: bytes, hidden: dict[str, int]) -> bytes:
    return _RUN.sub(lambda run: _hide(run[0], hidden), text) if hidden else text


def _hide(run: bytes, hidden: dict[str, int]) -> bytes:
    """Digits that belong together, without those of the numbers that are among them."""
    if not any(mark in run for mark in b"%&\\"):
        digits = re.sub(rb"[^0-9]", b"", run).decode()
        if not any(ending in digits for ending in hidden):
            return run
    places = [_Place(*each.span(), _digit(each)) for each in _ONE.finditer(run) if each.lastindex]
    written = bytearray(run)
    for index in sorted(_found(places, hidden), reverse=True):
        written[places[index].start : places[index].end] = HIDDEN
    return bytes(written)


def _digit(found: re.Match[bytes]) -> str:
    """The digit that is written here, perhaps as the number of its character."""
    text = found[found.lastindex or 0].decode()
    return chr(int(text)) if len(text) > 1 else text


def _found(places: list[_Place], hidden: dict[str, int]) -> set[int]:
    """Which of these digits end a number; a short one counts only where it stands alone."""
    found: set[int] = set()
    digits = "".join(place.digit for place in places)
    for ending, count in hidden.items():
        if len(ending) < TAIL:
            continue
        end = digits.find(ending) + TAIL
        while end >= TAIL:
            found.update(range(max(0, end - count), end))
            end = digits.find(ending, end - TAIL + 1) + TAIL
    for first, behind in _alone(places):
        count = hidden.get(digits[first:behind], 0) if behind - first < TAIL else 0
        found.update(range(behind - count, behind))
    return found


def _alone(places: list[_Place]) -> Iterator[tuple[int, int]]:
    """From where to where digits stand side by side."""
    first = 0
    for index in range(1, len(places) + 1):
        if index == len(places) or places[index].start != places[index - 1].end:
            yield first, index
            first = index


def _beginning(number: str, keep: int) -> str:
    """A number that shows its first `keep` digits at most, whatever stands between them."""
    user, at, host = number.partition("@")
    shown = 0
    for place, mark in enumerate(user):
        shown += "0" <= mark <= "9"
        if shown > keep:
            return user[:place] + re.sub("[0-9]", HIDDEN.decode(), user[place:]) + at + host
    return number
