"""agent.yaml: the example is valid, and every trap is an error with its place and what would be right."""

from pathlib import Path

import pytest

from agent.config import AgentConfig
from agent.edges.joining import EXAMPLE
from agent.endpoint import Address, Endpoint
from runtime.config import ConfigErrors, load, parse

EXAMPLE_FILE = Path(__file__).parents[2] / "config" / "agent.yaml"
GOOD = """\
data: data
pbxs:
  - name: lyon
    software: 13
    sip:
      listen: ["udp:0.0.0.0:5060"]
      advertise: "192.0.2.10:5060"
      pbx: "udp:192.0.2.20:5060"
"""


def errors(text: str) -> str:
    """Every error of this text, one a line."""
    with pytest.raises(ConfigErrors) as raised:
        parse(text, "agent.yaml", AgentConfig)
    return str(raised.value)


def test_the_shipped_example_is_valid() -> None:
    config = load(EXAMPLE_FILE, AgentConfig)
    assert [row.name for row in config.pbxs[0].objects] == ["carrier", "anna", None, None]


def test_what_join_writes_is_valid() -> None:
    text = EXAMPLE.format(data="/var/lib/x", pbx="lyon", software=12)
    config = parse(text, "agent.yaml", AgentConfig)
    assert (config.pbxs[0].name, config.pbxs[0].software, config.data) == ("lyon", 12, Path("/var/lib/x"))


def test_objects_of_the_pbx_that_this_one_stands_by_for() -> None:
    rows = [("user, home: hq", "user@hq"), ("user", "user"), ("pass, home: hq", "pass")]
    for row, kind in rows:
        config = parse(f"{GOOD}    objects: [{{kind: {row}, aor: ['2*']}}]\n", "agent.yaml", AgentConfig)
        assert config.pbxs[0].objects[0].whole_kind == kind
    text = f"{GOOD}    objects: [{{kind: user, home: lyon, aor: ['2*']}}]\n"
    assert 'pbxs[0].objects[0].home: "lyon" is this PBX; leave home out' in errors(text)


def test_defaults_and_relative_paths() -> None:
    config = parse(GOOD, "/etc/pbx-agent/agent.yaml", AgentConfig)
    pbx = config.pbxs[0]
    assert config.data == Path("/etc/pbx-agent/data")
    assert (pbx.identity, pbx.unknown, pbx.objects, config.policy.away) == ("user", "user", (), "refuse")


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ('["udp:0.0.0.0:5060"]', '["sctp:0.0.0.0:5060"]', "6:16: pbxs[0].sip.listen[0]: "
         'found "sctp:0.0.0.0:5060"; write TRANSPORT:ADDRESS:PORT with one of udp, tcp'),
        ('["udp:0.0.0.0:5060"]', '["tcp:0.0.0.0:5060"]', "6:15: pbxs[0].sip.listen: "
         "found no udp: listener with an IPv4 address, and the PBX is at udp:192.0.2.20:5060; add one"),
        ('"udp:192.0.2.20:5060"', '"tcp:192.0.2.20:5060"', "found no tcp: listener with an IPv4 address"),
        ('["udp:0.0.0.0:5060"]', '["udp:0.0.0.0:5060", "udp:[::]:5060"]', "6:36: pbxs[0].sip.listen[1]: "
         "found udp:[::]:5060, and advertise is no IPv6 address; write the address that phones use"),
        ('"192.0.2.10:5060"', '"0.0.0.0:5060"', "7:18: pbxs[0].sip.advertise: "
         "found 0.0.0.0:5060, which nobody can send to; write the ADDRESS:PORT where the PBX"),
        ('"192.0.2.10:5060"', '"[::]:5060"', "sip.advertise: found [::]:5060, which nobody can send to"),
        ('["udp:0.0.0.0:5060"]', "[5060]", 'expected text, found the number 5060; write "5060"'),
        ('["udp:0.0.0.0:5060"]', '["0.0.0.0:5060"]', "write TRANSPORT:ADDRESS:PORT"),
        ('["udp:0.0.0.0:5060"]', '["udp:0.0.0.0:65536"]', "write HOST:PORT"),
        ('["udp:0.0.0.0:5060"]', '["udp:2001:db8::1:5060"]', "write an IPv6 address in brackets"),
        ('["udp:0.0.0.0:5060"]', '["udp:[192.0.2.1]:5060"]', "only an IPv6 address stands in brackets"),
        ('["udp:0.0.0.0:5060"]', '["udp:[::]:5060"]', "found no udp: listener with an IPv4 address"),
        ('["udp:0.0.0.0:5060"]', '["udp:0.0.0.0:5060", "udp:0.0.0.0:5060"]', "is listened on twice"),
        ('["udp:0.0.0.0:5060"]', "[]", "found an empty list"),
        ("      advertise:", "      country: NO\n      advertise:", '(YAML reads NO so); write "NO"'),
        ("      advertise:", "      country: fr\n      advertise:", "7:16: pbxs[0].sip.country: "
         'found "fr"; leave it out and list the numbers in emergency, or write one of AD AE AL'),
        ("      advertise:", "      trunk_prefix: 0\n      advertise:", 'write "0"'),
        ("      advertise:", '      emergency: ["1-2"]\n      advertise:', "pbxs[0].sip.emergency[0]: "
         'found "1-2"; write the 2 to 15 keys that are dialled, without separators'),
        ('"udp:192.0.2.20:5060"', '"udp:pbx.example:5060"', "write an IP address instead of the name"),
        ('"udp:192.0.2.20:5060"', "192.0.2.20:5060", "8:12: pbxs[0].sip.pbx: "),
        ('advertise: "192.0.2.10:5060"', "advertise: 12:30:45", "advertise"),
        ('      advertise: "192.0.2.10:5060"\n', "", "sip: advertise is missing; write the ADDRESS:PORT"),
        ('"192.0.2.10:5060"', '"bad_host!:5060"', "is neither an IP address nor a host name"),
        ("    sip:\n", "    sip:\n      domain: 192.0.2.1\n", "write the domain that phones register with"),
        ("    sip:\n", "    sip:\n      domain: sip:example.com\n", 'sip.domain: found "sip:example.com"'),
        ("software: 13", 'software: "13"', "expected a whole number"),
        ("software: 13", "software: 0", "software"),
        ("name: lyon", "name: NO", "expected text, found false"),
        ("name: lyon", "name: Lyon/1", "name"),
        ("name: lyon", "nmae: lyon", 'unknown key; did you mean "name"?'),
        ("    software: 13\n", "    software: 13\n    software: 12\n", "set twice, first at line 4"),
        ("data: data", "data: data\npolicy: {away: maybe}", "expected refuse or report"),
    ],
)  # fmt: skip
def test_traps(old: str, new: str, expected: str) -> None:
    assert old in GOOD
    assert expected in errors(GOOD.replace(old, new, 1))


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ("{}\n      nat_keep_alive_s: -1", "sip.nat_keep_alive_s: expected at least 0"),
        ("{messages_per_s: 0}", "sip.limits.messages_per_s: expected at least 1"),
        ('{burst: "9"}', "sip.limits.burst: expected a whole number"),
        ("{transactions: 9}", "sip.limits.transactions: expected at least 100"),
        ("{mesages_per_s: 9}", 'unknown key; did you mean "messages_per_s"?'),
        ('{trusted: ["10.0.0.1/8"]}', 'trusted[0]: found "10.0.0.1/8"; the network is written "10.0.0.0/8"'),
        ('{trusted: ["phones.example"]}', 'write an address or a network, for example "192.0.2.0/24"'),
        ('{trusted: "10.0.0.0/8"}', "expected a list"),
        ("{trusted: [10]}", 'expected text, found the number 10; write "10"'),
    ],
)  # fmt: skip
def test_traps_of_limits(limits: str, expected: str) -> None:
    assert expected in errors(GOOD + f"      limits: {limits}\n")


ASTERISK = '{manager: "192.0.2.20:5038", user: agent, secret: secret'


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ('dialplan: "127.0.0.1"}', "write HOST:PORT"),
        ('dialplan: "pbx.example:4573"}', "asterisk.dialplan: "
         'found "pbx.example:4573"; write the IP address of this host, mostly 127.0.0.1'),
        ('dialplan: "192.0.2.10:4573", manager: "pbx.example:5038"}', "asterisk.manager"),
        ("resync_s: 1}", "asterisk.resync_s: expected at least 5"),
        ("evict: maybe}", "asterisk.evict: expected true or false"),
        ("tls: {key: x}}", "asterisk.tls.key: unknown key"),
        ('user: "a]b"}', "asterisk.user"),
    ],
)  # fmt: skip
def test_traps_of_asterisk(more: str, expected: str) -> None:
    kept = ", ".join(part for part in ASTERISK[1:].split(", ") if part.partition(":")[0] not in more)
    assert expected in errors(f"{GOOD}    asterisk: {{{kept}, {more}\n")


def test_the_secret_of_asterisk_must_be_there(tmp_path: Path) -> None:
    file = tmp_path / "agent.yaml"
    file.write_text(f"{GOOD}    asterisk: {ASTERISK}}}\n")
    with pytest.raises(ConfigErrors, match="secret cannot be read; write the secret"):
        load(file, AgentConfig, files=True)
    (tmp_path / "secret").write_text("\n")
    with pytest.raises(ConfigErrors, match="secret is empty; write the secret"):
        load(file, AgentConfig, files=True)
    load(file, AgentConfig)
    (tmp_path / "secret").write_text("s")
    asterisk = load(file, AgentConfig, files=True).pbxs[0].asterisk
    assert asterisk is not None
    assert (asterisk.resync_s, asterisk.dialplan, asterisk.evict) == (60, None, True)


def test_limits_are_on_by_default() -> None:
    limits = parse(GOOD, "agent.yaml", AgentConfig).pbxs[0].sip.limits
    assert (limits.messages_per_s, limits.burst, limits.transactions, limits.trusted) == (
        1_000,
        10_000,
        10_000,
        (),
    )
    text = GOOD + '      limits: {trusted: ["198.51.100.7", "2001:db8::/32"]}\n'
    trusted = parse(text, "agent.yaml", AgentConfig).pbxs[0].sip.limits.trusted
    assert [str(network) for network in trusted] == ["198.51.100.7/32", "2001:db8::/32"]


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ("[{kind: user, aor: [201]}]", 'expected text, found the number 201; write "201"'),
        ("[{kind: user, aor: [0612345670]}]", "found the number 103402424"),
        ('[{kind: user, aor: ["+336"]}, {kind: user, aor: [+336]}]', "objects[1].aor[0]"),
        ("[{kind: user, aor: []}]", "found an empty list"),
        ("[{kind: User, aor: [a]}]", "kind"),
        ("[{aor: [a]}]", "kind: missing"),
        ("[{kind: user, name: a, aor: [a]}, {kind: trunk, name: a, aor: [b]}]",
         "objects[1].name: \"a\" is the name of another row too"),
    ],
)  # fmt: skip
def test_traps_of_objects(rows: str, expected: str) -> None:
    assert expected in errors(GOOD + f"    objects: {rows}\n")


def test_all_errors_at_once() -> None:
    text = GOOD.replace("udp:0", "tcp:0").replace("software: 13", "software: x") + "    unknwon: user\n"
    assert len(errors(text).splitlines()) == 3


def test_one_name_and_one_listener_for_each_pbx() -> None:
    twice = GOOD + GOOD.split("pbxs:\n")[1]
    assert 'pbxs[1].name: "lyon" is the name of another entry too' in errors(twice)
    other = GOOD + GOOD.split("pbxs:\n")[1].replace("lyon", "metz")
    assert "pbxs[1].sip.listen[0]" in errors(other)


def test_addresses_round_trip() -> None:
    for text in ("192.0.2.10:5060", "[2001:db8::1]:5061", "pbx.example:5060"):
        assert str(Address.parse(text)) == text
    assert str(Endpoint.parse("udp:[::]:5060")) == "udp:[::]:5060"


def test_each_listener_advertises_an_address_that_reaches_it() -> None:
    text = GOOD.replace(
        '["udp:0.0.0.0:5060"]', '["udp:0.0.0.0:5060", "udp:0.0.0.0:5070", "udp:[2001:db8::1]:5060"]'
    )
    sip = parse(text, "agent.yaml", AgentConfig).pbxs[0].sip
    assert [str(sip.advertised(endpoint)) for endpoint in sip.listen] == [
        "192.0.2.10:5060",
        "192.0.2.10:5070",
        "[2001:db8::1]:5060",
    ]
