"""The file of a mapping: what it gives to the parser, and each error at its line."""

from pathlib import Path

import pytest

from agent import call_mapping
from runtime.config import ConfigErrors
from telephony.cdr import mapping
from telephony.cdr.reading import Origin
from telephony.cdr.record import Cdr

ROOT = Path(__file__).parents[2]


def example() -> str:
    """The mapping of docs/call-records.md, which people copy."""
    page = (ROOT / "docs/call-records.md").read_text()
    (found,) = [
        block.partition("```")[0] for block in page.split("```yaml\n") if block.startswith("format: ")
    ]
    return found


def written(folder: Path, text: str) -> Path:
    path = folder / "calls.yaml"
    path.write_text(text)
    return path


def test_the_example_of_the_documentation(tmp_path: Path) -> None:
    read = call_mapping.read(written(tmp_path, example()))
    parser = mapping.parser(Origin("acme/lyon/cdr", "lyon", read.local), read.mapping)
    row = b"A1;outgoing;201;0612345678;23/11/2026 18:54:02;23/11/2026 18:54:05;00:00:03\n"
    (cdr,) = parser.feed(row, 0)
    assert isinstance(cdr, Cdr)
    assert (cdr.setup_ms, cdr.talk_s, cdr.direction) == (1_795_456_442_000, 3, "out")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("time: ", "tiem: ", ":6:1: tiem: unknown key"),
        ("%d/%m/%Y %H:%M:%S", "%d/%m/%Y", ":6:7: time: expected year, month, day, hour and minute"),
        (
            "Europe/Paris",
            "Europe/Lyon",
            ':5:7: zone: no time zone "Europe/Lyon" here; expected a name such as',
        ),
        ("caller: from", "calller: from", "calller: not a field of a call record"),
        ("caller: from", "caller: frm", 'fields.caller: no column "frm"; there are id, way'),
        ("outgoing: out", "outgoing: up", 'values.direction.outgoing: expected out, in, related, found "up"'),
        ("format: csv", "format: xml", ":1:9: format:"),
        ('separator: ";"', 'separator: ";;"', ":3:12: separator:"),
    ],
)
def test_an_error_names_its_line_and_what_is_right(tmp_path: Path, old: str, new: str, said: str) -> None:
    text = example()
    assert text.count(old) == 1
    with pytest.raises(ConfigErrors) as caught:
        call_mapping.read(written(tmp_path, text.replace(old, new)))
    assert said in str(caught.value)


def test_all_errors_at_once(tmp_path: Path) -> None:
    text = example().replace("caller: from", "calller: frm").replace("outgoing: out", "outgoing: up")
    with pytest.raises(ConfigErrors) as caught:
        call_mapping.read(written(tmp_path, text))
    assert [(error.line, error.path) for error in caught.value.errors] == [
        (8, "fields"),
        (10, "fields.calller"),
        (16, "values.direction.outgoing"),
    ]
