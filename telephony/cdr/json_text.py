"""JSON of call records: an object of texts, numbers as they are written, one meaning or none.

Phones choose what stands in some values. A text that a PBX did not escape may hold a key of its own, and
ordinary readers keep the last of two equal keys: here such a record is refused (pbx-integrations.md 4.1).
"""

import json
from collections.abc import Sequence

from telephony.cdr.reading import Reason, UnreadableError


def read_object(raw: bytes) -> dict[str, object]:
    """The object; numbers stay text. UnreadableError `malformed`: no UTF-8, no object, the same key twice."""
    try:
        value = json.loads(
            raw.decode(), object_pairs_hook=_single, parse_float=str, parse_int=str, parse_constant=str
        )
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise UnreadableError(Reason.MALFORMED, f"no JSON: {error}") from error
    except RecursionError as error:
        raise UnreadableError(Reason.MALFORMED, "JSON nested too deeply") from error
    if not isinstance(value, dict):
        raise UnreadableError(Reason.MALFORMED, "expected a JSON object, {…}")
    return value


def _single(pairs: Sequence[tuple[str, object]]) -> dict[str, object]:
    found = {name: _whole(value) if isinstance(value, str) else value for name, value in pairs}
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise UnreadableError(Reason.MALFORMED, f'the key "{_whole(twice[:60])}" stands there twice')
    return found


def _whole(text: str) -> str:
    """The text without halves of characters (`\\ud800` alone), which no other encoding can hold."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def texts(values: dict[str, object]) -> dict[str, str]:
    """The texts and numbers directly inside an object; others are left out."""
    return {name: value for name, value in values.items() if isinstance(value, str)}


def inside(values: dict[str, object], *path: str) -> dict[str, object]:
    """The object at a path of keys; {} where there is none."""
    for name in path:
        value = values.get(name)
        values = value if isinstance(value, dict) else {}
    return values
