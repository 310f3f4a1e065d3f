"""Phones behind a masquerading router: they register, call and are called, however long they were silent.

Real programs in every test: licence-master, pbx-agent, Kamailio, baresip, and Linux as the NAT.
"""

from typing import Any

import pytest

from tests.acceptance.house import House
from tests.acceptance.peers.baresip import Baresip
from tests.acceptance.peers.capture import Capture
from tests.acceptance.peers.nat import ROUTER, Lan, Router
from tests.acceptance.peers.network import Network
from tests.acceptance.peers.waiting import until
from tests.acceptance.site import SIP, Site

pytestmark = pytest.mark.real("kamailio", "baresip", "nft")

FORGETS_S = 2  # the router, a flow without a packet
RESTART_S = 20  # what it grants an agent that starts again; real ones grant 30 and more
CRLF = b"\r\n"


class Street:
    """A site, a router that masquerades, and a private network behind it."""

    def __init__(self, network: Network, phones: int, **sip: Any) -> None:
        self.network = network
        self.house = House(network, {"PBX-Port13": phones}, {"hq": "gateway"}).build()
        self.site: Site = self.house.site("hq", sip=sip)
        self.router = network.start(Router(network, FORGETS_S))
        self.lan = network.start(Lan(self.router))
        self.capture = network.start(Capture(network))

    def phone(self, user: str) -> Baresip:
        """A registered phone in the private network; the PBX knows it by its private address."""
        host, port = self.site.guard
        phone = self.lan.start(Baresip(self.lan, user, self.site.domain, proxy=f"{host}:{port}"))
        assert phone.register().text == "200 OK"
        (contact,) = self.site.registrar.contacts()[user]
        assert f"@{phone.host}:" in contact["Address"]
        return phone

    def keep_alives(self) -> int:
        """Keep-alives that left for the router, of all phones."""
        return sum(got.data == CRLF and got.destination[0] == ROUTER for got in self.capture.datagrams())

    def be_silent(self, phones: int) -> None:
        """Wait until the router would have forgotten every flow twice, by the keep-alives of each second."""
        wanted = self.keep_alives() + phones * (2 * FORGETS_S + 1)
        until(lambda: self.keep_alives() >= wanted, 15.0, "keep-alives for longer than the router remembers")

    def restart(self) -> None:
        """The agent ends and starts again, while the router does not forget the flow."""
        self.router.forget_after(RESTART_S)
        wanted = self.keep_alives() + 1
        until(lambda: self.keep_alives() >= wanted, what="a keep-alive that is remembered for longer")
        assert self.site.agent.end() == 0
        self.site.agent.start()
        self.router.forget_after(FORGETS_S)

    def requests(self, method: str, destination: str) -> int:
        """How many requests of this method left for a host, repeats too."""
        return sum(
            got.first_line.startswith(f"{method} ") and got.destination[0] == destination
            for got in self.capture.datagrams()
        )


def call(caller: Baresip, callee: Baresip, ends: Baresip) -> None:
    """One call: answered, ended by one side, over on both."""
    other = callee if ends is caller else caller
    seen = {phone: len(phone.events) for phone in (caller, callee)}
    caller.call(callee.aor)
    for phone in (caller, callee):
        phone.wait_event("CALL_ESTABLISHED", after=seen[phone])
    ends.hang_up()
    other.wait_event("CALL_CLOSED", after=seen[other])


def test_a_silent_phone_is_called_through_its_flow_also_after_a_restart(network: Network) -> None:
    street = Street(network, 2, nat_keep_alive_s=1)
    inside = street.phone("1001")
    outside = street.site.phone("1002")
    assert outside.register().text == "200 OK"
    street.be_silent(phones=1)
    for caller, callee in ((outside, inside), (inside, outside)):
        call(caller, callee, ends=caller)
        call(caller, callee, ends=callee)

    registers = street.requests("REGISTER", street.site.guard[0])
    street.restart()
    street.be_silent(phones=1)
    assert street.requests("REGISTER", street.site.guard[0]) == registers, "only the binding was kept"
    call(outside, inside, ends=inside)
    to_outside = [
        got for got in street.capture.datagrams(destination=(outside.host, SIP)) if got.data == CRLF
    ]
    assert to_outside == [], "a phone without a NAT gets none"


def test_two_phones_behind_one_router_call_each_other(network: Network) -> None:
    street = Street(network, 2, nat_keep_alive_s=1)
    anna, bert = street.phone("1001"), street.phone("1002")
    street.be_silent(phones=2)
    for caller, callee in ((anna, bert), (bert, anna)):
        call(caller, callee, ends=caller)
        call(caller, callee, ends=callee)
    street.house.assert_never_over()


def test_without_keep_alives_the_router_forgets_the_phone(network: Network) -> None:
    """What the other tests rest on: here nothing but keep-alives keeps a silent phone reachable."""
    street = Street(network, 2, nat_keep_alive_s=0)
    inside = street.phone("1001")
    outside = street.site.phone("1002")
    assert outside.register().text == "200 OK"
    until(lambda: street.router.flows == 0, 15.0, "the router has forgotten")
    seen = len(inside.events)
    outside.call(inside.aor)
    until(lambda: street.requests("INVITE", ROUTER) >= 3, what="the PBX repeats what nobody answers")
    assert inside.events[seen:] == []
    assert street.keep_alives() == 0
    outside.kill()  # else it waits for an answer


def test_a_ping_is_answered(network: Network) -> None:
    """A phone may keep its way open by itself (RFC 5626 4.4.1): two CRLF are answered by one."""
    street = Street(network, 1)
    host = street.lan.address()
    with street.lan.udp(host, SIP) as phone:
        phone.settimeout(5.0)
        phone.sendto(CRLF + CRLF, street.site.guard)
        assert phone.recvfrom(100) == (CRLF, street.site.guard)
