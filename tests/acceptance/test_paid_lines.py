"""Who pays a line to outside when a call is led on to it, and when who placed it leaves, by a real Asterisk.

A capture is the judge, as in test_paid_seconds. Numbers of the carrier begin with 0; each call has users of
its own.
"""

import asyncio
import json
from collections.abc import Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace

import pytest

from telephony.cdr.payer import dues
from telephony.cdr.record import Cdr
from tests.acceptance.house import House
from tests.acceptance.peers.asterisk import MANAGER_PORT, SECRET, Asterisk
from tests.acceptance.peers.capture import Capture
from tests.acceptance.peers.network import Network
from tests.acceptance.peers.page import shown
from tests.acceptance.peers.telephone import Manner, Talking, Telephone
from tests.acceptance.peers.waiting import until
from tests.acceptance.site import SIP, Site
from tests.acceptance.test_paid_seconds import (
    ONWARD_S,
    RING_S,
    TALK_S,
    WHOLE_MS,
    Span,
    Wire,
    exported,
    listening,
)

pytestmark = pytest.mark.real("asterisk")

CONSULT_S = 1.3
"""Neither this nor what is left of ONWARD_S is near a whole second."""
USERS = [str(user) for user in range(2100, 2200)]
LED_ON = shown("; extensions.conf")
DIALPLAN = f"""[default]
{LED_ON} same => n,Dial(PJSIP/${{EXTEN}},20)
{LED_ON.replace("_X.", "_0X.")} same => n,Dial(PJSIP/${{EXTEN}}@carrier,20)
"""
CARRIER = """[carrier](phone)
aors=carrier
[carrier](contacts)
contact=sip:{host}:5060
[carrier-lines]
type=identify
endpoint=carrier
match={host}
"""
TRUNKS = ["PJSIP/carrier-"]
RINGS = Manner(RING_S)
WAITS = Talking()
ENDS = Manner(RING_S, talking=Talking(ONWARD_S))


@dataclass(frozen=True, slots=True)
class Case:
    """A call of `caller` to `called`, and how that one takes it; `others` are phones that come in later."""

    caller: str
    called: str
    manner: Manner = RINGS
    talking: Talking = WAITS
    others: tuple[str, ...] = ()


CASES = (
    Case("0100", "2101", Manner(RING_S, 302, "0192")),
    Case("0101", "2111", Manner(RING_S, talking=Talking(TALK_S, "0193"))),
    Case("2120", "0194", talking=Talking(TALK_S, "0195")),
    Case("2130", "2131", Manner(RING_S, 302, "0196")),
    Case("2140", "2141", Manner(RING_S, talking=Talking(TALK_S, "0197"))),
    Case("2150", "0181", talking=Talking(TALK_S, "2152", CONSULT_S), others=("2152",)),
    Case("2160", "2161", Manner(RING_S, talking=Talking(TALK_S, "2162", CONSULT_S)), others=("2162",)),
    Case("2170", "2171", talking=Talking(TALK_S, "2172", CONSULT_S), others=("2172",)),
    Case("2180", "0182", talking=Talking(TALK_S, "0183", CONSULT_S)),
    Case("0102", "2191", Manner(RING_S, talking=Talking(TALK_S, "0184", CONSULT_S))),
    Case("2156", "0186", talking=Talking(TALK_S, "0187", 0.0)),
    Case("0103", "0185", talking=Talking(TALK_S)),
)
"""Forwarded to a line, transferred there by called or caller, after a consultation, passed through."""

Paid = dict[tuple[str, str], Span]
"""Who pays and what was called: from when to when by the wire."""


def by_events(wire: Wire) -> Paid:
    """Who placed a leg pays it from its answer to its end, whoever talks there by then."""
    rung, placed = wire.rung, wire.placed
    payers = {
        "0192": "2101", "0193": "2111", "0194": "2120", "0195": "2120", "0196": "2131", "0197": "2141",
        "0181": "2150", "2152": "2150", "2162": "2161", "2171": "2170", "2172": "2170", "0182": "2180",
        "0183": "2180", "0184": "2191", "0186": "2156", "0187": "2156",
    }  # fmt: skip
    led = {
        ("2130", "2131"): (placed["2130"].answer_ms, placed["2130"].end_ms),
        ("2140", "2141"): (placed["2140"].answer_ms, rung["0197"].end_ms),
        ("2160", "2161"): (placed["2160"].answer_ms, rung["2162"].end_ms),
    }
    return led | {(by, to): (rung[to].answer_ms, rung[to].end_ms) for to, by in payers.items()}


def by_records(wire: Wire) -> Paid:
    """Behind a blind transfer from the transfer on; of lines that go on only those without a new dst."""
    paid, rung, placed = by_events(wire), wire.rung, wire.placed
    onward = {
        ("2111", "0193"): (rung["2111"].refer_ms, rung["0193"].end_ms),
        ("2120", "0195"): (placed["2120"].refer_ms, rung["0195"].end_ms),
        ("2156", "0187"): (placed["2156"].refer_ms, rung["0187"].end_ms),
        ("2141", "0197"): (rung["2141"].refer_ms, rung["0197"].end_ms),
    }
    consulted = {
        (by, to): (rung[to].answer_ms, transfer.refer_ms)
        for by, to, transfer in (
            ("2120", "0194", placed["2120"]),
            ("2140", "2141", rung["2141"]),
            ("2150", "2152", placed["2150"]),
            ("2156", "0186", placed["2156"]),
            ("2161", "2162", rung["2161"]),
            ("2170", "2172", placed["2170"]),
            ("2180", "0183", placed["2180"]),
            ("2191", "0184", rung["2191"]),
        )
    }
    itself = {("2191", "2191"): (rung["2191"].refer_ms, rung["0184"].end_ms)}
    return paid | onward | consulted | itself


@pytest.mark.timeout(120)
async def test_who_leads_a_call_on_pays_the_line(network: Network) -> None:
    house = House(network, {"PBX-Port13": 60}, {"hq": "gateway"}, sync_s=1).build()
    carrier = network.address()
    pjsip = CARRIER.format(host=carrier)
    asterisk = network.start(Asterisk(network, USERS, DIALPLAN, pjsip=pjsip, records=True))
    site = started(network, house, asterisk)
    capture = network.start(Capture(network))
    async with AsyncExitStack() as stack:
        await calls(stack, network, site, carrier)
    sources = until(lambda: complete(exported(house)), 20, "the last calls in each source")

    wire = Wire(capture, asterisk.host)
    assert_paid("cdr", map(as_dialled, sources["acme/hq/cdr"]), by_records(wire))
    assert_paid("cel", sources["acme/hq/cel"], by_events(wire))
    assert json.loads(house.command("cdr", "quarantine", "--json")) == []


def started(network: Network, house: House, asterisk: Asterisk) -> Site:
    """One agent in front of it, to which each call is told in two ways."""
    secret = network.folder / "asterisk.secret"
    secret.write_text(f"{SECRET}\n")
    manager = {"manager": f"{asterisk.host}:{MANAGER_PORT}", "user": "pbx-agent", "secret": str(secret)}
    file = str(asterisk.records_file)
    sources = [
        {"name": "cdr", "dialect": "asterisk_custom", "file": file, "trunks": TRUNKS},
        {"name": "cel", "dialect": "asterisk_ami_cel", "ami": True, "trunks": TRUNKS},
    ]
    pbxs: dict[str, Asterisk] = {"hq": asterisk}
    entry = {"asterisk": {**manager, "dialplan": "127.0.0.1:4573"}, "cdrs": {"sources": sources}}
    site = house.agent("agent", pbxs, {"hq": entry})["hq"]  # type: ignore[arg-type]  # it asks the host alone
    until(lambda: listening(site), what="the agent listens for records")
    return site


async def calls(stack: AsyncExitStack, network: Network, site: Site, carrier: str) -> None:
    """All calls at once, until the last is over."""
    pbx = (site.registrar.host, SIP)

    async def phone(user: str, manner: Manner, port: int = 0) -> Telephone:
        outside = user.startswith("0")
        sock = network.udp(carrier if outside else site.guard[0], port)
        domain, proxy = (pbx, pbx) if outside else ((site.domain, SIP), site.guard)
        made = Telephone(user, sock.getsockname(), domain, proxy)
        await asyncio.get_running_loop().create_datagram_endpoint(lambda: made, sock=sock)
        stack.callback(made.close)
        made.manner = manner
        assert outside or (await made.register()).status == 200
        return made

    lines = await phone("0", ENDS, SIP)
    lines.manners = {case.called: RINGS for case in CASES if case.called.startswith("0")}

    async def call(case: Case) -> None:
        answering = () if case.called.startswith("0") else (await phone(case.called, case.manner),)
        others = [await phone(user, ENDS) for user in case.others]
        caller = await phone(case.caller, ENDS)
        await caller.place(case.called, case.talking)
        for each in (*answering, *others, *answering, lines):
            await each.idle()

    async with asyncio.TaskGroup() as group:
        for case in CASES:
            group.create_task(call(case), name=f"{case.caller} to {case.called}")


def complete(sources: dict[str, list[Cdr]]) -> dict[str, list[Cdr]] | None:
    """These records, once the last of each source are among them."""
    last = {
        "cdr": {"0181", "0182", "2161", "2171", "0195", "0187"},
        "cel": {"0183", "0184", "2162", "2172", "0195", "0187"},
    }
    there = [
        wanted <= {cdr.called for cdr in sources.get(f"acme/hq/{name}", ())} for name, wanted in last.items()
    ]
    return sources if all(there) else None


def assert_paid(source: str, records: Iterable[Cdr], expected: Paid) -> None:
    """Exactly these accounts pay, for the seconds of the wire; a line may be told in several records."""
    paid: dict[tuple[str, str], list[int]] = {}
    for due in dues(records):
        if due.free is None:
            paid.setdefault((due.account, due.record.called), []).append(due.seconds)
    assert sorted(paid) == sorted(expected), source
    for parties, seconds in paid.items():
        begin_ms, end_ms = expected[parties]
        off_ms = sum(seconds) * 1_000 - (end_ms - begin_ms)
        assert -WHOLE_MS < off_ms < WHOLE_MS * len(seconds), f"{source} {parties}: {off_ms} ms off"


def as_dialled(cdr: Cdr) -> Cdr:
    """Of a channel that was led on, Asterisk's CDR of the part before names now the one, now the other."""
    return replace(cdr, called="2141") if (cdr.account, cdr.called) == ("2140", "0197") else cdr
