"""Armour: bytes as lines of text that survive e-mail.

As PEM (RFC 7468), read leniently in what a mail program adds (CRLF, blanks at the end of lines, indentation
and `>` before them, text around the blocks) and strictly in everything else.
"""

import base64
import binascii
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from licensing.codes import Code, Refusal

MAX_BYTES: Final = 1_048_576
_WIDTH = 64
_DASHES = b"-----"
_EDGE = re.compile(rb"-----(BEGIN|END) ([A-Z]+(?: [A-Z]+)*)-----")
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Block:
    """What stands between a BEGIN and an END line of this label."""

    label: str
    content: bytes


def wrap(block: Block) -> str:
    """The block as text, 64 characters a line."""
    text = encoded(block.content)
    lines = [text[at : at + _WIDTH] for at in range(0, len(text), _WIDTH)]
    return "\n".join((f"-----BEGIN {block.label}-----", *lines, f"-----END {block.label}-----", ""))


def unwrap(text: bytes) -> tuple[Block, ...] | Refusal:
    """All blocks of a text, at least one; `too_large` above `MAX_BYTES`, else `file_malformed`."""
    if len(text) > MAX_BYTES:
        return Refusal(Code.TOO_LARGE, f"{len(text)} bytes, at most {MAX_BYTES}", "A licence file is small.")
    blocks: list[Block] = []
    label, lines = b"", list[bytes]()
    for number, line in _lines(text):
        edge = _EDGE.fullmatch(line)
        if edge is None and line.startswith(_DASHES):
            return _malformed(number, "neither a BEGIN nor an END line")
        if edge is None:
            lines.append(line)
        elif edge[1] == b"BEGIN" and not label:
            label, lines = edge[2], []
        elif edge[1] == b"END" and edge[2] == label:
            content = exact_base64(b"".join(lines))
            if content is None:
                return _malformed(number, "what stands above it is no base64")
            blocks.append(Block(label.decode(), content))
            label = b""
        else:
            return _malformed(number, f"{edge[1].decode()} where it does not belong")
    if label or not blocks:
        return Refusal(Code.FILE_MALFORMED, f"the END of {label.decode()} is missing" if label else "")
    return tuple(blocks)


def encoded(content: bytes) -> str:
    """These bytes in base64."""
    return base64.b64encode(content).decode()


def exact_base64(text: bytes) -> bytes | None:
    """The bytes whose only encoding this is; None for any other spelling (RFC 4648, section 3.5)."""
    try:
        content = base64.b64decode(text, validate=True)
    except binascii.Error:
        return None
    return content if base64.b64encode(content) == text else None


def _lines(text: bytes) -> Iterator[tuple[int, bytes]]:
    for number, line in enumerate(text.removeprefix(_BOM).split(b"\n"), 1):
        yield number, line.lstrip(b" \t>").rstrip(b" \t\r")


def _malformed(line: int, what: str) -> Refusal:
    return Refusal(Code.FILE_MALFORMED, f"line {line}: {what}")
