"""Phones and PBX over UDP, TCP and TLS, over IPv4 and IPv6: register, refresh, call, be called, end."""

import pytest

from tests.acceptance.house import House
from tests.acceptance.peers.network import Network

pytestmark = pytest.mark.real("kamailio", "baresip")


def test_tcp(network: Network) -> None:
    house = House(network, {"PBX-Port13": 2}, {"hq": "gateway"}).build()
    site = house.site("hq", transports=("udp", "tcp"), pbx="tcp")
    anna, bert = site.phone("1001", transport="tcp"), site.phone("1002", transport="udp")
    assert anna.register().text == bert.register().text == "200 OK"
    print(site.registrar.contacts())
    for caller, callee in ((anna, bert), (bert, anna)):
        for ends, other in ((caller, callee), (callee, caller)):
            seen = len(caller.events), len(callee.events)
            caller.call(callee.aor)
            caller.wait_event("CALL_ESTABLISHED", after=seen[0])
            callee.wait_event("CALL_ESTABLISHED", after=seen[1])
            ends.hang_up()
            other.wait_event("CALL_CLOSED", after=seen[0 if other is caller else 1])
    house.assert_never_over()
