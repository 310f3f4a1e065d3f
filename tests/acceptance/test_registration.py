"""A phone registers through the guard at a real PBX and draws its licence.

Real programs: licence-master, pbx-agent, Kamailio with digest, baresip, SIPp.
"""

import pytest

from tests.acceptance.house import House
from tests.acceptance.peers.network import Network

pytestmark = pytest.mark.real("kamailio", "baresip", "sipp")


def test_the_third_object_is_refused_with_its_reason(network: Network) -> None:
    house = House(network, {"PBX-Port13": 2}, {"hq": "gateway"}).build()
    site = house.site("hq")
    first, second, third = (site.phone(user) for user in ("1001", "1002", "1003"))
    assert first.register().kind == "REGISTER_OK"
    assert second.register().kind == "REGISTER_OK"
    refused = third.register()
    assert (refused.kind, refused.text) == ("REGISTER_FAIL", "403 No free licence")
    house.wait_used(2)
    house.assert_never_over()
