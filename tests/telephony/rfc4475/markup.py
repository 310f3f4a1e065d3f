"""The markup in which RFC 4475 section 2 writes its messages, turned into their bytes.

`<allOneLine>` joins the lines inside, `<hex>` holds octets, `<repeat count=n>` repeats; each line ends in
CRLF. The text begins after its first line end.
"""

import re

_ONE_LINE = re.compile(r"<allOneLine>\n(.*?)\n</allOneLine>", re.DOTALL)
_REPEAT = re.compile(r"<repeat count=([0-9]+)>(.*?)</repeat>")
_HEX = re.compile(r"<hex>([^<]*)</hex>")
_PACKED_HEX = re.compile(rb"<hex>([0-9A-F]*)</hex>")


def expand(text: str) -> bytes:
    """The message that this text describes."""
    text = _HEX.sub(lambda found: "<hex>" + "".join(found[1].split()) + "</hex>", text.removeprefix("\n"))
    text = _ONE_LINE.sub(lambda found: found[1].replace("\n", ""), text)
    text = _REPEAT.sub(lambda found: found[2] * int(found[1]), text)
    # Octets last: they may be line ends.
    return _PACKED_HEX.sub(
        lambda found: bytes.fromhex(found[1].decode()), text.replace("\n", "\r\n").encode()
    )
