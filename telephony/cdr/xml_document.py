"""One XML element as a small tree, read by expat: what a hostile document asks for is not there to be had.

Only the element is read, from its `<` on. A DOCTYPE, which stands before it, is never seen: there are no
entities to expand and nothing to fetch. The depth has a limit, the size has one already. Why expat and not
defusedxml: docs/decisions/0039.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final
from xml.parsers import expat

from telephony.cdr.reading import Reason, UnreadableError

MAX_DEPTH: Final = 16


@dataclass(slots=True)
class Element:
    """A name, attributes, the elements inside in their order, and the text between the tags."""

    name: str
    attributes: dict[str, str]
    children: list["Element"] = field(default_factory=list)
    text: str = ""

    def named(self, name: str) -> Iterator["Element"]:
        """The elements of this name directly inside."""
        return (child for child in self.children if child.name == name)

    def first(self, name: str) -> "Element | None":
        """The first element of this name directly inside."""
        return next(self.named(name), None)


class _Tree:
    """Builds the tree while expat reads; one for each document."""

    def __init__(self) -> None:
        self.root: Element | None = None
        self._open: list[Element] = []
        self._parser = expat.ParserCreate("utf-8")
        self._parser.buffer_text = True
        self._parser.StartElementHandler = self._begin
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._characters

    def read(self, raw: bytes) -> None:
        self._parser.Parse(raw, True)

    def _begin(self, name: str, attributes: dict[str, str]) -> None:
        element = Element(name, attributes)
        if self._open:
            self._open[-1].children.append(element)
        else:
            self.root = element
        self._open.append(element)
        if len(self._open) > MAX_DEPTH:
            raise UnreadableError(Reason.MALFORMED, f"elements nested deeper than {MAX_DEPTH}")

    def _end(self, _name: str) -> None:
        self._open.pop()

    def _characters(self, text: str) -> None:
        self._open[-1].text += text


def read_element(raw: bytes, name: str) -> Element:
    """The first element of this name in `raw`, to its end; UnreadableError `malformed` says why not."""
    begin = raw.find(b"<" + name.encode())
    if begin < 0:
        raise UnreadableError(Reason.MALFORMED, f"expected <{name}>")
    tree = _Tree()
    try:
        tree.read(raw[begin:])
    except expat.ExpatError as error:
        detail = f"not XML: {expat.ErrorString(error.code)} (line {error.lineno}, column {error.offset + 1})"
        raise UnreadableError(Reason.MALFORMED, detail) from error
    if tree.root is None or tree.root.name != name:
        raise UnreadableError(Reason.MALFORMED, f"expected <{name}>")
    return tree.root
