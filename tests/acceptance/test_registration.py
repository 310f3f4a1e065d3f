"""A phone registers through the guard at a real PBX, draws its licence and gives it back.

Real programs in every test: licence-master, pbx-agent, Kamailio with digest; the phones are baresip, in
numbers SIPp.
"""

import re
from typing import Any

import pytest

from tests.acceptance.house import House
from tests.acceptance.peers.baresip import Baresip
from tests.acceptance.peers.capture import Capture
from tests.acceptance.peers.network import Network
from tests.acceptance.peers.sipp import Counts, users
from tests.acceptance.peers.waiting import until
from tests.acceptance.site import SIP, Site

pytestmark = pytest.mark.real("kamailio", "baresip", "sipp")

NO_FREE_LICENCE = "403 No free licence"
MASTER_AWAY = "403 The licence master cannot be reached"


def one_site(network: Network, ports: int, **policy: Any) -> tuple[House, Site]:
    """A gateway with so many Port licences behind it."""
    house = House(network, {"PBX-Port13": ports}, {"hq": "gateway"}, **policy).build()
    return house, house.site("hq")


def again(phone: Baresip) -> str:
    """Register a phone once more, from the beginning; what came of it."""
    phone.unregister()
    return phone.register().text


def forgotten(site: Site, user: str) -> None:
    """Wait until the PBX has no contact of this user."""
    until(lambda: user not in site.registrar.contacts(), what=f"the PBX forgot {user}")


def warnings(capture: Capture, phone: Baresip) -> list[str]:
    """The Warning lines of what a phone was answered, without answers sent again."""
    heard = b"".join(dict.fromkeys(got.data for got in capture.datagrams(destination=(phone.host, SIP))))
    return re.findall(r"^Warning: .*?(?=\r$)", heard.decode(), re.MULTILINE)


def at_the_pbx(capture: Capture, site: Site, user: str) -> list[str]:
    """What reached the PBX from this user, without what was sent again."""
    heard = dict.fromkeys(got.data.decode() for got in capture.datagrams(destination=(site.domain, SIP)))
    return [text for text in heard if f"From: <sip:{user}@" in text]


def test_a_phone_passes_the_challenge_is_bound_by_our_path_and_draws_a_port(network: Network) -> None:
    house, site = one_site(network, 2, sync_s=1)
    capture = network.start(Capture(network))
    phone = site.phone("1001")
    phone.register()
    heard = capture.datagrams(source=site.guard, destination=(phone.host, SIP))
    assert list(dict.fromkeys(got.first_line for got in heard)) == [
        "SIP/2.0 401 Unauthorized",
        "SIP/2.0 200 OK",
    ]
    assert not capture.datagrams(source=(phone.host, SIP), destination=(site.domain, SIP))
    (contact,) = site.registrar.contacts()["1001"]
    host = re.escape(f"{site.guard[0]}:{SIP}")
    assert re.fullmatch(rf"<sip:[0-9a-f]{{20}}\.[^@]+@{host};lr>", contact["Path"])
    house.wait_used(1)
    until(lambda: [row["object"] for row in house.get("holders")] == ["1001"], what="1001 holds a unit")
    house.assert_never_over()


def test_the_third_object_is_refused_with_its_reason_and_gets_in_when_one_leaves(network: Network) -> None:
    house, site = one_site(network, 2)
    capture = network.start(Capture(network))
    first, second, third = (site.phone(user) for user in ("1001", "1002", "1003"))
    assert first.register().text == second.register().text == "200 OK"
    refused = third.register()
    assert (refused.kind, refused.text) == ("REGISTER_FAIL", NO_FREE_LICENCE)
    assert warnings(capture, third) == ['Warning: 399 hq "no_free_licence: No free licence"']
    (challenged,) = at_the_pbx(capture, site, "1003")  # what has credentials is stopped here
    assert "Authorization:" not in challenged
    house.wait_used(2)
    house.assert_never_over()

    first.unregister()
    forgotten(site, "1001")
    assert again(third) == "200 OK"
    assert sorted(site.registrar.contacts()) == ["1002", "1003"]


def test_a_killed_phone_keeps_its_licence_until_its_binding_expires(network: Network) -> None:
    _, site = one_site(network, 1)
    killed, other = site.phone("1001", expires_s=5), site.phone("1002")
    killed.register()
    killed.kill()
    assert other.register().text == NO_FREE_LICENCE
    site.wait_counts(used=0)
    assert again(other) == "200 OK"


def test_a_second_device_of_the_same_object_draws_nothing(network: Network) -> None:
    _, site = one_site(network, 1)
    desk, mobile, other = site.phone("1001"), site.phone("1001"), site.phone("1002")
    assert desk.register().text == mobile.register().text == "200 OK"
    assert len(site.registrar.contacts()["1001"]) == 2
    assert site.counts()["used"] == 1
    desk.unregister()
    until(lambda: len(site.registrar.contacts()["1001"]) == 1, what="the desk phone is gone")
    assert other.register().text == NO_FREE_LICENCE
    mobile.unregister()
    forgotten(site, "1001")
    assert again(other) == "200 OK"


def test_a_refresh_is_never_refused(network: Network) -> None:
    """Not when the pool is exhausted, not when it shrank below its use, not when the master is dead."""
    house, site = one_site(network, 20)
    everyone, host = users(1001, 20), network.address()

    def register() -> Counts:
        sipp = site.phones(everyone, host=host)
        return sipp.counts()

    all_admitted = Counts({200: 20}, unexpected=0)
    assert register() == all_admitted
    assert site.phone("2001").register().text == NO_FREE_LICENCE
    assert register() == all_admitted
    house.command("remove", "PBX-Port13", "15")
    until(lambda: site.counts()["recall_to"] == 5, what="the agent knows that the pool shrank")
    assert register() == all_admitted
    house.master.kill()
    assert register() == all_admitted
    assert sorted(site.registrar.contacts()) == everyone


def test_a_group_number_draws_nothing(network: Network) -> None:
    house = House(network, {"PBX-Port13": 1}, {"hq": "gateway"}).build()
    rows = [{"kind": "group", "aor": ["11??"]}, {"kind": "user", "aor": ["*"]}]
    site = house.site("hq", objects=rows)
    for group in ("1100", "1101"):
        assert site.phone(group).register().text == "200 OK"
    assert site.counts()["used"] == 0
    assert site.phone("1001").register().text == "200 OK"
    assert site.phone("1102").register().text == "200 OK"
    assert site.phone("1002").register().text == NO_FREE_LICENCE
    assert site.counts()["used"] == 1


def test_a_lingering_unit_waits_for_its_object_and_goes_to_whoever_needs_it(network: Network) -> None:
    """With the master dead, so that no other unit can come."""
    house, site = one_site(network, 1, linger_s={"user": 60})
    first, second = site.phone("1001"), site.phone("1002")
    first.register()
    house.master.kill()
    first.unregister()
    site.wait_counts(used=0, lingering=1)
    assert first.register().text == "200 OK"
    site.wait_counts(used=1, lingering=0)
    first.unregister()
    site.wait_counts(used=0, lingering=1)
    assert second.register().text == "200 OK"
    assert first.register().text == MASTER_AWAY


def test_report_mode_admits_everyone_and_reports_whom_it_would_refuse(network: Network) -> None:
    house, site = one_site(network, 1, sync_s=1, enforcement="report")
    first, second = site.phone("1001"), site.phone("1002")
    assert first.register().text == second.register().text == "200 OK"
    until(lambda: ("reported", "no_free_licence") in house.events("1002"), what="the report at the master")
    assert "reported" not in [event for event, _ in house.events("1001")]
    until(lambda: house.row("shares", "hq")["surplus"] == 1, what="one surplus registration")
    house.assert_never_over()
    second.call(first.aor)
    second.wait_event("CALL_ESTABLISHED")


def test_a_bypass_lets_everyone_in_until_it_ends(network: Network) -> None:
    house, site = one_site(network, 1, sync_s=1)
    first, second, third, fourth = (site.phone(user) for user in ("1001", "1002", "1003", "1004"))
    assert first.register().text == "200 OK"
    assert second.register().text == NO_FREE_LICENCE
    house.bypass("hq", "--for", "4h")
    assert again(second) == "200 OK"
    until(lambda: ("reported", "no_free_licence") in house.events("1002"), what="the report at the master")
    house.master.kill()
    assert third.register().text == "200 OK"
    house.bypass("hq", "--off")
    assert fourth.register().text == MASTER_AWAY


def test_an_unknown_object_is_refused_where_the_configuration_says_so(network: Network) -> None:
    house = House(network, {"PBX-Port13": 5}, {"hq": "gateway"}).build()
    site = house.site("hq", objects=[{"kind": "user", "aor": ["1001"]}], unknown="refuse")
    capture = network.start(Capture(network))
    known, unknown = site.phone("1001"), site.phone("1002")
    assert known.register().text == "200 OK"
    assert unknown.register().text == "403 This object is not known"
    assert warnings(capture, unknown) == ['Warning: 399 hq "unknown_object: This object is not known"']
    assert at_the_pbx(capture, site, "1002") == []


def test_what_the_pbx_refuses_gives_its_unit_back(network: Network) -> None:
    _, site = one_site(network, 1)
    assert site.phone("1001", password="wrong").register().text == "401 Unauthorized"
    assert site.phone("77").register().text == "404 Unknown user"
    assert site.counts()["used"] == site.counts()["reserved"] == 0
    assert site.phone("1002").register().text == "200 OK"
