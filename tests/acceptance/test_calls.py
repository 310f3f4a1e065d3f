"""Phones behind the guard call each other through the PBX.

Real programs in every test: licence-master, pbx-agent, Kamailio, baresip phones with sound.
"""

import re

import pytest

from tests.acceptance.house import House
from tests.acceptance.peers.baresip import Baresip
from tests.acceptance.peers.capture import Capture, Datagram
from tests.acceptance.peers.network import Network
from tests.acceptance.peers.waiting import until
from tests.acceptance.site import SIP, Site

pytestmark = pytest.mark.real("kamailio", "baresip")


def sip(capture: Capture, method: str, **between: tuple[str, int]) -> list[Datagram]:
    """The requests of a method that passed, oldest first, without those sent again."""
    passed = dict.fromkeys(capture.datagrams(**between))
    return [got for got in passed if got.first_line.startswith(f"{method} ")]


def assert_all_passed_the_guard(capture: Capture, site: Site) -> None:
    """No SIP went between the PBX and anyone else, nor between two phones."""
    talk = [
        got for got in capture.datagrams() if " SIP/2.0" in got.first_line or "SIP/2.0 " in got.first_line
    ]
    assert talk
    for got in talk:
        assert site.guard in (got.source, got.destination), got.first_line


def sound_port(capture: Capture, phone: Baresip, start: str) -> int:
    """The port for sound in the SDP that this phone sent in a request or answer that begins so."""
    sent = capture.datagrams(source=(phone.host, SIP))
    (port,) = {
        int(found[1])
        for got in sent
        if got.first_line.startswith(start) and (found := re.search(rb"\r\nm=audio (\d+) ", got.data))
    }
    return port


def assert_sound_passes(capture: Capture, caller: Baresip, callee: Baresip) -> None:
    """RTP flows both ways between the ports that the two phones told each other."""
    offered, answered = sound_port(capture, caller, "INVITE "), sound_port(capture, callee, "SIP/2.0 200 ")

    def heard() -> bool:
        ways = {(got.source[1], got.destination[1]) for got in capture.datagrams() if got.data[:1] == b"\x80"}
        return {(offered, answered), (answered, offered)} <= ways

    until(heard, what="sound both ways")


def wait_byes(capture: Capture, calls: int = 1) -> None:
    """Wait until so many calls have ended on all their four legs."""
    until(lambda: len(sip(capture, "BYE")) == 4 * calls, what="BYE on all legs")


def test_two_phones_call_each_other_and_either_side_hangs_up(network: Network) -> None:
    """Kamailio asks for digest; four calls: each phone calls and is called, each side ends one."""
    house = House(network, {"PBX-Port13": 2}, {"hq": "gateway"}).build()
    site = house.site("hq")
    anna, bert = site.phone("1001"), site.phone("1002")
    assert anna.register().text == bert.register().text == "200 OK"
    for caller, callee in ((anna, bert), (bert, anna)):
        for ends, other in ((caller, callee), (callee, caller)):
            with Capture(network) as capture:
                seen = len(caller.events), len(callee.events)
                caller.call(callee.aor)
                caller.wait_event("CALL_ESTABLISHED", after=seen[0])
                callee.wait_event("CALL_ESTABLISHED", after=seen[1])
                assert_sound_passes(capture, caller, callee)
                ends.hang_up()
                other.wait_event("CALL_CLOSED", after=seen[0 if other is caller else 1])
                wait_byes(capture)
                assert len(sip(capture, "ACK")) == 4
                assert_all_passed_the_guard(capture, site)
    house.assert_never_over()


def test_a_caller_gives_up_before_the_answer(network: Network) -> None:
    """CANCEL finds the way of its INVITE: the called phone stops ringing."""
    house = House(network, {"PBX-Port13": 2}, {"hq": "gateway"}).build()
    site = house.site("hq")
    anna, bert = site.phone("1001"), site.phone("1002", answers=False)
    assert anna.register().text == bert.register().text == "200 OK"
    capture = network.start(Capture(network))
    anna.call(bert.aor)
    bert.wait_event("CALL_INCOMING")
    anna.wait_event("CALL_RINGING")
    anna.hang_up()
    bert.wait_event("CALL_CLOSED")
    until(
        lambda: sip(capture, "CANCEL", source=site.guard, destination=(bert.host, SIP)), what="CANCEL at bert"
    )
    assert_all_passed_the_guard(capture, site)


def test_a_phone_registered_without_a_licence_calls_only_for_help(network: Network) -> None:
    """Kamailio trusts by IP and challenges nobody, so a phone can be bound before the guard is asked."""
    house = House(network, {"PBX-Port13": 1}, {"hq": "gateway"}, sync_s=1).build()
    site = house.site("hq", digest=False)
    desk, group, surplus = site.phone("112"), site.phone("11"), site.phone("1001")
    for phone in (desk, group, surplus):
        assert phone.register().text == "200 OK"
    site.wait_counts(used=1, surplus=1)
    house.wait_used(1)
    until(lambda: house.row("shares", "hq")["surplus"] == 1, what="the master knows the surplus")
    capture = network.start(Capture(network))

    surplus.call(group.aor)
    assert surplus.wait_event("CALL_CLOSED").text == "403 No free licence"
    (refused,) = set(capture.datagrams(source=site.guard, destination=(surplus.host, SIP)))
    assert b'\r\nWarning: 399 hq "no_free_licence: No free licence"\r\n' in refused.data
    assert capture.datagrams(destination=(site.domain, SIP)) == []

    for calls, (caller, number) in enumerate(((surplus, desk), (desk, surplus), (group, surplus)), start=1):
        seen = len(caller.events)
        caller.call(number.aor)
        caller.wait_event("CALL_ESTABLISHED", after=seen)
        caller.hang_up()
        wait_byes(capture, calls)

    seen = len(surplus.events)
    desk.unregister()
    site.wait_counts(used=1, surplus=0)
    surplus.call(group.aor)
    surplus.wait_event("CALL_ESTABLISHED", after=seen)
