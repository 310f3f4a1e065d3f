"""Text that others wrote, made safe for a log or a terminal."""

import re

# Controls, line separators, direction marks, lone surrogates: what can forge a line or steer a terminal.
_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)


def escape(text: str) -> str:
    """The text with every character that could forge a line or steer a terminal written as \\uXXXX."""
    return _UNSAFE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)
