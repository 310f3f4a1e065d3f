"""A question of Asterisk's dial plan by FastAGI: who asks, and the lines that answer (res_agi).

Asterisk connects, says `agi_NAME: VALUE` line by line and ends with an empty line; then it takes commands and
says `200 result=…` to each that was carried out.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

LINE_LIMIT: Final = 4_096
LINES: Final = 200
HUNG_UP: Final = b"HANGUP"
DONE: Final = b"200 result=1"


class AgiError(Exception):
    """This is no question of a dial plan; the text says what is wrong."""


@dataclass(frozen=True, slots=True)
class Question:
    """`AGI(agi://HOST/script,argument,…)` of a call at an extension; `call` is its UNIQUEID."""

    script: str
    call: str
    channel: str
    extension: str
    arguments: tuple[str, ...] = ()

    def argument(self, number: int) -> str:
        """The argument of this number, from 0; empty where there is none."""
        return self.arguments[number].strip() if number < len(self.arguments) else ""


def read_question(lines: Iterable[bytes]) -> Question:
    """The question in these lines, without the empty one that ends it; AgiError."""
    said: dict[str, str] = {}
    seen: set[str] = set()
    for line in lines:
        name, colon, value = line.decode("utf-8", "backslashreplace").rstrip("\r\n").partition(":")
        if not colon or not name.startswith("agi_"):
            raise AgiError(f"found {line[:80]!r}; a dial plan says agi_NAME: VALUE")
        if said.setdefault(name.removeprefix("agi_"), value.removeprefix(" ")) and name in seen:
            raise AgiError(f"{name} twice: is there a line break in what somebody dialled?")
        seen.add(name)
    if not said.get("uniqueid"):
        raise AgiError("no agi_uniqueid")
    script = said.get("network_script", "").partition("?")[0].strip("/")
    arguments: list[str] = []
    while (argument := said.get(f"arg_{len(arguments) + 1}")) is not None:
        arguments.append(argument)
    return Question(
        script, said["uniqueid"], said.get("channel", ""), said.get("extension", ""), tuple(arguments)
    )


def set_variables(variables: Mapping[str, str]) -> list[bytes]:
    """The commands that set these variables of the channel."""
    return [f"SET VARIABLE {name} {_quoted(value)}\n".encode() for name, value in variables.items()]


def _quoted(text: str) -> str:
    plain = "".join([character for character in text if character.isprintable()])
    return '"' + plain.replace("\\", "\\\\").replace('"', '\\"') + '"'
