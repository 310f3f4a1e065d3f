"""Logs: one JSON object a line on stderr, or key=value text on a terminal; control characters escaped.

A line is an event `noun.verb_past` with its facts as keys. Never log secrets; shorten numbers at info level.
"""

import json
import logging
import re
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final, TextIO

LONGEST_TRACEBACK = 8_000

# Controls, line separators, direction marks, lone surrogates: what can forge a line or steer a terminal.
_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)

EVENTS: Final = logging.getLogger("events")
"""Of all our own events; libraries have loggers of other names."""

Facts = dict[str, object]


class Logger:
    """Logs events, each with its own facts and those that the logger was made with."""

    __slots__ = ("_facts",)

    def __init__(self, facts: Facts) -> None:
        self._facts = facts

    def info(self, event: str, /, **facts: object) -> None:
        """What happened."""
        self.log(logging.INFO, event, **facts)

    def warning(self, event: str, /, **facts: object) -> None:
        """What somebody should look at."""
        self.log(logging.WARNING, event, **facts)

    def error(self, event: str, /, **facts: object) -> None:
        """What somebody has to mend."""
        self.log(logging.ERROR, event, **facts)

    def critical(self, event: str, /, **facts: object) -> None:
        """Why the program ends."""
        self.log(logging.CRITICAL, event, **facts)

    def takes(self, level: int) -> bool:
        """Whether an event of this level is written at all."""
        return EVENTS.isEnabledFor(level)

    def log(self, level: int, event: str, /, **facts: object) -> None:
        """An event of a level of `logging`; an exception under `exc_info` is shown as its traceback."""
        error = facts.pop("exc_info", None)
        trace = error if isinstance(error, BaseException) else None
        EVENTS.log(level, event, exc_info=trace, extra={"facts": {**self._facts, **facts}})


def configure(level: str = "info", stream: TextIO | None = None) -> None:
    """Send all logs, also those of the libraries, to the stream (default stderr)."""
    stream = stream or sys.stderr
    number = logging.getLevelNamesMapping()[level.upper()]
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_Lines(render_text if stream.isatty() else render_json))
    logging.basicConfig(handlers=[handler], level=max(number, logging.WARNING), force=True)
    EVENTS.setLevel(number)


def logger(**facts: object) -> Logger:
    """A logger that adds these facts to each of its lines."""
    return Logger(facts)


def escape(text: str) -> str:
    """The text with every character that could forge a line or steer a terminal written as \\uXXXX."""
    return _UNSAFE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def shorten(number: str) -> str:
    """A telephone number as it may stand in a log at info level: its last three digits."""
    return f"…{number[-3:]}" if len(number) > 4 else number


def render_json(event: Facts) -> str:
    """One JSON object on one line, valid whatever the values hold."""
    return escape(json.dumps(event, default=str, ensure_ascii=False))


def render_text(event: Facts) -> str:
    """`time level event key=value …`, the traceback below it, for a person at a terminal."""
    time, level, name = (escape(str(event.pop(key, ""))) for key in ("timestamp", "level", "event"))
    trace = "".join(f"\n  {escape(line)}" for line in str(event.pop("exception", "")).splitlines())
    facts = "".join(f" {escape(key)}={_value(value)}" for key, value in event.items())
    return f"{time} {level:<8} {name}{facts}{trace}"


def _value(value: object) -> str:
    text = str(value)
    return (
        escape(text)
        if text and not re.search(r'[\s"=]', text)
        else escape(json.dumps(text, ensure_ascii=False))
    )


class _Lines(logging.Formatter):
    """A record as facts, event, level and time, those of libraries among them; then as one line."""

    def __init__(self, render: Callable[[Facts], str]) -> None:
        super().__init__()
        self._render = render

    def format(self, record: logging.LogRecord) -> str:
        facts = getattr(record, "facts", {"library": record.name})
        level = min(max(record.levelno, logging.DEBUG), logging.CRITICAL) // 10 * 10
        time = datetime.fromtimestamp(record.created, UTC).isoformat().replace("+00:00", "Z")
        name = logging.getLevelName(level).lower()
        event = {**facts, "event": record.getMessage(), "level": name, "timestamp": time}
        if record.exc_info:
            event["exception"] = _shortened(self.formatException(record.exc_info))
        return self._render(event)


def _shortened(trace: str) -> str:
    """The end of a traceback says where it happened; a message inside may be as long as it likes."""
    return f"… {trace[-LONGEST_TRACEBACK:]}" if len(trace) > LONGEST_TRACEBACK else trace
