"""Where DNS leads phones, judged without a server; with one: tests/acceptance/test_deployment.py."""

import json
from typing import Any

import pytest

from agent.config import AgentConfig, PbxEntry
from agent.edges.doctor.domain import checks
from agent.edges.firewall.passage import Passage
from agent.edges.names import Lead, Names, address_of
from agent.endpoint import Address
from runtime.config import parse


class Zone(Names):
    """Names from a table, as a DNS server would have them."""

    def __init__(self, leads: list[Lead], addresses: dict[str, list[str]]) -> None:
        super().__init__()
        self._leads = leads
        self._table = addresses

    def leads(self, domain: str) -> list[Lead]:
        return self._leads

    def addresses(self, host: str) -> list[str]:
        return self._table.get(host, [])


def lead(address: str | None, port: int = 5060, *, transport: str = "udp", priority: int = 10) -> Lead:
    return Lead(f"_sip._{transport}.example.com", transport, priority, "edge.example.com", address, port)


def entry(**sip: Any) -> PbxEntry:
    """A PBX at 192.0.2.20 with an agent at 192.0.2.10, where `sip` says nothing else."""
    settings = {
        "listen": ["udp:192.0.2.10:5060"],
        "pbx": "udp:192.0.2.20:5060",
        "domain": "example.com",
        **sip,
    }
    text = json.dumps({"data": "data", "pbxs": [{"name": "hq", "software": 13, "sip": settings}]})
    return parse(text, "agent.yaml", AgentConfig).pbxs[0]


def states(
    pbx: PbxEntry, *leads: Lead, redirected: tuple[Passage, ...] = (), **addresses: list[str]
) -> list[str]:
    table = {name.replace("_", "."): found for name, found in addresses.items()}
    return [finding.state for finding in checks(pbx, Zone(list(leads), table), redirected)]


def test_without_a_domain_nothing_is_asked() -> None:
    assert states(entry(domain=None), lead("192.0.2.20")) == []


@pytest.mark.parametrize(
    ("found", "state"),
    [
        (lead("192.0.2.10"), "ok"),
        (lead("192.0.2.20"), "failed"),
        (lead("192.0.2.20", 5099), "failed"),
        (lead("192.0.2.10", 5061), "failed"),
        (lead("192.0.2.10", transport="tcp"), "failed"),
        (lead(None), "failed"),
        (lead("203.0.113.9"), "warning"),
    ],
)
def test_the_agent_the_pbx_nobody_and_another_host(found: Lead, state: str) -> None:
    assert states(entry(), found) == [state]


def test_what_stands_by_is_a_warning_and_what_shares_the_load_is_not() -> None:
    first, second = lead("192.0.2.10"), lead("192.0.2.20", priority=20)
    assert states(entry(), first, second) == ["warning"]
    assert states(entry(), second, first) == ["warning"]
    assert states(entry(), first, lead("192.0.2.20")) == ["failed"]


def test_an_agent_everywhere_is_known_by_the_name_and_port_it_advertises() -> None:
    everywhere = entry(listen=["udp:0.0.0.0:5070"], advertise="edge.example.com:5060")
    assert states(everywhere, lead("198.51.100.4"), edge_example_com=["198.51.100.4"]) == ["ok"]
    assert states(everywhere, lead("127.0.0.1", 5070)) == ["ok"], "an address of this host"
    assert states(everywhere, lead("127.0.0.1", 5071)) == ["warning"]


def test_ipv6_may_be_spelt_otherwise() -> None:
    six = entry(listen=["udp:[2001:db8::a]:5060"], pbx="udp:[2001:db8::b]:5060")
    assert states(six, lead("2001:0db8:0::a")) == ["ok"]
    assert states(six, lead("2001:db8:0:0::b")) == ["failed"]


def test_records_that_name_the_pbx_are_right_where_the_redirect_is_loaded() -> None:
    beside = entry(listen=["udp:192.0.2.20:5070"])
    passage = Passage("udp", Address("192.0.2.20", 5060), Address("192.0.2.20", 5070))
    assert states(beside, lead("192.0.2.20")) == ["failed"]
    assert states(beside, lead("192.0.2.20"), redirected=(passage,)) == ["ok"]
    assert states(beside, lead("192.0.2.20", 5070)) == ["ok"]
    assert states(beside, lead("192.0.2.20", transport="tcp"), redirected=(passage,)) == ["failed"]


def test_phones_without_srv_take_the_address_of_the_domain() -> None:
    assert states(entry(), example_com=["192.0.2.10"]) == ["ok"]
    assert states(entry(), example_com=["192.0.2.20"]) == ["failed"]
    assert states(entry()) == ["failed"]
    agent = lead("192.0.2.10")
    assert states(entry(), agent, example_com=["192.0.2.20"]) == ["ok", "warning"]
    assert states(entry(), agent, example_com=["203.0.113.80"]) == ["ok"], "the web server of the company"


def test_a_dns_server_is_an_address() -> None:
    assert address_of("192.0.2.53") == Address("192.0.2.53", 53)
    assert address_of("192.0.2.53:5353") == Address("192.0.2.53", 5353)
    assert address_of("2001:db8::53") == Address("2001:db8::53", 53)
    for wrong in ("dns.example.com", "dns.example.com:53", ""):
        with pytest.raises(ValueError, match="found"):
            address_of(wrong)
