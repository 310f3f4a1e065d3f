"""Logs: one valid JSON object a line, whatever a stranger put into a value."""

import io
import json
import logging
import unicodedata
from collections.abc import Iterator

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from runtime.escaping import escape
from runtime.logs import configure, logger, render_json, render_text, shorten


@pytest.fixture(autouse=True)
def _restore() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


def test_a_line_is_an_event_with_its_facts() -> None:
    stream = io.StringIO()
    configure("info", stream)
    log = logger(pbx="lyon")
    log.info("share.granted", class_="seat", count=3)
    log.debug("share.counted")
    (line,) = stream.getvalue().splitlines()
    facts = json.loads(line)
    assert facts.pop("timestamp").endswith("Z")
    assert facts == {"event": "share.granted", "level": "info", "pbx": "lyon", "class_": "seat", "count": 3}


def test_a_logger_made_before_configure_follows_it() -> None:
    log, stream = logger(), io.StringIO()
    configure("warning", stream)
    log.info("phone.seen")
    log.warning("phone.lost")
    assert [json.loads(line)["event"] for line in stream.getvalue().splitlines()] == ["phone.lost"]


def test_an_exception_stays_on_its_line() -> None:
    stream = io.StringIO()
    configure("info", stream)
    logger().critical("daemon.failed", exc_info=ValueError("first\nsecond"))
    (line,) = stream.getvalue().splitlines()
    assert "ValueError: first\nsecond" in json.loads(line)["exception"]


def test_libraries_log_through_the_same_door() -> None:
    stream = io.StringIO()
    configure("info", stream)
    logging.getLogger("uvicorn.error").warning("100%% of %s", "x")
    logging.getLogger("uvicorn.error").info("not this")
    facts = json.loads(stream.getvalue())
    assert (facts["event"], facts["library"], facts["level"]) == ("100% of x", "uvicorn.error", "warning")


def test_events_are_tested_with_capture_logs() -> None:
    with capture_logs() as lines:
        logger(pbx="lyon").info("share.granted", count=1)
    assert lines == [{"event": "share.granted", "pbx": "lyon", "count": 1, "log_level": "info"}]


@given(st.text())
def test_json_is_one_line_that_reads_back(text: str) -> None:
    line = render_json(None, "info", {"event": "phone.seen", "name": text})
    assert not any(unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") for c in line)
    assert json.loads(line)["name"] == text


@given(st.text())
def test_text_for_a_terminal_is_one_line_without_controls(text: str) -> None:
    line = render_text(None, "info", {"timestamp": "t", "level": "info", "event": "phone.seen", "name": text})
    assert not any(ord(c) < 32 or 127 <= ord(c) < 160 for c in line)
    assert line.startswith("t info     phone.seen name=")


def test_text_for_a_terminal_shows_the_trace_below() -> None:
    event = {
        "timestamp": "t",
        "level": "error",
        "event": "x.failed",
        "why": 'a "b"',
        "exception": "A\nB\x1b[1m",
    }
    assert render_text(None, "error", event) == 't error    x.failed why="a \\"b\\""\n  A\n  B\\u001b[1m'


def test_what_can_steer_a_terminal_is_written_out() -> None:
    assert escape("a\x1b[2Jb\u202ec\x9bd\n") == "a\\u001b[2Jb\\u202ec\\u009bd\\u000a"
    assert escape("Zoë 日本") == "Zoë 日本"


def test_numbers_are_shortened() -> None:
    assert shorten("+33612345678") == "…678"
    assert shorten("201") == "201"
