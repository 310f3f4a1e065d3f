"""Phones and PBX over UDP, TCP and TLS, over IPv4 and IPv6: register, refresh, call, be called, end.

Real programs in every test: licence-master, pbx-agent, Kamailio, baresip, SIPp, JsSIP.
"""

import pytest

from tests.acceptance.house import House, Ways
from tests.acceptance.peers.baresip import Baresip
from tests.acceptance.peers.network import Network
from tests.acceptance.peers.waiting import until
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


@pytest.mark.parametrize(
    ("pbx", "ways"),
    [
        ("udp", ("tcp", "tls")),
        ("tcp", ("tls", "udp")),
        ("tls", ("udp", "tcp")),
        ("udp", ("udp6", "tls6")),
        ("udp6", ("tcp", "tls")),
        ("tls6", ("tls6", "tcp6")),
    ],
)
def test_two_phones(network: Network, pbx: str, ways: tuple[str, str]) -> None:
    authority = Authority(network.folder / "authority")
    house = House(network, {"PBX-Port13": 2}, {"hq": "gateway"}).build()
    site = house.site("hq", ways=Ways(tuple(dict.fromkeys((*ways, pbx))), pbx, authority))
    anna, bert = (site.phone(user, way) for user, way in zip(("1001", "1002"), ways, strict=True))
    assert anna.register().text == bert.register().text == "200 OK"
    for caller, callee in ((anna, bert), (bert, anna)):
        call(caller, callee, ends=caller)
        call(caller, callee, ends=callee)
    anna.unregister()
    until(lambda: site.contacts() == {"1002"}, what="the PBX forgot anna")
    house.assert_never_over()
