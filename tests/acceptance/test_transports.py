"""Phones and PBX over UDP, TCP and TLS, over IPv4 and IPv6: register, refresh, call, be called, end.

Real programs in every test: licence-master, pbx-agent, Kamailio, baresip, SIPp, JsSIP.
"""

import re
from collections.abc import Callable

import pytest

from tests.acceptance.house import House
from tests.acceptance.peers.baresip import Baresip
from tests.acceptance.peers.jssip import Jssip, url
from tests.acceptance.peers.network import Network, written
from tests.acceptance.peers.sipp import Counts, users
from tests.acceptance.peers.sipp_calls import Answerer, Caller
from tests.acceptance.peers.waiting import until
from tests.acceptance.site import SIP, Site, Ways
from tests.authority import Authority

pytestmark = pytest.mark.real("kamailio", "baresip")


def call(caller: Baresip, callee: Baresip, ends: Baresip) -> None:
    """One call: answered, ended by one side, over on both."""
    other = callee if ends is caller else caller
    seen = {phone: len(phone.events) for phone in (caller, callee)}
    caller.call(callee.aor)
    for phone in (caller, callee):
        phone.wait_event("CALL_ESTABLISHED", after=seen[phone])
    ends.hang_up()
    other.wait_event("CALL_CLOSED", after=seen[other])


def refreshed(site: Site, user: str, ask: Callable[[], object] = lambda: None) -> None:
    """A later REGISTER of this phone reaches the PBX, for the same contact."""
    (before,) = site.registrar.contacts()[user]
    ask()

    def later() -> bool:  # on a busy machine the contact may end before its refresh comes
        contacts = site.registrar.contacts().get(user)
        return contacts is not None and contacts[0]["CSeq"] > before["CSeq"]

    until(later, what=f"a refresh of {user}")
    (after,) = site.registrar.contacts()[user]
    assert (after["Address"], after["Path"]) == (before["Address"], before["Path"])


def assert_path(site: Site, user: str, way: str) -> None:
    """The PBX finds this phone by the agent's side of the PBX, and the agent by the phone's own way."""
    (contact,) = site.registrar.contacts()[user]
    (found,) = re.findall(r"<sip:[0-9a-f]{20}\.(\d+)\.\d+\.(\d+)\.[^@]+@(.*);lr>", contact["Path"])
    listener, connection, place = found
    ways, pbx = list(site.doors), site.ways.pbx
    host, port = site.doors[pbx]
    transport = "" if pbx.startswith("udp") else f";transport={pbx.rstrip('6')}"
    assert (ways[int(listener)], place) == (way, f"{written(host)}:{port}{transport}")
    assert (int(connection) > 0) == (not way.startswith("udp"))


@pytest.mark.parametrize(
    ("pbx", "ways"),
    [
        ("udp", ("tls", "tcp")),
        ("tcp", ("tls", "udp")),
        ("tls", ("tcp", "udp")),
        ("udp", ("tls6", "udp6")),
        ("tls6", ("udp", "tcp")),
        ("tcp6", ("tcp6", "tls6")),
    ],
)
def test_two_phones(network: Network, pbx: str, ways: tuple[str, str]) -> None:
    """The way of the PBX, then those of anna and bert; a 6 is IPv6."""
    authority = Authority(network.folder / "authority")
    house = House(network, {"PBX-Port13": 2}, {"hq": "gateway"}).build()
    site = house.site("hq", ways=Ways(tuple(dict.fromkeys((*ways, pbx))), pbx, authority))
    anna, bert = site.phone("1001", ways[0], expires_s=5), site.phone("1002", ways[1])
    assert anna.register().text == bert.register().text == "200 OK"
    for caller, callee in ((anna, bert), (bert, anna)):
        call(caller, callee, ends=caller)
        call(caller, callee, ends=callee)
    refreshed(site, "1001")
    assert_path(site, "1001", ways[0])
    assert_path(site, "1002", ways[1])
    anna.unregister()
    until(lambda: site.contacts() == {"1002"}, what="the PBX forgot anna")
    house.assert_never_over()


@pytest.mark.real("node", "npm")
@pytest.mark.parametrize(("way", "pbx"), [("ws", "udp"), ("wss", "tcp"), ("wss6", "tls")])
def test_a_browser_phone(network: Network, way: str, pbx: str) -> None:
    """JsSIP over WebSocket calls baresip over UDP and is called by it."""
    authority = Authority(network.folder / "authority")
    house = House(network, {"PBX-Port13": 2}, {"hq": "gateway"}).build()
    site = house.site("hq", ways=Ways(tuple(dict.fromkeys((way, "udp", pbx))), pbx, authority))
    door = url(way.rstrip("6"), site.doors[way])
    browser = network.start(Jssip(network, "1001", site.domain, door, authority=authority.certificate))
    bert = site.phone("1002")
    if way == "wss":
        doubting = network.start(Jssip(network, "1003", site.domain, door))
        assert doubting.events[0]["event"] == "disconnected", "it does not believe the agent's authority"
    assert browser.register() == 200
    assert bert.register().text == "200 OK"
    site.wait_counts(used=2)
    (contact,) = site.registrar.contacts()["1001"]
    assert ".invalid;transport=ws" in contact["Address"]
    assert_path(site, "1001", way)

    for ends in ("browser", "bert"):
        for caller in ("browser", "bert"):
            seen = len(browser.events), len(bert.events)
            if caller == "browser":
                browser.order("call", to=bert.aor)
            else:
                bert.call(browser.aor)
                assert browser.wait_event("incoming", after=seen[0])["from"] == bert.aor
            browser.wait_event("confirmed", after=seen[0])
            bert.wait_event("CALL_ESTABLISHED", after=seen[1])
            if ends == "browser":
                browser.order("hang_up")
                bert.wait_event("CALL_CLOSED", after=seen[1])
            else:
                bert.hang_up()
            browser.wait_event("ended", after=seen[0])
    refreshed(site, "1001", lambda: browser.order("register"))
    browser.order("unregister")
    browser.wait_event("unregistered")
    until(lambda: site.contacts() == {"1002"}, what="the PBX forgot the browser")
    site.wait_counts(used=1)


@pytest.mark.real("sipp")
def test_sipp_over_tcp(network: Network) -> None:
    """Fifty phones register, refresh and leave, each by a connection of its own; one is called 20 times."""
    house = House(network, {"PBX-Port13": 60}, {"hq": "gateway"}).build()
    site = house.site("hq", ways=Ways(("udp", "tcp"), "tcp"))
    everyone, host, registrar = users(1001, 50), network.address(), (site.domain, SIP)

    def run(expires_s: int) -> Counts:
        return site.phones(everyone, host=host, transport="tn", expires_s=expires_s).counts()

    assert run(600) == run(600) == Counts({200: 50}, unexpected=0)
    assert sorted(site.contacts()) == everyone
    assert run(0) == Counts({200: 50}, unexpected=0)
    assert site.contacts() == set()

    network.start(Answerer(network, "2001", registrar, site.doors["tcp"], "t1"))
    until(lambda: site.contacts() == {"2001"}, what="2001 is registered")
    assert_path(site, "2001", "tcp")
    for transport, door in (("t1", "tcp"), ("u1", "udp")):
        caller = network.start(Caller(network, "2001", registrar, site.doors[door], transport, 10))
        assert caller.finish() == 10


def test_a_restarted_agent_calls_nobody_by_an_old_connection(network: Network) -> None:
    """Anna's connection ended with the agent: calls for her fail until she has registered by a new one.

    With an inherited socket a connection that comes meanwhile waits for the next agent.
    """
    house = House(network, {"PBX-Port13": 2}, {"hq": "gateway"}, installed=True).build()
    site = house.site("hq", ways=Ways(("udp", "tcp"), "udp"), activated=True)
    anna, bert = site.phone("1001", "tcp"), site.phone("1002")
    assert anna.register().text == bert.register().text == "200 OK"
    site.agent.end()
    early = network.connect(*site.doors["tcp"])
    early.sendall(b"\r\n\r\n")
    site.agent.start()
    early.settimeout(5)
    assert early.recv(10) == b"\r\n"
    (old,) = site.registrar.contacts()["1001"]
    seen = len(anna.events)
    bert.call(anna.aor)
    assert bert.wait_event("CALL_CLOSED").text == "430 Flow Failed"
    assert "CALL_INCOMING" not in [event.kind for event in anna.events[seen:]]
    anna.unregister()
    until(lambda: "1001" not in site.registrar.contacts(), what="the PBX forgot anna")
    assert anna.register().text == "200 OK"
    (new,) = site.registrar.contacts()["1001"]
    assert new["Path"] != old["Path"]
    call(bert, anna, ends=bert)
