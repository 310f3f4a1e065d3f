"""The tables of `redirect` and `aside` as agent.yaml decides them, and what the commands say when it fails.

What the kernel does with them is in tests/acceptance/test_redirect.py and test_aside.py.
"""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from agent.cli import app
from agent.config import AgentConfig, PbxEntry
from agent.edges.firewall import nft, ruleset
from agent.edges.firewall.passage import Passage, Unfit, redirected, set_aside
from agent.endpoint import Address, Endpoint
from runtime.config import parse


def configuration(*listen: str, pbx: str = "udp:192.0.2.20:5060", **sip: Any) -> dict[str, Any]:
    """An agent.yaml with one PBX."""
    more = {"advertise": "192.0.2.20:5070", **sip} if any("0.0.0.0" in each for each in listen) else sip
    entry = {"name": "lyon", "software": 13, "sip": {"listen": list(listen), "pbx": pbx, **more}}
    return {"data": "data", "pbxs": [entry]}


def entry(*listen: str, **sip: Any) -> PbxEntry:
    """The PBX of that agent.yaml."""
    return parse(json.dumps(configuration(*listen, **sip)), "agent.yaml", AgentConfig).pbxs[0]


def written(passages: tuple[Passage, ...] | Unfit) -> list[str]:
    """Passages as people read them; of an Unfit what it says."""
    return [passages.why] if isinstance(passages, Unfit) else [str(passage) for passage in passages]


def test_each_transport_that_the_agent_hears_is_redirected_from_the_port_of_the_pbx() -> None:
    listen = ("udp:192.0.2.20:5070", "udp:192.0.2.20:5072", "tcp:0.0.0.0:5070")
    assert written(redirected(entry(*listen))) == [
        "udp 192.0.2.20:5060 goes to 192.0.2.20:5070",
        "tcp 192.0.2.20:5060 goes to 192.0.2.20:5070",
    ]


def test_a_port_of_the_agents_own_is_not_redirected_to_itself() -> None:
    both = entry("udp:192.0.2.20:5070", "tcp:192.0.2.20:5060")
    assert written(redirected(both)) == ["udp 192.0.2.20:5060 goes to 192.0.2.20:5070"]


def test_ipv6_is_written_as_the_sockets_spell_it() -> None:
    six = entry("udp:[2001:DB8:0::20]:5070", pbx="udp:[2001:db8::20]:5060")
    assert written(redirected(six)) == ["udp [2001:db8::20]:5060 goes to [2001:db8::20]:5070"]
    assert "ip6 daddr 2001:db8::20 udp dport 5060" in ruleset.redirect("lyon", passages(six))


def passages(of: PbxEntry) -> tuple[Passage, ...]:
    found = redirected(of)
    assert not isinstance(found, Unfit)
    return found


@pytest.mark.parametrize("listen", ["udp:0.0.0.0:5070", "udp:192.0.2.10:5070"])
def test_the_redirect_needs_a_port_at_the_address_of_the_pbx(listen: str) -> None:
    (why,) = written(redirected(entry(listen)))
    assert f'sip.listen has "{listen}"' in why
    assert 'as in "udp:192.0.2.20:5070"' in why


def test_aside_brings_every_listener_to_the_pbx_but_those_of_browsers() -> None:
    listen = (
        "udp:0.0.0.0:5060",
        "udp:192.0.2.10:5080",
        "tcp:0.0.0.0:5060",
        "ws:192.0.2.10:8088",
        "udp:[::1]:5060",
    )
    advertise = "192.0.2.10:5060"
    with_browsers = entry(*listen, advertise=advertise)
    assert written(set_aside(with_browsers)) == [
        "udp 0.0.0.0:5060 goes to 192.0.2.20:5060",
        "udp 192.0.2.10:5080 goes to 192.0.2.20:5060",
        "tcp 0.0.0.0:5060 goes to 192.0.2.20:5060",
    ]


def test_tls_goes_to_the_port_that_rfc_3261_gives_it() -> None:
    plain = entry("udp:192.0.2.20:5070")
    listen = (*plain.sip.listen, Endpoint.parse("tls:192.0.2.20:5071"))  # agent.yaml would want certificates
    both = plain.model_copy(update={"sip": plain.sip.model_copy(update={"listen": listen})})
    assert written(redirected(both))[1] == "tcp 192.0.2.20:5061 goes to 192.0.2.20:5071"
    assert written(set_aside(both))[1] == "tcp 192.0.2.20:5071 goes to 192.0.2.20:5061"


addresses = st.builds(Address, st.ip_addresses().map(str), st.integers(1, 65_535))


@given(st.builds(Passage, st.sampled_from(["udp", "tcp"]), addresses, addresses))
def test_a_passage_is_read_back_from_its_comment(passage: Passage) -> None:
    assert Passage.parse(str(passage)) == passage
    assert Passage.parse(f"{passage} too") is None


@given(st.lists(st.ip_addresses(v=4).map(lambda ip: f"{ip}/{int(ip) % 33}"), max_size=20))
def test_exceptions_never_overlap(texts: list[str]) -> None:
    found = ruleset.networks(texts)
    assert all(not a.overlaps(b) for a in found for b in found if a is not b)


def test_what_is_narrowed_stands_before_what_is_redirected() -> None:
    text = ruleset.redirect(
        "lyon", passages(entry("udp:192.0.2.20:5070")), "eth1", ruleset.networks(["::1", "192.0.2.9"])
    )
    lines = [line.strip() for line in text.splitlines()]
    assert "elements = { 192.0.2.9/32 }" in lines, "an IPv6 address means nothing in an IPv4 table"
    order = ['iifname "lo" accept', 'iifname != "eth1" accept', "ip saddr @spared accept"]
    at = lines.index("type filter hook prerouting priority raw; policy accept;")
    assert lines[at + 1 : at + 4] == order


# --- the commands


def command(folder: Path, *words: str, **sip: Any) -> Result:
    """Run `pbx-agent WORDS` over a configuration."""
    path = folder / "agent.yaml"
    listen = sip.pop("listen", "udp:127.0.0.1:5070")
    path.write_text(json.dumps(configuration(listen, **{"pbx": "udp:127.0.0.1:5060", **sip})))
    return CliRunner().invoke(app, [*words, "--config", str(path)])


def test_show_prints_the_rules_to_whoever_asks(tmp_path: Path) -> None:
    shown = command(tmp_path, "redirect", "show", "--except", "198.51.100.0/24")
    assert shown.exit_code == 0
    expected = redirected(entry("udp:127.0.0.1:5070", pbx="udp:127.0.0.1:5060"))
    assert not isinstance(expected, Unfit)
    assert shown.stdout == ruleset.redirect("lyon", expected, spared=ruleset.networks(["198.51.100.0/24"]))
    assert shown.stderr.startswith("lyon: "), "loaded or not, or why nobody knows"


@pytest.mark.parametrize(
    ("words", "sip", "said"),
    [
        (("redirect", "on", "--pbx", "metz"), {}, "no PBX named metz"),
        (("redirect", "on", "--interface", "eth77"), {}, "eth77: this host has no such network interface"),
        (("redirect", "on", "--except", "example.com"), {}, "--except: 'example.com' does not appear to be"),
        (("redirect", "on"), {"pbx": "udp:192.0.2.20:5060"}, "192.0.2.20 is no address of this host"),
        (("redirect", "on"), {"listen": "udp:0.0.0.0:5070"}, 'as in "udp:127.0.0.1:5070"'),
        (("doctor", "--dns", "dns.example.com"), {}, "--dns: found"),
    ],
)
def test_usage_errors_say_what_would_be_right(
    tmp_path: Path, words: tuple[str, ...], sip: dict[str, Any], said: str
) -> None:
    failed = command(tmp_path, *words, **sip)
    assert (failed.exit_code, said in failed.stderr) == (2, True), failed.stderr


@pytest.mark.parametrize("way", ["redirect", "aside"])
@pytest.mark.parametrize("verb", ["on", "off"])
def test_without_nft_it_cannot_be_reached(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str, verb: str
) -> None:
    monkeypatch.setattr(nft, "SEARCH_PATH", str(tmp_path))
    failed = command(tmp_path, way, verb)
    assert (failed.exit_code, "apt install nftables" in failed.stderr) == (3, True)
