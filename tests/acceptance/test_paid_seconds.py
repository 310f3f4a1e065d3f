"""Calls of a real Asterisk and a real Kamailio are in the master's store with the seconds of the wire.

A capture is the judge: what `licence-master cdr export` says each account pays is compared with it. Each
call has users of its own: 20N0 calls 20N1, and 20N2 is who comes in by a forward or a transfer.
"""

import asyncio
import json
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import pytest

from demo.sip import Message, uri_of, user_of
from telephony.cdr.payer import Due, Free, dues
from telephony.cdr.record import Cdr
from tests.acceptance.house import House
from tests.acceptance.peers.asterisk import MANAGER_PORT, SECRET, Asterisk
from tests.acceptance.peers.capture import Capture
from tests.acceptance.peers.kamailio import EVAPI, Registrar
from tests.acceptance.peers.network import Network
from tests.acceptance.peers.page import shown
from tests.acceptance.peers.telephone import Manner, Talking, Telephone
from tests.acceptance.peers.waiting import until
from tests.acceptance.site import SIP, Site

pytestmark = pytest.mark.real("asterisk", "kamailio")

LICENCES = {"PBX-Port13": 60, "PBX-Channels13": 3}
USERS = [str(user) for user in range(2000, 2083)]
DIALPLAN = f"""[default]
{shown("; extensions.conf")} same => n,Dial(PJSIP/${{EXTEN}},20)
exten => 700,1,AGI(agi://127.0.0.1/join)
 same => n,ExecIf($["${{LICENCE}}" != "yes"]?Hangup(21))
 same => n,Answer()
 same => n,ConfBridge(700)
"""
SYSLOG = 5140
WHOLE_MS = 1_000
"""No record may be this far from the wire: PBXs count whole seconds, up, down, or from one to the next."""

# Seconds of ringing, talking, and talking behind a forward or transfer: no sum of them is near a whole one.
RING_S, TALK_S, ONWARD_S = 1.6, 2.5, 2.7
ROOM = {"2080": (0.0, 6.4), "2081": (1.4, 2.3), "2082": (2.2, 5.3)}
"""When each calls the room, and for how long."""


@dataclass(slots=True)
class Leg:
    """A call between the PBX and one of its phones, as it was on the wire; UTC epoch ms."""

    answer_ms: int = 0
    refer_ms: int = 0
    end_ms: int = 0
    status: int = 0


class Wire:
    """What passed a PBX: legs that a user placed, and legs on which a user was rung."""

    def __init__(self, capture: Capture, pbx: str) -> None:
        self.placed: dict[str, Leg] = {}
        self.rung: dict[str, Leg] = {}
        legs: dict[str, list[Leg]] = {}
        for datagram in capture.datagrams():
            message = Message.parse(datagram.data)
            if message is None or (pbx, SIP) not in (datagram.source, datagram.destination):
                continue
            call_id, to_pbx = message.get("Call-ID"), datagram.destination == (pbx, SIP)
            if message.first.startswith("INVITE "):
                users = self.placed if to_pbx else self.rung
                user = user_of(uri_of(message.get("From")) if to_pbx else message.uri)
                legs.setdefault(call_id, []).append(users.setdefault(user, Leg()))
            for leg in legs.get(call_id, ()):
                _note(leg, message, datagram.at_ms)


def _note(leg: Leg, message: Message, at_ms: int) -> None:
    if message.is_answer and message.method == "INVITE" and message.status >= 200:
        leg.status = message.status
        if message.status == 200:
            leg.answer_ms = leg.answer_ms or at_ms
    elif message.first.startswith("REFER "):
        leg.refer_ms = leg.refer_ms or at_ms
    elif message.first.startswith("BYE "):
        leg.end_ms = leg.end_ms or at_ms


Span = tuple[int, int]
Paid = dict[tuple[str, str, str], Span]
"""Who calls, who is called and who pays, and from when to when by the wire."""


def _line(leg: Leg) -> Span:
    return leg.answer_ms, leg.end_ms


def asterisk_paid(wire: Wire, *, by_events: bool) -> Paid:
    """By channel events a transferred caller pays his line until its end, and the leg behind the transfer is
    paid from its answer; by CDRs until the transfer, and from it on.
    """
    placed, rung = wire.placed, wire.rung
    paid = {
        ("2000", "2001", "2000"): _line(placed["2000"]),
        ("2010", "2011", "2010"): _line(placed["2010"]),
        ("2050", "2051", "2050"): _line(placed["2050"]),
        ("2050", "2052", "2051"): _line(rung["2052"]),
        ("2070", "2071", "2070"): (placed["2070"].answer_ms, placed["2070"].refer_ms),
    }
    if by_events:
        room = {(user, "700", user): _line(placed[user]) for user in ROOM}
        return paid | room | {
            ("2060", "2061", "2060"): _line(placed["2060"]),
            ("2060", "2062", "2061"): _line(rung["2062"]),
            ("2071", "2072", "2070"): _line(rung["2072"]),
        }  # fmt: skip
    return paid | {
        ("2060", "2061", "2060"): (placed["2060"].answer_ms, rung["2061"].refer_ms),
        ("2060", "2062", "2061"): (rung["2061"].refer_ms, placed["2060"].end_ms),
        ("2071", "2072", "2070"): (placed["2070"].refer_ms, rung["2072"].end_ms),
    }


def kamailio_paid(wire: Wire) -> Paid:
    """A proxy: whoever sent the INVITE pays, a transferred party too, which sends one."""
    return {
        ("2000", "2001", "2000"): _line(wire.placed["2000"]),
        ("2010", "2011", "2010"): _line(wire.placed["2010"]),
        ("2050", "2052", "2050"): _line(wire.rung["2052"]),
        ("2060", "2061", "2060"): _line(wire.rung["2061"]),
        ("2060", "2062", "2060"): _line(wire.rung["2062"]),
        ("2070", "2071", "2070"): _line(wire.rung["2071"]),
        ("2071", "2072", "2071"): _line(wire.rung["2072"]),
    }


# Q.850 of busy, rejected and given up. Of what a phone says Asterisk's CDRs keep only busy.
UNANSWERED = {
    "acme/hq/cdr": {"2021": 17, "2031": 19, "2041": 19, "2051": 19},
    "acme/hq/cel": {"2021": 17, "2031": 34, "2041": 127},
    "acme/lyon/acc": {"2021": 17, "2031": 21, "2041": 16},
    "acme/lyon/evapi": {"2021": 17, "2031": 21, "2041": 16},
}


@pytest.mark.timeout(120)
async def test_each_account_pays_what_the_wire_shows(network: Network) -> None:
    house = House(network, LICENCES, {"hq": "gateway", "lyon": "gateway"}, sync_s=1).build()
    sites = start(network, house)
    capture = network.start(Capture(network))
    async with AsyncExitStack() as stack, asyncio.TaskGroup() as group:
        for name, site in sites.items():
            group.create_task(calls(stack, network, site, room=name == "hq"))
    sources = until(lambda: complete(exported(house)), 20, "the last calls in each source")

    wires = {name: Wire(capture, site.registrar.host) for name, site in sites.items()}
    expected = {
        "acme/hq/cdr": asterisk_paid(wires["hq"], by_events=False),
        "acme/hq/cel": asterisk_paid(wires["hq"], by_events=True),
        "acme/lyon/acc": kamailio_paid(wires["lyon"]),
        "acme/lyon/evapi": kamailio_paid(wires["lyon"]),
    }
    sources["acme/hq/cdr"] = [as_dialled(cdr) for cdr in sources["acme/hq/cdr"]]
    for source, paid in expected.items():
        assert_paid(source, dues(sources[source]), paid)
    assert_room_by_cdr(dues(sources["acme/hq/cdr"]), wires["hq"])
    assert json.loads(house.command("cdr", "quarantine", "--json")) == []


def start(network: Network, house: House) -> dict[str, Site]:
    """Two PBXs, one agent in front of both, and each told to it in two ways."""
    asterisk = network.start(Asterisk(network, USERS, DIALPLAN, records=True))
    syslog, secret = (network.address(), SYSLOG), network.folder / "asterisk.secret"
    edge = network.address(), SIP
    kamailio = network.start(Registrar(network.folder / "pbx", network, edge, agent=(), records=syslog))
    secret.write_text(f"{SECRET}\n")
    hq = {
        "asterisk": {
            "manager": f"{asterisk.host}:{MANAGER_PORT}",
            "user": "pbx-agent",
            "secret": str(secret),
            "dialplan": "127.0.0.1:4573",
        },
        "cdrs": {
            "sources": [
                {"name": "cdr", "dialect": "asterisk_custom", "file": str(asterisk.records_file)},
                {"name": "cel", "dialect": "asterisk_ami_cel", "ami": True},
            ]
        },
    }
    to_syslog = {"syslog": f"udp:{syslog[0]}:{SYSLOG}", "allow": ["10.77.0.0/24"]}
    lyon = {
        "kamailio": {"rpc": f"{edge[0]}:{SIP}", "evapi": f"{edge[0]}:{EVAPI}"},
        "cdrs": {
            "sources": [
                {"name": "acc", "dialect": "kamailio_log", **to_syslog},
                {"name": "evapi", "dialect": "kamailio_json", "evapi": True},
            ]
        },
    }
    pbxs: Any = {"hq": asterisk, "lyon": kamailio}  # of a registrar its sites ask the host
    sites = house.agent("agent", pbxs, {"hq": hq, "lyon": lyon})
    until(lambda: all(map(listening, sites.values())), what="the agent listens for records")
    return sites


def listening(site: Site) -> bool:
    """Whether all sources are connected; the file is made with the first record."""
    return all(
        source["connected"] or source["transport"] == "file" for source in site.told()["cdrs"]["sources"]
    )


async def calls(stack: AsyncExitStack, network: Network, site: Site, *, room: bool) -> None:
    """All calls of one PBX at once, until the last is over."""
    talk, onward = Talking(TALK_S), Manner(RING_S, talking=Talking(ONWARD_S))

    async def phone(user: str, manner: Manner) -> Telephone:
        sock = network.udp(site.guard[0])
        made = Telephone(user, sock.getsockname(), (site.domain, SIP), site.guard)
        await asyncio.get_running_loop().create_datagram_endpoint(lambda: made, sock=sock)
        stack.callback(made.close)
        made.manner = manner
        assert (await made.register()).status == 200
        return made

    async def call(case: int, manner: Manner, talking: Talking, gives_up_s: float | None = None) -> None:
        phones = [await phone(f"20{case}{last}", how) for last, how in enumerate((onward, manner, onward))]
        await phones[0].place(f"20{case}1", talking, gives_up_s=gives_up_s)
        for each in (*phones, *phones):  # one may have drawn another in
            await each.idle()

    async def member(user: str, after_s: float, for_s: float) -> None:
        made = await phone(user, onward)
        await asyncio.sleep(after_s)
        await made.place("700", Talking(for_s))

    async with asyncio.TaskGroup() as group:
        group.create_task(call(0, Manner(RING_S), talk), name="the caller hangs up")
        group.create_task(call(1, Manner(RING_S, talking=talk), Talking()), name="the callee hangs up")
        group.create_task(call(2, Manner(RING_S, 486), talk), name="busy")
        group.create_task(call(3, Manner(RING_S, 603), talk), name="rejected")
        group.create_task(call(4, Manner(20.0), talk, gives_up_s=RING_S), name="unanswered")
        group.create_task(call(5, Manner(RING_S, 302, "2052"), Talking()), name="forwarded")
        by_callee, by_caller = Talking(TALK_S, "2062"), Talking(TALK_S, "2072")
        group.create_task(call(6, Manner(RING_S, talking=by_callee), Talking()), name="the callee transfers")
        group.create_task(call(7, Manner(RING_S), by_caller), name="the caller transfers")
        for user, (after_s, for_s) in ROOM.items() if room else ():
            group.create_task(member(user, after_s, for_s), name=f"{user} in the room")


def exported(house: House) -> dict[str, list[Cdr]]:
    """What the master exports, by source."""
    said = house.command("cdr", "export", "--from", "2026-01", "--to", "2098-12", "--format", "jsonl")
    found: dict[str, list[Cdr]] = {}
    for line in said.splitlines():
        cdr = msgspec.json.decode(line, type=Cdr)
        found.setdefault(cdr.source, []).append(cdr)
    return found


def as_dialled(cdr: Cdr) -> Cdr:
    """Of a channel that was led on, Asterisk's CDR of the part before names now the one, now the other."""
    return replace(cdr, called="2061") if (cdr.account, cdr.called) == ("2060", "2062") else cdr


def complete(sources: dict[str, list[Cdr]]) -> dict[str, list[Cdr]] | None:
    """These records, once the last calls of all are among them: those before came by the same way."""
    last = {"2062", "2072"}
    there = [last <= {cdr.called for cdr in sources.get(name, ()) if cdr.answer_ms} for name in UNANSWERED]
    return sources if all(there) else None


def assert_paid(source: str, found: list[Due], expected: Paid) -> None:
    """Exactly these accounts pay, for the seconds of the wire; the other calls that were placed are free."""
    paid = [
        due for due in found if due.free is None and (due.record.called != "700" or source.endswith("cel"))
    ]
    who = [(due.record.caller, due.record.called, due.account) for due in paid]
    assert sorted(who) == sorted(expected), source
    for due, parties in zip(paid, who, strict=True):
        begin_ms, end_ms = expected[parties]
        record = due.record
        assert record.answer_ms is not None
        off = (record.answer_ms - begin_ms, record.end_ms - end_ms, due.seconds * 1_000 - (end_ms - begin_ms))
        assert max(map(abs, off)) < WHOLE_MS, f"{source} {parties}: answer, end and seconds are {off} ms off"
    free = {due.record.called: due.record.cause for due in found if due.free is Free.UNANSWERED}
    assert free == UNANSWERED[source], source


def assert_room_by_cdr(found: list[Due], wire: Wire) -> None:
    """CDRs tell a room by pairs of members: a member pays something, and never more than his line."""
    for user in ROOM:
        paid = [due.seconds for due in found if due.free is None and due.account == user]
        begin_ms, end_ms = _line(wire.placed[user])
        assert 0 < sum(paid) * 1_000 < end_ms - begin_ms + WHOLE_MS * len(paid), user
