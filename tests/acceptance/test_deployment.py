"""The three ways in front of a PBX, and back (docs/deployment.md): DNS, outbound proxy, redirect.

Real programs in every test: licence-master, pbx-agent, Kamailio, baresip phones on a host of their own, nft,
dnsmasq. test_redirect.py and test_aside.py have the single packets.
"""

import json
import re
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.house import House
from tests.acceptance.peers.baresip import Baresip
from tests.acceptance.peers.capture import Capture, Datagram
from tests.acceptance.peers.dnsmasq import ZONE, Dnsmasq
from tests.acceptance.peers.host import Host
from tests.acceptance.peers.installed import own_command
from tests.acceptance.peers.network import Network, program
from tests.acceptance.peers.processes import Command
from tests.acceptance.peers.typed import ended, typed
from tests.acceptance.peers.waiting import until
from tests.acceptance.site import SIP, Site

pytestmark = pytest.mark.real("kamailio", "baresip", "nft", "dnsmasq")

BESIDE = 5070  # the agent's port on the PBX's own host
FAILOVER_S = 60.0


@dataclass
class Deployed:
    """A site whose agent runs at `ground` by this agent.yaml, and the host of its phones."""

    site: Site
    config: Path
    ground: Network
    phones: Host

    def command(self, *words: str) -> str:
        """Run `pbx-agent WORDS` on the agent's host; what it printed."""
        return typed(["pbx-agent", *words, "--config", str(self.config)], self.ground)

    def refused(self, *words: str) -> tuple[int, str]:
        """The exit code and the complaint of `pbx-agent WORDS`, which must fail."""
        with pytest.raises(subprocess.CalledProcessError) as failed:
            self.command(*words)
        return failed.value.returncode, failed.value.stderr

    def doctor(self, *words: str) -> dict[str, list[tuple[str, str]]]:
        """State and detail of each check of `pbx-agent doctor`."""
        done = ended(["pbx-agent", "doctor", "--json", *words, "--config", str(self.config)], self.ground)
        assert done.returncode in (0, 1), done.stderr
        found: dict[str, list[tuple[str, str]]] = {}
        for check in json.loads(done.stdout)["checks"]:
            found.setdefault(check["check"], []).append((check["state"], check["detail"]))
        assert done.returncode == int("failed" in {state for rows in found.values() for state, _ in rows})
        return found

    def phone(self, user: str, **options: Any) -> Baresip:
        """A baresip phone on the phones' host, started; by default it knows the PBX alone."""
        settings = {"domain": self.site.domain, **options}
        return self.phones.start(Baresip(self.phones, user, **settings))

    def edit(self, **sip: Any) -> None:
        """Change agent.yaml as an administrator would."""
        whole = json.loads(self.config.read_text())
        whole["pbxs"][0]["sip"].update(sip)
        self.config.write_text(json.dumps(whole))

    def bound(self, user: str) -> set[bool]:
        """For each contact of this user at the PBX: was it registered through the agent?"""
        host, port = self.site.guard
        contacts = self.site.registrar.contacts().get(user, ())
        return {f"@{host}:{port};" in contact["Path"] for contact in contacts}

    def assert_bound(self, *users: str, through: bool) -> None:
        """The PBX has contacts of these users, all registered through the agent, or all without it."""
        for user in users:
            assert self.bound(user) == {through}, self.site.registrar.contacts()


def deploy(network: Network, *, beside: bool, **options: Any) -> Deployed:
    """A house of one site; the agent runs beside its PBX at port 5070, or on a host of its own."""
    house = House(network, {"PBX-Port13": 5}, {"hq": "gateway"}).build()
    site = house.site("hq", start=False, **options)
    ground = network if beside else network.start(Host(network, "edge", 2))
    host, port = (site.domain, BESIDE) if beside else (ground.address(), SIP)
    config = site.agent.folder / "agent.yaml"
    words = [own_command("pbx-agent"), "run", "--config", str(config)]
    agent = Command(ground, "agent-hq", words, ready="agent.ready")
    site = replace(site, agent=agent, guard=(host, port))
    deployed = Deployed(site, config, ground, Host(network, "phones", 1))
    deployed.edit(listen=[f"udp:{host}:{port}"], advertise=f"{host}:{port}")
    network.start(agent)
    network.start(deployed.phones)  # ended before the agent: the phones un-register
    return deployed


def again(phone: Baresip) -> str:
    """Switch a phone off and on; what came of its registration."""
    phone.end()
    phone.start()
    return phone.register().text


def assert_call(caller: Baresip, callee: Baresip) -> None:
    """One calls, the other answers and hangs up."""
    seen = len(caller.events), len(callee.events)
    caller.call(callee.aor)
    caller.wait_event("CALL_ESTABLISHED", after=seen[0])
    callee.wait_event("CALL_ESTABLISHED", after=seen[1])
    callee.hang_up()
    caller.wait_event("CALL_CLOSED", after=seen[0])


def branch(datagram: Datagram) -> bytes:
    """The branch of the top Via: what an answer has in common with its request."""
    found = re.search(
        rb"^(?:Via|v)\s*:[^\r]*?;branch=([^;,\s]+)", datagram.data, re.MULTILINE | re.IGNORECASE
    )
    assert found, datagram.first_line
    return found[1]


def assert_answered_from_where_it_was_sent(capture: Capture, phone: Baresip) -> None:
    """Every answer this phone got came from the very address and port that it had sent its request to."""
    sent = {
        branch(got): got.destination
        for got in capture.datagrams(source=(phone.host, SIP))
        if got.data.strip() and not got.data.startswith(b"SIP/2.0 ")
    }
    heard = capture.datagrams(destination=(phone.host, SIP))
    answers = [got for got in heard if got.data.startswith(b"SIP/2.0 ")]
    assert len(answers) > 3
    for answer in answers:
        assert answer.source == sent[branch(answer)], answer.first_line


def test_the_redirect_and_its_way_back(network: Network) -> None:
    """Phones that know the PBX alone, and know nothing of it all."""
    deployed = deploy(network, beside=True)
    site, pbx = deployed.site, (deployed.site.domain, SIP)
    anna, bert = deployed.phone("1001"), deployed.phone("1002")
    assert anna.register().text == bert.register().text == "200 OK"
    deployed.assert_bound("1001", through=False)
    assert deployed.doctor()["redirect"][0][0] == "failed"

    assert "udp" in deployed.command("redirect", "on")
    assert_call(anna, bert)  # the PBX still reaches both without the agent
    with Capture(deployed.phones) as capture:
        assert again(anna) == again(bert) == "200 OK"
        deployed.assert_bound("1001", "1002", through=True)
        for caller, callee in ((anna, bert), (bert, anna)):
            assert_call(caller, callee)
        for phone in (anna, bert):
            assert_answered_from_where_it_was_sent(capture, phone)
        invites = [got for got in capture.datagrams() if got.first_line.startswith("INVITE ")]
        assert {got.destination for got in invites if got.source == (anna.host, SIP)} == {pbx}
        assert {got.source for got in invites if got.destination == (anna.host, SIP)} == {pbx}
    found = deployed.doctor()
    assert found["redirect"][0] == ("ok", f"udp {pbx[0]}:{SIP} goes to {pbx[0]}:{BESIDE}")
    assert found["redirect"][1][0] == "warning", "this Kamailio accepts TCP, and the agent does not"
    assert (found["around"][0][0], found["phones"][0][0]) == ("ok", "ok")

    site.agent.kill()
    deployed.command("redirect", "off")
    assert again(anna) == again(bert) == "200 OK"
    deployed.assert_bound("1001", through=False)
    assert_call(anna, bert)

    site.agent.start()
    deployed.command("redirect", "on")
    assert again(anna) == again(bert) == "200 OK"
    deployed.assert_bound("1001", through=True)
    assert_call(bert, anna)


def test_a_call_outlives_the_redirect_and_its_end(network: Network) -> None:
    """Whoever hangs up, at both ends it is over."""
    deployed = deploy(network, beside=True)
    anna, bert = deployed.phone("1001"), deployed.phone("1002")
    assert anna.register().text == bert.register().text == "200 OK"
    for ends, other in ((anna, bert), (bert, anna)):
        seen = len(other.events)
        anna.call(bert.aor)
        for phone in (anna, bert):
            phone.wait_event("CALL_ESTABLISHED")
        deployed.command("redirect", "on")
        ends.hang_up()
        other.wait_event("CALL_CLOSED", after=seen)
        assert again(anna) == again(bert) == "200 OK"
        deployed.assert_bound("1001", "1002", through=True)
        seen = len(other.events)
        anna.call(bert.aor)
        other.wait_event("CALL_ESTABLISHED", after=seen)
        deployed.command("redirect", "off")
        ends.hang_up()
        other.wait_event("CALL_CLOSED", after=seen)
        assert again(anna) == again(bert) == "200 OK"
        deployed.assert_bound("1001", "1002", through=False)


def test_a_phone_on_tcp_is_redirected_and_let_go(network: Network) -> None:
    """Switched off meanwhile: what happens to a connection under way is in test_redirect.py."""
    deployed = deploy(network, beside=True)
    site, host = deployed.site, deployed.site.domain
    site.agent.end()
    deployed.edit(listen=[f"udp:{host}:{BESIDE}", f"tcp:{host}:{BESIDE}"])
    site.agent.start()
    anna, bert = deployed.phone("1001", transport="tcp"), deployed.phone("1002")
    assert bert.register().text == "200 OK"
    deployed.command("redirect", "on")
    assert [state for state, _ in deployed.doctor()["redirect"]] == ["ok"]
    assert anna.register().text == again(bert) == "200 OK"
    deployed.assert_bound("1001", "1002", through=True)
    for caller, callee in ((anna, bert), (bert, anna)):
        assert_call(caller, callee)
    anna.end()
    site.agent.kill()
    deployed.command("redirect", "off")
    anna.start()
    assert anna.register().text == "200 OK"
    deployed.assert_bound("1001", through=False)


def test_a_phone_that_its_pbx_pings_comes_through_the_redirect(network: Network) -> None:
    """With a firewall that tracks connections, where each OPTIONS of the PBX opens one to the phone."""
    deployed = deploy(network, beside=True)
    rules = network.folder / "firewall.nft"
    rules.write_text(
        "table inet filter {\n chain input {\n  type filter hook input priority filter;"
        " ct state established accept\n }\n}\n"
    )
    network.run([program("nft"), "-f", str(rules)])
    phone = deployed.phone("1001")
    assert phone.register().text == "200 OK"
    deployed.command("redirect", "on")
    ping = [
        "OPTIONS",
        f"sip:1001@{phone.host}:{SIP}",
        f"sip:{phone.host}:{SIP}",
        ".",
        "From: <sip:pbx@pbx.test>\r\nTo: <sip:1001@pbx.test>\r\n",
    ]
    answer = deployed.site.registrar.rpc("tm.t_uac_wait_block", *ping)
    assert answer == {"code": 200, "text": "OK"}
    assert again(phone) == "200 OK"
    deployed.assert_bound("1001", through=True)


def test_doctor_sees_a_redirect_that_agent_yaml_has_left_behind(network: Network) -> None:
    deployed = deploy(network, beside=True)
    deployed.command("redirect", "on", "--except", "198.51.100.0/24")
    state, detail = deployed.doctor()["redirect"][0]
    assert (state, detail.endswith("except from 198.51.100.0/24")) == ("ok", True)
    deployed.edit(listen=[f"udp:{deployed.site.domain}:5071"], advertise=f"{deployed.site.domain}:5071")
    state, detail = deployed.doctor()["redirect"][0]
    assert (
        state,
        f"loaded is udp {deployed.site.domain}:5060 goes to {deployed.site.domain}:5070" in detail,
    ) == ("failed", True)
    deployed.command("redirect", "on")
    state, detail = deployed.doctor()["redirect"][0]
    assert (state, detail.endswith("5071, except from 198.51.100.0/24")) == ("ok", True)
    deployed.edit(listen=["udp:0.0.0.0:5070"])
    assert deployed.doctor()["redirect"][0][0] == "failed"
    code, said = deployed.refused("redirect", "on")
    assert (code, f'"udp:{deployed.site.domain}:5070"' in said) == (2, True)


@pytest.mark.parametrize("way", ["dns", "proxy"])
def test_dns_and_outbound_proxy_and_their_way_back(network: Network, way: str) -> None:
    """`aside on` on the agent's host: phones that know the dead agent alone register at the PBX."""
    deployed = deploy(network, beside=False)
    site, (guard, _) = deployed.site, deployed.site.guard
    if way == "dns":
        hosts = {"": "198.51.100.80", "agent": guard}
        dns = deployed.phones.start(Dnsmasq(network, hosts, [("_sip._udp", "agent", SIP, 10)]))
        deployed.edit(domain=ZONE)
        know: dict[str, Any] = {"domain": ZONE, "dns": dns.host}
    else:
        know = {"proxy": f"{guard}:{SIP}"}
    anna, bert = deployed.phone("1001", **know), deployed.phone("1002", **know)
    assert anna.register().text == bert.register().text == "200 OK"
    deployed.assert_bound("1001", through=True)
    for caller, callee in ((anna, bert), (bert, anna)):
        assert_call(caller, callee)
    found = deployed.doctor(*(["--dns", dns.host] if way == "dns" else []))
    assert (found["phones"], "redirect" in found, "aside" in found) == (
        [("ok", "2 registered through the agent")],
        False,
        False,
    )
    assert found["around"][0][0] == "unknown"
    if way == "dns":
        assert found["domain"] == [("ok", f"_sip._udp.{ZONE}: udp {guard}:{SIP} (the agent)")]

    site.agent.kill()
    deployed.command("aside", "on")
    assert again(anna) == again(bert) == "200 OK"
    deployed.assert_bound("1001", "1002", through=False)
    assert_call(anna, bert)
    assert deployed.doctor()["aside"][0][0] == "failed"

    site.agent.start()
    deployed.command("aside", "off")
    assert again(anna) == again(bert) == "200 OK"
    deployed.assert_bound("1001", through=True)
    assert_call(bert, anna)
    assert "aside" not in deployed.doctor()


def test_a_second_srv_record_is_a_way_back_that_phones_find_themselves(network: Network) -> None:
    """What it costs: doctor warns, because enforcement ends where the agent does not answer.

    A phone tries the next server 32 s after it asked the first (RFC 3261 timer F), for each request anew;
    this PBX challenges nobody, so that there is one.
    """
    deployed = deploy(network, beside=False, digest=False)
    site = deployed.site
    hosts = {"agent": site.guard[0], "pbx": site.domain}
    services = [("_sip._udp", "agent", SIP, 10), ("_sip._udp", "pbx", SIP, 20)]
    dns = deployed.phones.start(Dnsmasq(network, hosts, services))
    deployed.edit(domain=ZONE)
    phone = deployed.phone("1001", domain=ZONE, dns=dns.host, expires_s=5)
    assert phone.register().text == "200 OK"
    deployed.assert_bound("1001", through=True)
    (found,) = deployed.doctor("--dns", dns.host)["domain"]
    assert (found[0], f"then udp {site.domain}:{SIP} (the PBX)" in found[1]) == ("warning", True)
    site.agent.kill()
    until(lambda: deployed.bound("1001") == {False}, FAILOVER_S, "the phone is at the PBX")
    site.agent.start()
    until(lambda: deployed.bound("1001") == {True}, what="the phone is at the agent again")


def test_doctor_names_records_that_lead_past_the_agent(network: Network) -> None:
    deployed = deploy(network, beside=False)
    guard, pbx = deployed.site.guard[0], deployed.site.domain
    hosts = {"": pbx, "agent": guard, "pbx": pbx, "else": "198.51.100.7"}
    deployed.edit(domain=ZONE)

    def verdicts(
        *services: tuple[str, str, int, int], named: dict[str, str] = hosts, options: tuple[str, ...] = ()
    ) -> list[str]:
        with Dnsmasq(network, named, services, options) as dns:
            return [state for state, _ in deployed.doctor("--dns", dns.host)["domain"]]

    agent = ("_sip._udp", "agent", SIP, 10)
    without_zone = {name: address for name, address in hosts.items() if name}
    assert verdicts(agent, named=without_zone) == ["ok"]
    assert verdicts(agent) == ["ok", "warning"], "the zone's own address is the PBX's"
    assert verdicts(("_sip._udp", "pbx", SIP, 10), named=without_zone) == ["failed"]
    assert verdicts(agent, ("_sip._udp", "pbx", SIP, 10), named=without_zone) == ["failed"], "half of them"
    assert verdicts(agent, ("_sip._tcp", "agent", SIP, 10), named=without_zone) == ["ok", "failed"], (
        "no tcp: here"
    )
    assert verdicts(("_sip._udp", "else", SIP, 10), named=without_zone) == ["warning"]
    assert verdicts(("_sip._udp", "agent", 5099, 10), named=without_zone) == ["failed"], (
        "nobody listens there"
    )
    assert verdicts(("_sip._udp", "gone", SIP, 10), named=without_zone) == ["failed"]
    assert verdicts() == ["failed"], "phones without SRV go to the PBX"
    assert verdicts(named=without_zone) == ["failed"]
    naptr = f"--naptr-record={ZONE},10,10,s,SIP+D2U,,_odd._udp.{ZONE}"
    odd = ("_odd._udp", "pbx", SIP, 10)
    assert verdicts(agent, odd, named=without_zone, options=(naptr,)) == ["ok", "failed"]
    (silent,) = deployed.doctor("--dns", f"{network.address()}:5353")["domain"]
    assert (silent[0], "did not say" in silent[1]) == ("unknown", True)


def test_without_nft_or_its_permission_the_message_says_what_to_do(network: Network) -> None:
    deployed = deploy(network, beside=True)
    config = ["--config", str(deployed.config)]

    def refused(*before: str, words: tuple[str, ...]) -> tuple[int, str]:
        line = network.inside([*before, own_command("pbx-agent"), *words, *config])
        done = subprocess.run(line, capture_output=True, text=True, check=False)
        return done.returncode, done.stderr

    powerless = ("setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin")
    for words in (("redirect", "on"), ("redirect", "off"), ("aside", "on"), ("aside", "off")):
        code, said = refused(*powerless, words=words)
        assert (code, "as root" in said) == (1, True), said
    assert network.run([program("nft"), "list", "tables"]) == ""
    found = deployed.doctor()
    assert found["redirect"][0][0] == "failed"
