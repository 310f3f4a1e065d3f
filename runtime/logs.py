"""Logs: one JSON object a line on stderr, or key=value text on a terminal; control characters escaped.

A line is an event `noun.verb_past` with its facts as keys. Never log secrets; shorten numbers at info level.
"""

import json
import logging
import re
import sys
from typing import TextIO

import structlog
from structlog.typing import EventDict, FilteringBoundLogger, WrappedLogger

from runtime.escaping import escape

LONGEST_TRACEBACK = 8_000
_JSON = json.JSONEncoder(default=str, ensure_ascii=False)


def configure(level: str = "info", stream: TextIO | None = None) -> None:
    """Send all logs, also those of the libraries, to the stream (default stderr)."""
    stream = stream or sys.stderr
    number = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            _shorten_traceback,
            render_text if stream.isatty() else render_json,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(file=stream),
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(handlers=[_Bridge()], level=max(number, logging.WARNING), force=True)


def logger(**facts: object) -> FilteringBoundLogger:
    """A logger that adds these facts to each of its lines."""
    bound: FilteringBoundLogger = structlog.get_logger(**facts)
    return bound


def shorten(number: str) -> str:
    """A telephone number as it may stand in a log at info level: its last three digits."""
    return f"…{number[-3:]}" if len(number) > 4 else number


def _shorten_traceback(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """The end of a traceback says where it happened; a message inside may be as long as it likes."""
    text = event.get("exception", "")
    if len(text) > LONGEST_TRACEBACK:
        event["exception"] = f"… {text[-LONGEST_TRACEBACK:]}"
    return event


def render_json(_logger: WrappedLogger, _method: str, event: EventDict) -> str:
    """One JSON object on one line, valid whatever the values hold."""
    return escape(_JSON.encode(event))


def render_text(_logger: WrappedLogger, _method: str, event: EventDict) -> str:
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


class _Bridge(logging.Handler):
    """Hands the log records of libraries to structlog."""

    def emit(self, record: logging.LogRecord) -> None:
        facts = {"exc_info": record.exc_info} if record.exc_info else {}
        level = min(max(record.levelno, logging.DEBUG), logging.CRITICAL) // 10 * 10
        logger().log(level, record.getMessage(), library=record.name, **facts)
