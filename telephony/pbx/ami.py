"""Asterisk's manager interface (AMI 11) as bytes and messages, sans-IO: actions out, answers and events in.

A message is lines of `Key: Value`, ended by an empty one. An action carries an ActionID; its answer is one
message, or a list of them that says where it begins and ends (Asterisk, "AMI v2 Specification").
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

BANNER: Final = b"Asterisk Call Manager/"
BANNER_LIMIT: Final = 200
LINE_LIMIT: Final = 65_536  # the longest that Asterisk writes is far below
MESSAGE_LIMIT: Final = 1_000  # lines
LIST_LIMIT: Final = 200_000  # messages of one answer

_END_OF_LINE: Final = re.compile(rb"\r?\n")
_BREAKS: Final = re.compile(r"[\r\n\x00]")


class AmiError(Exception):
    """What arrived is no manager interface, or more than any Asterisk says; the text says what."""


Message = Mapping[str, str]
"""One message; a key that is said twice says nothing: Asterisk writes line breaks that a caller dialled as
they are, so that one of the two may be the caller's.
"""


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to an action: the response, and the items of a list without its ends."""

    action_id: str
    response: Message
    items: tuple[Message, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether the action succeeded."""
        return self.response.get("Response") == "Success"

    @property
    def text(self) -> str:
        """What Asterisk says of it."""
        return self.response.get("Message", "")


@dataclass(slots=True)
class _Begun:
    response: Message
    items: list[Message] = field(default_factory=list)


class Connection:
    """One connection: `ask` gives the bytes of an action, `receive` what came, in order.

    `token` is what no caller can know: answers are told by it.
    """

    def __init__(self, token: str = "") -> None:
        self._token = token
        self._pending = b""
        self._greeted = False
        self._lines: list[bytes] = []
        self._asked = 0
        self._open: dict[str, _Begun | None] = {}

    def ask(self, action: str, **fields: str) -> tuple[str, bytes]:
        """The id of an action and what to send; ValueError for a value that is no single line."""
        self._asked += 1
        action_id = f"{self._token}{self._asked}"
        self._open[action_id] = None
        lines = {"Action": action, "ActionID": action_id, **fields}
        broken = [key for key, value in lines.items() if _BREAKS.search(value)]
        if broken:
            raise ValueError(f"{', '.join(broken)}: not one line")
        text = "".join([f"{key}: {value}\r\n" for key, value in lines.items()])
        return action_id, f"{text}\r\n".encode("utf-8", "surrogateescape")

    def receive(self, data: bytes) -> list[Message | Answer]:
        """The events and the whole answers that are complete now; AmiError."""
        *lines, self._pending = _END_OF_LINE.split(self._pending + data)
        if len(self._pending) > (LINE_LIMIT if self._greeted else BANNER_LIMIT):
            raise AmiError("a line without an end; is this a manager interface of Asterisk?")
        found: list[Message | Answer] = []
        for line in lines:
            if not self._greeted:
                if not line.startswith(BANNER):
                    raise AmiError("no manager interface of Asterisk answers there")
                self._greeted = True
            elif line:
                self._lines.append(line)
                if len(self._lines) > MESSAGE_LIMIT:
                    raise AmiError(f"a message of more than {MESSAGE_LIMIT} lines")
            elif self._lines:
                message, self._lines = read(self._lines), []
                said = self._sorted(message)
                if said is not None:
                    found.append(said)
        return found

    def _sorted(self, message: Message) -> Message | Answer | None:
        """An event as it is; of an answer nothing before its end."""
        action_id = message.get("ActionID", "")
        if action_id not in self._open or ("Response" not in message and self._open[action_id] is None):
            return message if "Event" in message else None
        begun = self._open[action_id]
        part = message.get("EventList")
        if begun is None:
            if part != "start":
                return self._ended(action_id, message)
            self._open[action_id] = _Begun(message)
        elif part is None:
            begun.items.append(message)
            if len(begun.items) > LIST_LIMIT:
                raise AmiError(f"a list of more than {LIST_LIMIT} items")
        elif part == "Complete":
            return self._counted(action_id, begun, message)
        else:
            return self._ended(action_id, {"Response": "Error", "Message": f"the list is {part}"})
        return None

    def _counted(self, action_id: str, begun: _Begun, end: Message) -> Answer:
        count = end.get("ListItems", "")
        if count and count != str(len(begun.items)):
            wrong = {"Response": "Error", "Message": f"{len(begun.items)} of {count} items came"}
            return self._ended(action_id, wrong)
        return self._ended(action_id, begun.response, tuple(begun.items))

    def _ended(self, action_id: str, response: Message, items: tuple[Message, ...] = ()) -> Answer:
        del self._open[action_id]
        return Answer(action_id, response, items)


def read(lines: list[bytes]) -> Message:
    """The message of these lines; a line without a colon says nothing."""
    fields: dict[str, str] = {}
    twice: set[str] = set()
    for line in lines:
        name, colon, value = line.partition(b":")
        key = _text(name)
        if key in fields:
            twice.add(key)
        elif colon:
            fields[key] = _text(value.removeprefix(b" "))
    for key in twice:
        del fields[key]
    return fields


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")
