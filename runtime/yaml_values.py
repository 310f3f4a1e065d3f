"""Strict YAML: text to values that remember their place; what YAML 1.1 would misread is kept apart.

Source: reliability.md section 8. Texts, decimal whole numbers, `true`, `false`, null and dates become
values; every other plain scalar becomes a `Misread`, which no type of a configuration accepts.
"""

import datetime
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

MAX_BYTES = 1024 * 1024
MAX_DEPTH = 32
MAX_PLAIN = 64  # characters of a plain number; a longer one is not converted

_MAC = re.compile(r"[0-9A-Fa-f]{2}([:-][0-9A-Fa-f]{2}){5}")
_DECIMAL = re.compile(r"-?(0|[1-9][0-9]*)")

Key = str | int
Location = tuple[Key, ...]


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong at a place; line and column count from 1.

    `of_value`: the value itself is no good, so that what a schema says of it is not worth a second message.
    """

    line: int
    column: int
    location: Location
    message: str
    of_value: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Misread:
    """A plain scalar that means something else to YAML than to its reader."""

    raw: str
    reading: str  # "false", "the number 83": what YAML makes of it
    number: int | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """A value and where it stands; `items` by key or index, `keys` are the places of the keys."""

    line: int
    column: int
    value: object
    items: Mapping[Key, "Place"] = field(default_factory=dict)
    keys: Mapping[Key, "Place"] = field(default_factory=dict)
    raw: str = ""


class UnreadableError(Exception):
    """The text is not one YAML document within the limits."""

    def __init__(self, line: int, column: int, message: str) -> None:
        super().__init__(message)
        self.line, self.column, self.message = line, column, message


def read(text: str) -> tuple[Place, list[Problem]]:
    """The document and what is wrong with it whatever its schema; UnreadableError when there is none."""
    if len(text.encode(errors="replace")) > MAX_BYTES:
        raise UnreadableError(1, 1, f"larger than {MAX_BYTES // 1024} KiB; remove what is not used")
    try:
        loader = _Loader(text)
        root = loader.get_single_node()
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise UnreadableError(line, 1, f"a character that YAML does not allow: {error.reason}") from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        words = ", ".join(part for part in (error.context, error.problem) if part)
        raise UnreadableError(mark.line + 1 if mark else 1, mark.column + 1 if mark else 1, words) from error
    if root is None:
        raise UnreadableError(1, 1, "nothing in it; expected keys and values")
    problems: list[Problem] = []
    place = _place(root, (), problems, loader.refused)
    return place, problems


class _Loader(yaml.SafeLoader):
    """Composes nodes only; notes anchors, aliases and tags, and stops at the depth limit."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.refused: dict[int, str] = {}  # id of a node -> why
        self._depth = 0

    def compose_node(self, parent: Node | None, index: object) -> Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if self._depth == MAX_DEPTH:
            raise yaml.composer.ComposerError(
                None, None, f"nested deeper than {MAX_DEPTH} levels", event.start_mark
            )
        node: Node | None
        if isinstance(event, yaml.AliasEvent):
            self.get_event()  # type: ignore[no-untyped-call]
            node = ScalarNode("tag:yaml.org,2002:null", "", event.start_mark, event.end_mark)  # type: ignore[arg-type]
            self.refused[id(node)] = f"*{event.anchor} is an alias; write the value itself"
            return node
        self._depth += 1
        node = super().compose_node(parent, index)  # type: ignore[arg-type] # the stub wants a Node
        self._depth -= 1
        if event.anchor is not None:
            self.refused[id(node)] = f"&{event.anchor} is an anchor; write the value where it is needed"
        elif getattr(event, "tag", None) not in (None, "!"):
            self.refused[id(node)] = f"{event.tag} is a tag; write the value alone"
        return node


def _place(node: Node, location: Location, problems: list[Problem], refused: Mapping[int, str]) -> Place:
    line, column = _mark(node)
    if id(node) in refused:
        problems.append(Problem(line, column, location, refused[id(node)], of_value=True))
    if isinstance(node, MappingNode):
        items, keys = _entries(node, location, problems, refused)
        return Place(line, column, {key: item.value for key, item in items.items()}, items, keys)
    if isinstance(node, SequenceNode):
        rows: dict[Key, Place] = {
            index: _place(child, (*location, index), problems, refused)
            for index, child in enumerate(node.value)
        }
        return Place(line, column, tuple(row.value for row in rows.values()), rows)
    assert isinstance(node, ScalarNode)
    value = _scalar(node)
    if node.style is None and _MAC.fullmatch(node.value):
        problems.append(Problem(line, column, location, _mac_message(node.value, value), of_value=True))
    return Place(line, column, value, raw=node.value)


def _entries(
    node: MappingNode, location: Location, problems: list[Problem], refused: Mapping[int, str]
) -> tuple[dict[Key, Place], dict[Key, Place]]:
    items: dict[Key, Place] = {}
    keys: dict[Key, Place] = {}
    first: dict[str, int] = {}
    for key_node, value_node in node.value:
        line, column = _mark(key_node)
        key = _scalar(key_node) if isinstance(key_node, ScalarNode) else None
        if refusal := _key_refusal(key_node, key, refused):
            shown = getattr(key_node, "value", "?") if isinstance(key_node, ScalarNode) else "?"
            problems.append(Problem(line, column, (*location, shown), refusal))
            continue
        assert isinstance(key, str | int)
        item = _place(value_node, (*location, key), problems, refused)
        if str(key) in first:
            message = f"set twice, first at line {first[str(key)]}"
            problems.append(Problem(line, column, (*location, key), message))
            continue
        first[str(key)] = line
        items[key], keys[key] = item, Place(line, column, key, raw=str(key))
    return items, keys


def _key_refusal(node: Node, key: object, refused: Mapping[int, str]) -> str | None:
    if id(node) in refused:
        return refused[id(node)]
    if not isinstance(node, ScalarNode):
        return "expected text as key, found a list or keys and values"
    if node.tag == "tag:yaml.org,2002:merge":
        return "<< merges keys; write the keys themselves"
    if node.style is None and _MAC.fullmatch(node.value):
        return _mac_message(node.value, key)
    if isinstance(key, str) or (isinstance(key, int) and not isinstance(key, bool)):
        return None
    return f'expected text as key, found {describe(key, node.value)}; write "{node.value}"'


def _scalar(node: ScalarNode) -> object:
    """The value of a scalar, or Misread where YAML 1.1 reads something people do not mean."""
    raw, kind = node.value, node.tag.rpartition(":")[2]
    if node.style is not None or kind in ("str", "merge"):
        return raw
    if len(raw) > MAX_PLAIN:
        return Misread(raw[:MAX_PLAIN], "a very long number")
    convert = {"bool": _bool, "int": _int, "null": _null, "timestamp": _date, "float": _float}.get(kind)
    return convert(raw) if convert else Misread(raw, "a special value")


def _bool(raw: str) -> object:
    value = yaml.SafeLoader.bool_values[raw.lower()]
    return value if raw in ("true", "false") else Misread(raw, str(value).lower())


def _int(raw: str) -> object:
    if _DECIMAL.fullmatch(raw):
        return int(raw)
    number = _construct(raw)
    return Misread(raw, f"the number {number}", number if isinstance(number, int) else None)


def _float(raw: str) -> object:
    return Misread(raw, f"the number {_construct(raw)}")


def _null(raw: str) -> object:
    return None if raw in ("", "null") else Misread(raw, "null")


def _date(raw: str) -> object:
    value = _construct(raw)
    if type(value) is datetime.date:
        return value
    return Misread(raw, "a date and time" if value is not None else "a date that does not exist")


def _construct(raw: str) -> object:
    """What PyYAML makes of a plain scalar; None when it fails."""
    try:
        value: object = yaml.safe_load(raw)
    except ValueError:
        return None
    return value


def _mac_message(raw: str, value: object) -> str:
    right = raw.replace(":", "-")
    if isinstance(value, Misread):
        return f'{raw} is {value.reading} to YAML; write "{right}"'
    return f'{raw} is a MAC without quotes, and YAML reads some of those as numbers; write "{right}"'


def describe(value: object, raw: str) -> str:
    """What was found, as the end of "expected …, found …"."""
    match value:
        case Misread():
            same = value.reading in (raw, f"the number {raw}")
            return value.reading if same else f"{value.reading} (YAML reads {raw} so)"
        case None:
            return "nothing" if not raw else "nothing (null)"
        case bool():
            return raw
        case int():
            return f"the number {raw}"
        case datetime.date():
            return f"the date {raw}"
        case str():
            return f'the text "{_cut(raw)}"'
        case tuple():
            return "a list"
        case _:
            return "keys and values"


def _cut(text: str) -> str:
    return text if len(text) <= MAX_PLAIN else text[: MAX_PLAIN - 1] + "…"


def _mark(node: Node) -> tuple[int, int]:
    return node.start_mark.line + 1, node.start_mark.column + 1
