"""A real Asterisk 22 behind the guard, observed by its manager interface and asking before a room.

What needs no program runs on recordings in tests/telephony/test_asterisk.py.
"""

import re
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest

from agent.store.spool_reader import SpoolReader
from tests.acceptance.house import House
from tests.acceptance.peers.asterisk import SECRET, Asterisk, version
from tests.acceptance.peers.baresip import Baresip
from tests.acceptance.peers.loss import byes_lost
from tests.acceptance.peers.network import Network
from tests.acceptance.peers.waiting import until
from tests.acceptance.site import Site
from tests.authority import Authority

pytestmark = pytest.mark.real("asterisk", "baresip")

LICENCES = {"PBX-Port13": 4, "PBX-Channels13": 3}
LEG = "conference_leg"
# 700 is as docs/asterisk.md writes it; 701 forgot to ask; 702 goes on without an agent.
DIALPLAN = """[default]
exten => _100X,1,Dial(PJSIP/${EXTEN},20)
exten => 700,1,AGI(agi://127.0.0.1/join)
 same => n,ExecIf($["${LICENCE}" != "yes"]?Hangup(21))
 same => n,Answer()
 same => n,ConfBridge(700)
exten => 701,1,Answer()
 same => n,ConfBridge(701)
exten => 702,1,AGI(agi://127.0.0.1/join)
 same => n,ExecIf($["${LICENCE}" = "no"]?Hangup(21))
 same => n,Answer()
 same => n,ConfBridge(702)
"""
TLS = """tlsenable = yes
tlsbindaddr = {host}:5039
tlscertfile = {files.certificate}
tlsprivatekey = {files.key}
"""
# A trunk that registers nowhere: Asterisk says of its contact what it says of a phone's.
TRUNK = """[trunk]
type=aor
contact=sip:trunk@10.77.0.250
qualify_frequency=1
qualify_timeout=0.5
[trunk]
type=endpoint
aors=trunk
"""
AORS = {"1001": "qualify_frequency=1\nqualify_timeout=0.5", "1003": "max_contacts=1"}


class Bench:
    """A house with an Asterisk, its agent and two phones."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.house = House(network, LICENCES, {"hq": "gateway"}, sync_s=1).build()
        users = ["1001", "1002", "1003"]
        authority, host = Authority(network.folder / "authority"), network.address()
        tls = TLS.format(host=host, files=authority.issue(host))
        self.asterisk = network.start(
            Asterisk(network, users, DIALPLAN, host=host, aors=AORS, pjsip=TRUNK, general=tls, records=True)
        )
        settings: dict[str, Any] = {"resync_s": 5, "dialplan": "127.0.0.1:4573"}
        settings |= {"manager": f"{host}:5039", "tls": {"ca": str(authority.certificate)}}
        file = {"name": "file", "dialect": "asterisk_custom", "file": str(self.asterisk.records_file)}
        ami = {"name": "ami", "dialect": "asterisk_ami_cdr", "ami": True}
        cdrs = {"sources": [file, ami]}
        self.site: Site = self.house.before(self.asterisk, "hq", {"cdrs": cdrs}, **settings)
        self.wait(connected=True)
        self.anna, self.bert = self.site.phone("1001", expires_s=600), self.site.phone("1002")

    def observed(self) -> dict[str, Any]:
        observed: dict[str, Any] = self.site.told()["observed"]
        return observed

    def wait(self, within_s: float = 10.0, **expected: object) -> None:
        """Wait until the agent says this of what it observes."""
        until(lambda: expected.items() <= self.observed().items(), within_s, f"{expected}")

    def around(self, user: str, **options: Any) -> Baresip:
        """A phone that goes around the guard, straight to Asterisk."""
        return self.network.start(Baresip(self.network, user, self.asterisk.host, **options))

    def dial(self, phone: Baresip, number: str) -> str:
        """Call a number; the event and the text that came of it."""
        seen = len(phone.events)
        phone.call(f"sip:{number}@{self.site.domain}")
        event = phone.wait_event("CALL_ESTABLISHED|CALL_CLOSED", after=seen)
        return "in" if event.kind == "CALL_ESTABLISHED" else event.text


def test_phones_rooms_and_a_restart(network: Network, record_property: Callable[[str, object], None]) -> None:
    bench = Bench(network)
    record_property("measured", f"Asterisk: the real program ran, {version()}")
    phones_call_each_other(bench)
    their_call_is_recorded(bench)
    a_room_that_asks(bench)
    a_room_that_does_not_ask(bench)
    a_restart_of_asterisk(bench)
    comings_and_goings(bench)
    nobody_was_fooled(bench)


@pytest.mark.real("nft")
@pytest.mark.timeout(120)
def test_a_call_whose_bye_never_passed_is_counted_until_asterisk_says_so(network: Network) -> None:
    """Asterisk ends it, and its BYE is lost on the way to the guard; the other call goes on."""
    boxes = {"hq": {"model": "IP3011", "interfaces": ["pri1"]}}
    licences = {"PBX-Port13": 3, "Relay-PRIs": 1, "Relay-Channels": 4}
    house = House(network, licences, {"hq": "gateway"}, boxes=boxes, sync_s=1).build()
    asterisk = network.start(Asterisk(network, ["1001", "1002", "1003"], DIALPLAN))
    entry = {
        "objects": [{"kind": "gateway", "name": "gw1", "aor": ["1003"]}, {"kind": "user", "aor": ["*"]}],
        "calls": {"lines": [{"aor": ["1003"], "interface": "pri1"}]},
    }
    site = house.before(asterisk, "hq", entry, resync_s=5)
    anna, bert, _gateway = phones = [site.phone(user) for user in ("1001", "1002", "1003")]
    assert {phone.register().text for phone in phones} == {"200 OK"}
    for phone in (anna, bert):
        phone.call(f"sip:1003@{site.domain}")
        phone.wait_event("CALL_ESTABLISHED")
    site.wait_counts("relay_channel", used=2)
    with byes_lost(network, asterisk.host, site.guard[0]):
        channel = next(
            word for word in asterisk.cli("core show channels concise").split("!") if "1002-" in word
        )
        site.wait_looked()  # the next look, which finds it, is far away
        asterisk.cli(f"channel request hangup {channel.strip()}")
        assert site.counts("relay_channel")["used"] == 2, "nobody has told it"
        site.wait_counts("relay_channel", used=1)
    assert '"unknown_to_pbx"' in site.agent.log
    assert site.told()["observed"]["trouble"] == ""
    anna.hang_up()
    site.wait_counts("relay_channel", used=0)


def phones_call_each_other(bench: Bench) -> None:
    assert bench.anna.register().text == bench.bert.register().text == "200 OK"
    bench.site.wait_counts(used=2)
    bench.wait(contacts=2)
    assert bench.dial(bench.anna, "1002") == "in"
    bench.anna.hang_up()
    bench.wait(calls=0)


def their_call_is_recorded(bench: Bench) -> None:
    """The record of the call, from the file that Asterisk writes and by its manager interface."""
    spool = bench.site.agent.folder / "data" / "hq" / "spool.db"

    def recorded() -> dict[str, tuple[str, str, int]]:
        with closing(SpoolReader.open(spool)) as reader:
            found = list(reader.records(0, 2**53))
        return {cdr.source.rpartition("/")[2]: (cdr.caller, cdr.called, cdr.cause or 0) for cdr in found}

    call = ("1001", "1002", 16)
    until(lambda: recorded() == {"file": call, "ami": call}, 10, "the record of the call")


def a_room_that_asks(bench: Bench) -> None:
    """L.C2, L.C3: three legs of three channels, the fourth is refused and the others stay."""
    anna, bert = bench.anna, bench.bert
    for phone, legs in ((anna, 1), (bert, 2), (anna, 3)):
        assert bench.dial(phone, "700") == "in"
        bench.site.wait_counts(LEG, used=legs)
    assert bench.dial(bert, "700") == "403 Forbidden"
    bench.wait(rooms=1, members=3)
    bench.house.wait_used(3, "pbx-channels")
    assert bench.site.counts(LEG)["surplus"] == 0
    anna.hang_up()
    bench.site.wait_counts(LEG, used=2)
    assert bench.dial(bert, "700") == "in"
    bench.site.wait_counts(LEG, used=3)


def a_room_that_does_not_ask(bench: Bench) -> None:
    """Asterisk lets the leg in, and the agent removes it; who was in the other room stays."""
    seen = len(bench.anna.events)
    assert bench.dial(bench.anna, "701") == "in"
    bench.anna.wait_event("CALL_CLOSED", after=seen)
    bench.wait(rooms=1, members=3)
    assert "leg.removed" in bench.site.agent.log
    for phone in (bench.bert, bench.bert, bench.anna):
        phone.hang_up()
    bench.site.wait_counts(LEG, used=0)
    bench.house.wait_used(0, "pbx-channels")
    assert bench.dial(bench.anna, "701") == "in"  # now there is a channel
    bench.site.wait_counts(LEG, used=1)


def a_restart_of_asterisk(bench: Bench) -> None:
    """The stop ends calls and tells nobody of contacts; they are back from its database, silently."""
    bench.asterisk.stop()
    bench.wait(connected=False, contacts=2)
    bench.site.wait_counts(used=2, lingering=0, surplus=0)
    bench.asterisk.start()
    bench.wait(within_s=40, connected=True, contacts=2, members=0)  # it tries again after 16 s at most
    bench.site.wait_counts(used=2)
    bench.site.wait_counts(LEG, used=0)
    shown = re.compile(r"Contact: +1001/.* Avail ")  # asked each second; else it says 503
    until(lambda: shown.search(bench.asterisk.cli("pjsip show contacts")), 10, "Asterisk reaches the phone")
    assert bench.dial(bench.bert, "1001") == "in"  # by the Path that it kept
    bench.bert.hang_up()


def comings_and_goings(bench: Bench) -> None:
    """Unregistration, replacement, expiry and a killed phone, by the guard and around it."""
    bench.bert.unregister()
    bench.wait(contacts=1)
    bench.site.wait_counts(used=1)

    first, second = bench.around("1003", expires_s=6), bench.around("1003", expires_s=6)
    assert first.register().text == "200 OK"
    bench.site.wait_counts(used=2)
    assert second.register().text == "200 OK"  # one contact is allowed: it replaces the other
    bench.wait(contacts=2)
    assert bench.asterisk.contacts()["1003"][0].endswith(f"@{second.host}:5060")
    first.kill()
    second.kill()
    assert bench.observed()["contacts"] == bench.site.counts()["used"] == 2
    bench.wait(contacts=1, within_s=20)  # at its expiry
    bench.site.wait_counts(used=1)

    bench.anna.kill()
    bench.wait(contacts=1, unreachable=1)  # it does not answer, and is registered
    assert bench.site.counts()["used"] == 1


def nobody_was_fooled(bench: Bench) -> None:
    """A device in use is not registered; nor is a trunk that Asterisk reaches by configuration."""
    stranger = bench.around("1002", expires_s=0)
    stranger.command("uanew", stranger.account)
    assert bench.dial(stranger, "701") == "in"
    bench.site.wait_counts(LEG, used=1)
    assert "PJSIP/1002-" in bench.asterisk.cli("core show channels")
    assert bench.asterisk.contacts().keys() == {"1001", "trunk"}
    assert bench.observed()["contacts"] == bench.site.counts()["used"] == 1
    stranger.hang_up()
    bench.site.wait_counts(LEG, used=0)
    without_an_agent(bench, stranger)


def without_an_agent(bench: Bench, caller: Baresip) -> None:
    """The dial plan's own next line decides; who came in meanwhile is found, and stays."""
    agent = bench.site.agent
    agent.kill()
    assert bench.dial(caller, "700") == "403 Forbidden"
    assert bench.dial(caller, "702") == "in"
    agent.start()
    bench.wait(connected=True, members=1)
    bench.site.wait_counts(LEG, used=1)
    log = agent.log_path.read_text()
    assert SECRET not in log
    assert "pw100" not in log
