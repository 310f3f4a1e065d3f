"""`cdrs` of agent.yaml: what is right is read, and every trap is an error with its place."""

import re
from pathlib import Path

import pytest

from agent.cdrs import Cdrs, CdrSource
from agent.config import AgentConfig
from agent.service.cdr.dialect import MAKERS, parser
from runtime.config import ConfigErrors, parse
from runtime.push import Push
from telephony.cdr.reading import Origin

ROOT = Path(__file__).parents[3]
HEAD = """\
data: data
pbxs:
  - name: lyon
    software: 13
    sip: {listen: ["udp:192.0.2.10:5060"], pbx: "udp:192.0.2.20:5060"}
    cdrs:
      sources:
        - {name: cdr, dialect: asterisk_custom, file: Custom.csv}
"""


def errors(text: str, *, files: bool = False) -> str:
    """Every error of this text, one a line."""
    with pytest.raises(ConfigErrors) as raised:
        parse(text, "agent.yaml", AgentConfig, files=files)
    return str(raised.value)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("name: b, dialect: cucm", "there is no way for records to come; write one of http, tcp_listen"),
        (
            'name: b, dialect: cucm, http: "0.0.0.0:80", file: f',
            "agent.yaml:9:62: pbxs[0].cdrs.sources[1].file: found http beside it",
        ),
        ("name: cdr, dialect: cucm, file: f", 'sources[1].name: "cdr" is the name of another source too'),
        ("name: b, dialect: cucm, file: f, pattern: x", "pattern: there is no directory beside it"),
        ("name: b, dialect: asterisk_ami_cdr, file: f", 'dialect: found file and "asterisk_ami_cdr"'),
        ("name: b, dialect: asterisk_ami_cdr, ami: true", "ami: there is no asterisk beside cdrs"),
        ("name: b, dialect: kamailio_json, evapi: true", "evapi: there is no kamailio with evapi beside"),
        ("name: b, dialect: kamailio_log, evapi: true", "evapi brings kamailio_json"),
        ("name: b, dialect: cucm, file: f, columns: [a]", 'columns: "cucm" has none; only asterisk_custom'),
        ("name: b, dialect: threecx, file: f", "pbxs[0].cdrs.sources[1]: without time-start"),
        ("name: b, dialect: mapping, file: f", "mapping is missing; name the file"),
        ("name: b, dialect: cucm, file: f, zone: Europe/Lyon", 'zone: no time zone "Europe/Lyon" here'),
        ('name: b, dialect: cucm, http: "pbx:80"', 'http: found "pbx:80"; write an IP address of this host'),
        ('name: b, dialect: cucm, syslog: "tls:0.0.0.0:6514"', "syslog comes by udp: or tcp:"),
        ("name: b, dialect: yeastar, file: f", "dialect: "),
        ("name: b, dialect: cucm, file: f, silent_after_s: 5", "silent_after_s: "),
    ],
)  # fmt: skip
def test_a_wrong_source_says_what_would_be_right(source: str, expected: str) -> None:
    assert expected in errors(f"{HEAD}        - {{{source}}}\n")


def test_a_mapping_that_cannot_be_read_is_found_before_the_start(tmp_path: Path) -> None:
    file = tmp_path / "map.yaml"
    file.write_text("format: csv\n")
    text = f"{HEAD}        - {{name: b, dialect: mapping, file: f, mapping: {file}}}\n"
    assert f"mapping: {file}:1:1: " in errors(text, files=True)


def test_push_goes_one_way() -> None:
    assert "write either directory or url" in errors(f"{HEAD}      push: {{format: csv}}\n")


def test_every_dialect_has_a_reader() -> None:
    options = {
        "threecx": {"columns": ("time-start", "time-answered", "time-end", "from-no", "to-no", "callid")}
    }
    origin = Origin("acme/lyon/cdr", "lyon")
    for name in MAKERS.keys() - {"mapping"}:
        way = {"ami": True} if "ami" in name else {"file": Path("f")}
        source = CdrSource.model_validate({"name": "a", "dialect": name, **way, **options.get(name, {})})
        assert parser(source, origin).unfinished == 0


def test_the_page_names_every_key_and_dialect() -> None:
    page = (ROOT / "docs/call-records.md").read_text()
    keys = {*CdrSource.model_fields, *Cdrs.model_fields, *Push.model_fields, *MAKERS}
    assert [key for key in sorted(keys) if not re.search(rf"\b{key}\b", page)] == []
