"""The shipped route file in a real Kamailio: it tells what it holds, and asks as the SIP edge."""

import asyncio
import json
import os
import re
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from agent.config import PbxEntry
from agent.edges.doctor.finding import Finding
from agent.edges.doctor.kamailio import checks as kamailio_checks
from agent.edges.kamailio.driver import Kamailio as Driver
from agent.edges.kamailio.driver import KamailioSession
from agent.edges.kamailio.reg_event import Watched
from agent.endpoint import Address as Here
from agent.kamailio import Kamailio as Settings
from agent.service.driver import LinkLostError
from demo.phone import Phone
from demo.sip import Address, Message
from runtime.clock import SystemClock
from telephony.pbx.picture import Change, Contact, Picture
from tests.acceptance.house import House
from tests.acceptance.peers.kamailio import EVAPI, Registrar
from tests.acceptance.peers.network import Ground, Loopback, Network
from tests.acceptance.peers.processes import Command
from tests.acceptance.peers.waiting import until
from tests.acceptance.site import SIP, Site, Ways, agent_configuration

pytestmark = pytest.mark.real("kamailio")

LOOPBACK = Loopback()
NOTIFIED = 5071
INJECTED = (
    Path(__file__).parent.parent / "telephony" / "recorded" / "kamailio" / "evapi-injected-user-agent.jsonl"
)


async def eventually(condition: Callable[[], bool], what: str) -> None:
    """Wait for what happens on this event loop."""
    await asyncio.to_thread(until, condition, what=what)


class Hostile(Phone):
    """It calls itself what the recording has, and more."""

    def _request(self, *words: Any) -> Message:
        made = super()._request(*words)
        made.put("User-Agent", ['evil","rc":3,"x":"\r\n\tset - 1 0\r\n sip:2002@evil\r\n 0 sip:2002@evil'])
        return made


class Once(Phone):
    """It sends nothing twice, as over TCP: what is not answered then is silence."""

    sent: bytes = b""

    def send_bytes(self, data: bytes, to: Address) -> None:
        if data != self.sent:
            super().send_bytes(data, to)
        self.sent = data


class Folding(Phone):
    """Its contact is folded into what looks like lines of the route file."""

    def _request(self, *words: Any) -> Message:
        made = super()._request(*words)
        made.put("Contact", [f"<{self.contact};x=\r\n 0 sip:2003@evil\r\n\t99 sip:2003@evil>"])
        return made


class Bytes(Phone):
    """Its contact has a byte that is no UTF-8."""

    def send_bytes(self, data: bytes, to: Address) -> None:
        super().send_bytes(data.replace(b"Contact: <sip:2001@", b"Contact: <sip:2001\xff@"), to)


class Seen:
    """A driver at work, as the observer uses it."""

    def __init__(self, session: KamailioSession, picture: Picture) -> None:
        self.session = session
        self.picture = picture

    async def resync(self) -> None:
        """Ask for everything."""
        self.picture.ask()
        self.picture.settle(await self.session.snapshot())

    def subscribed(self, aor: str) -> bool:
        """Whether Kamailio has answered the SUBSCRIBE for this AOR."""
        assert self.session.reg_event is not None
        return self.session.reg_event.stands(aor)

    def trouble(self) -> str:
        """What is wrong with the subscriptions."""
        assert self.session.reg_event is not None
        return self.session.reg_event.trouble

    def contacts(self) -> set[tuple[str, str]]:
        """What it shows."""
        return {contact.key for contact in self.picture.contacts()}


@asynccontextmanager
async def observed(registrar: Registrar, *, reg_event: bool = False) -> AsyncIterator[Seen]:
    """A driver of this Kamailio that has taken its first snapshot; it hears of changes by evapi or NOTIFY."""
    told = (
        {"reg_event": f"{registrar.host}:{NOTIFIED}"} if reg_event else {"evapi": f"{registrar.host}:{EVAPI}"}
    )
    settings = Settings.model_validate({"rpc": f"{registrar.host}:{registrar.port}", **told})
    watched = Watched(Here(registrar.host, registrar.port), registrar.host, ("2001",))
    picture = Picture()

    def changed(change: Change) -> None:
        picture.change(change)

    async with Driver(settings, SystemClock(), watched).connect(changed) as session:
        seen = Seen(session, picture)
        await seen.resync()
        yield seen


@asynccontextmanager
async def phone_of(
    registrar: Registrar, user: str, make: type[Phone] = Phone, ground: Ground = LOOPBACK
) -> AsyncIterator[Phone]:
    """A phone beside this Kamailio."""
    sock = ground.udp(registrar.host)
    here = (registrar.host, registrar.port)
    phone = make(user, sock.getsockname(), here, here)
    await asyncio.get_running_loop().create_datagram_endpoint(lambda: phone, sock=sock)
    try:
        yield phone
    finally:
        phone.close()


def examined(registrar: Registrar, **more: object) -> list[Finding]:
    """What `pbx-agent doctor` says of this Kamailio."""
    here = f"{registrar.host}:{registrar.port}"
    evapi = {} if "reg_event" in more else {"evapi": f"{registrar.host}:{EVAPI}"}
    kamailio = {"rpc": here, **evapi, **(more or {"asks": True})}
    sip: dict[str, object] = {"pbx": f"udp:{here}"}
    if more:
        sip["listen"] = ("udp:127.0.0.9:5060",)
    calls = {"lines": ({"aor": ("7000",)},)}
    entry = {"name": "hq", "software": 13, "sip": sip, "kamailio": kamailio, "calls": calls if more else {}}
    return list(kamailio_checks(PbxEntry.model_validate(entry)))


def own_address() -> str:
    """A loopback address that no other process of the tests has."""
    return f"127.78.{os.getpid() >> 8 & 255}.{os.getpid() & 255}"


async def test_the_driver_shows_what_a_real_kamailio_holds(tmp_path: Path) -> None:
    """rc 1, 2 and 3, expiry, ul.rm, a hostile User-Agent and Contact, a restart."""
    recorded = json.loads(INJECTED.read_text(), object_pairs_hook=lambda pairs: pairs)
    assert [value for key, value in recorded if key == "rc"] == [1, 3]  # what a plain parser reads as removed
    with Registrar(tmp_path, LOOPBACK, (own_address(), SIP), agent=()) as registrar:
        async with observed(registrar) as seen, phone_of(registrar, "2001") as first:
            async with phone_of(registrar, "2001") as second:
                assert seen.contacts() == set()  # an empty table is an empty set
                await first.register(60)  # rc 1
                await eventually(lambda: seen.contacts() == {("2001", first.contact)}, what="rc 1")
                (contact,) = seen.picture.contacts()
                left_ms = (contact.expires_ms or 0) - SystemClock().monotonic_ms()
                assert 57_000 < left_ms <= 60_000  # what was granted, by our own clock
                await first.register(90)  # rc 2
                await eventually(
                    lambda: seen.picture.contacts()[0].expires_ms != contact.expires_ms, what="rc 2"
                )
                await second.register(1)  # nobody refreshes it
                both = {("2001", first.contact), ("2001", second.contact)}
                await eventually(lambda: seen.contacts() == both, what="a second device")
                second.close()
                await eventually(lambda: seen.contacts() == {("2001", first.contact)}, what="expiry")
            await first.unregister()  # rc 3
            await eventually(lambda: seen.contacts() == set(), what="rc 3")
            async with phone_of(registrar, "2002", Hostile) as hostile:
                assert (await hostile.register()).status == 200
                await eventually(
                    lambda: seen.contacts() == {("2002", hostile.contact)}, what="whatever it calls itself"
                )
            before = seen.contacts()
            await seen.resync()
            assert seen.contacts() == before  # the table and the frames name it alike
            async with phone_of(registrar, "2003", Folding) as folding:
                await folding.register()  # whatever Kamailio makes of it
            assert before <= seen.contacts()
            await seen.resync()
            assert not [uri for aor, uri in seen.contacts() if uri == "sip:2003@evil"]

            for aor in registrar.contacts():
                registrar.rpc("ul.rm", "location", aor)
            await seen.resync()
            assert seen.contacts() == set()  # evapi said nothing
            await first.register()
            await eventually(lambda: len(seen.contacts()) == 1, what="the phone")
            await seen.session.evict(seen.picture.contacts()[0])
            assert registrar.contacts() == {}
            await seen.session.evict(Contact("2001", "sip:nobody@127.0.0.1"))  # gone already

            assert [found.state for found in examined(registrar)] == ["ok", "ok"]
            said = [examined(registrar, dialogs=dialogs)[-1] for dialogs in (True, False)]
            assert [found.state for found in said] == ["failed", "warning"]
            assert "Method Not Found" in said[0].detail
            registrar.kill()
            assert [found.state for found in examined(registrar)] == ["failed", "failed"]
            with pytest.raises(LinkLostError):
                await seen.session.ended()
            with pytest.raises(LinkLostError):
                await seen.session.snapshot()


@pytest.mark.real("presence_reginfo")
async def test_reg_event_tells_what_a_kamailio_holds_whose_script_is_not_ours(tmp_path: Path) -> None:
    """RFC 3680: a registration, a second device, ul.rm, an expiry, the last one, a contact for ever.

    2001 stands in agent.yaml; 2002 is subscribed to when the table first shows it.
    """
    with Registrar(tmp_path, LOOPBACK, (own_address(), SIP), reg_event=True) as registrar:
        async with observed(registrar, reg_event=True) as seen, phone_of(registrar, "2001") as anna:
            await anna.register(60)
            await eventually(lambda: seen.contacts() == {("2001", anna.contact)}, what="a registration")
            async with phone_of(registrar, "2001", Hostile) as desk:
                await desk.register(2)
                both = {("2001", anna.contact), ("2001", desk.contact)}
                await eventually(lambda: seen.contacts() == both, what="a second device")
                desk.close()  # it refreshes no more
                await eventually(lambda: seen.contacts() == {("2001", anna.contact)}, what="its expiry")
            registrar.rpc("ul.rm", "location", "2001")
            await eventually(lambda: seen.contacts() == set(), what="ul.rm, at once")

            await anna.register(2)
            await eventually(lambda: seen.contacts() == {("2001", anna.contact)}, what="it is back")
            anna.close()
            await eventually(lambda: seen.contacts() == set(), what="the expiry of the last contact")

            async with phone_of(registrar, "2002") as bert:
                await bert.register(60)
                await seen.resync()
                assert seen.contacts() == {("2002", bert.contact)}
                await eventually(lambda: seen.subscribed("2002"), what="its subscription")
                await bert.unregister()
                await eventually(lambda: seen.contacts() == set(), what="an un-REGISTER")
            trunk = "sip:trunk@192.0.2.1;x=1"
            registrar.rpc("ul.add", "location", "2001", trunk, 0, 1.0, "", 0, 0, 0)
            await eventually(lambda: seen.contacts() == {("2001", trunk)}, what="a contact for ever")
            assert [contact.expires_ms for contact in seen.picture.contacts()] == [None]
            await seen.resync()
            assert seen.contacts() == {("2001", trunk)}
            told = examined(registrar, reg_event=f"{registrar.host}:{NOTIFIED}")[1]
            assert (told.check, told.state) == ("reg_event", "ok")
            registrar.kill()
            told = examined(registrar, reg_event=f"{registrar.host}:{NOTIFIED}")[1]
            assert (told.check, told.state) == ("reg_event", "failed")


@pytest.mark.real("presence_reginfo")
@pytest.mark.timeout(120)
async def test_who_goes_around_the_guard_is_counted_by_reg_event(network: Network) -> None:
    """The table is read once: all that follows came by NOTIFY."""
    house = House(network, {"PBX-Port13": 2}, {"hq": "gateway"}, sync_s=1).build()
    objects = [{"kind": "user", "aor": ["1001", "1002"]}, *GROUPS]
    site = house.site("hq", reg_event=True, objects=objects)
    async with phone_of(site.registrar, "1001", ground=network) as around, site.handset("1002") as phone:
        assert (await around.register()).status == (await phone.register()).status == 200
        site.wait_counts(used=2, surplus=0)
        site.registrar.rpc("ul.rm", "location", "1001")
        site.wait_counts(used=1)
        assert site.told()["observed"]["contacts"] == 1
        assert site.told()["observed"]["trouble"] == ""
        assert (await phone.unregister()).status == 200
        site.wait_counts(used=0)
    house.assert_never_over()


async def test_a_script_that_answers_no_subscribe_is_named(tmp_path: Path) -> None:
    """The table is read all the same."""
    with Registrar(tmp_path, LOOPBACK, (own_address(), SIP)) as registrar:
        async with observed(registrar, reg_event=True) as seen, phone_of(registrar, "2001") as anna:
            await anna.register(60)
            await eventually(lambda: seen.trouble() != "", what="the answer")
            assert seen.trouble() == "reg event of 2001: Kamailio answers 403 to SUBSCRIBE"
            await seen.resync()
            assert seen.contacts() == {("2001", anna.contact)}
        told = examined(registrar, reg_event=f"{registrar.host}:{NOTIFIED}")[1]
        assert (told.check, told.state) == ("reg_event", "failed")
        assert "answers SUBSCRIBE by 403" in told.detail


async def test_a_contact_that_is_no_utf_8_ends_nothing(tmp_path: Path) -> None:
    with Registrar(tmp_path, LOOPBACK, (own_address(), SIP), agent=()) as registrar:
        async with observed(registrar) as seen, phone_of(registrar, "2001", Bytes) as phone:
            await phone.register(60)
            await eventually(lambda: len(seen.contacts()) == 1, what="whatever it is named")
            before = seen.contacts()
            await seen.resync()
            assert seen.contacts() == before


def both_sites(house: House) -> tuple[Site, Site]:
    """One agent that stands in front of one Kamailio as guard, and is asked by another, which is the edge."""
    network, folder = house.network, house.network.folder / "agent"
    guard, pbx, edge = network.address(), network.address(), network.address()
    behind = network.start(Registrar(network.folder / "pbx-guarded", network, (pbx, SIP)))
    asking = network.start(
        Registrar(network.folder / "pbx-asked", network, (edge, SIP), agent=("PBX_AGENT_ASKS",))
    )
    kamailio = {"rpc": f"{edge}:{SIP}", "evapi": f"{edge}:{EVAPI}", "asks": True, "resync_s": 5}
    made = agent_configuration("guarded", guard, pbx, objects=GROUPS)
    sip = {"pbx": f"udp:{edge}:{SIP}"}
    made["pbxs"] += agent_configuration("asked", edge, edge, sip=sip, kamailio=kamailio, objects=GROUPS)[
        "pbxs"
    ]
    folder.mkdir()
    (folder / "agent.yaml").write_text(json.dumps(made))
    for name in ("guarded", "asked"):
        house.join(name, folder / "agent.yaml")
    words = ["pbx-agent", "run", "--config", str(folder / "agent.yaml")]
    agent = network.start(Command(network, "agent", words, ready="questions.open"))
    for name, at, registrar in (("guarded", guard, behind), ("asked", edge, asking)):
        here = (at, SIP)
        house.sites[name] = Site(name, here, registrar, agent, network, {"udp": here}, Ways())
        until(partial(in_sync, house, name), what=f"{name} in sync")
    return house.sites["guarded"], house.sites["asked"]


def in_sync(house: House, name: str) -> bool:
    """Whether the agent of this site has its share."""
    return house.state(name) == "in_sync"


GROUPS = [{"kind": "group", "aor": ["19??"]}, {"kind": "user", "aor": ["*"]}]
NONE_FREE = 'No free licence: 399 "no_free_licence: No free licence"'
MASTER_AWAY = 'The licence master cannot be reached: 399 "master_away: The licence master cannot be reached"'

# Phone, seconds (0: un-REGISTER), what it hears, units in use then: a plain day of a site with two units.
DAY = """
1001  60  200 OK            1
1002  60  200 OK            2
1003  60  403 NONE_FREE     2   # the third of two
1001b 60  200 OK            2   # a further device
1900  60  200 OK            2   # a group draws nothing
77    60  404 Unknown user  2   # what the PBX refuses
1002  0   200 OK            1
1003  60  200 OK            2   # gets what was left
1001  90  200 OK            2   # a refresh
1002  60  403 NONE_FREE     2
stop the master
1001  60  200 OK            2   # a refresh needs nobody
1002  60  403 MASTER_AWAY   2
go on
1001  0   200 OK            2
1001b 0   200 OK            1
1003  0   200 OK            0
1900  0   200 OK            0
"""


async def live(house: House, site: Site) -> None:
    """Every phone hears what the day says, and the site counts it."""
    day = DAY.replace("NONE_FREE", NONE_FREE).replace("MASTER_AWAY", MASTER_AWAY)
    async with AsyncExitStack() as stack:
        phones: dict[str, Phone] = {}
        for line in day.strip().splitlines():
            step = line.partition("#")[0].rstrip()
            if step == "stop the master":
                house.master.freeze()
                continue
            if step == "go on":
                house.master.thaw()
                continue
            read = re.fullmatch(r"(\S+) +(\d+) +(.+?) +(\d)", step)
            assert read is not None, step
            name, seconds, answer, used = read.groups()
            if name not in phones:
                phones[name] = await stack.enter_async_context(site.handset(name.rstrip("b")))
            outcome = await phones[name].register(int(seconds))
            warning = outcome.warning.replace(f"399 {site.name} ", "399 ")
            heard = f"{outcome.status} {outcome.reason}" + (f": {warning}" if warning else "")
            assert heard == answer, (site.name, step)
            site.wait_counts(used=int(used), reserved=0, surplus=0)
    house.wait_used(0)  # until the master has heard of it, what was given back is nobody else's


@pytest.mark.timeout(180)
async def test_kamailio_as_edge_gives_the_results_of_the_guard_and_a_dead_agent_is_a_policy(
    network: Network,
) -> None:
    pbxs = {"guarded": "gateway", "asked": "gateway"}
    house = House(network, {"PBX-Port13": 2}, pbxs, sync_s=1).build()
    guarded, asked = both_sites(house)
    for site in (guarded, asked):
        await live(house, site)
        house.assert_never_over()

    async with once(asked, "1001") as first, asked.handset("1002") as second:
        async with once(asked, "1003") as third:
            assert (await first.register()).status == (await second.register()).status == 200
            asked.wait_counts(used=2)
            asked.agent.freeze()  # alive, and silent
            for _ in range(2):  # what is asked at once, and what comes later
                both = await asyncio.gather(first.register(), third.register())
                assert [each.reason for each in both] == ["OK", "The PBX agent is away"]
            asked.agent.thaw()
            await eventually_registers(third, 403)
            asked.agent.kill()
            assert (await third.register()).status == 503
            assert (await first.register()).status == 200
            asked.agent.start()
            asked.wait_counts(used=2, surplus=0)
            await eventually_registers(third, 403)
            await second.unregister()
            asked.wait_counts(used=1)
            assert (await third.register()).status == 200
            asked.wait_counts(used=2)
            await third.unregister()
        await first.unregister()
        asked.wait_counts(used=0)

    asked.agent.end()  # a killed one may find bindings on disk that have ended since
    asked.registrar.end()
    admitting = Registrar(
        asked.registrar.folder,
        network,
        (asked.domain, SIP),
        agent=("PBX_AGENT_ASKS", "PBX_AGENT_AWAY_ADMITS"),
    )
    with admitting:
        async with asked.handset("1003") as third, phone_of(admitting, "1004", Hostile, network) as hostile:
            assert (await third.register()).status == (await hostile.register()).status == 200
            asked.agent.start()
            asked.wait_counts(used=2)  # counted as soon as it is back
            assert (await hostile.unregister()).status == 200
            asked.wait_counts(used=1)
    house.assert_never_over()


def once(site: Site, user: str) -> AbstractAsyncContextManager[Phone]:
    """A phone of this site that sends nothing twice."""
    return phone_of(site.registrar, user, Once, site.network)


async def eventually_registers(phone: Phone, status: int) -> None:
    """Until the agent has told Kamailio that it is there."""
    loop = asyncio.get_running_loop()

    def answered() -> bool:
        return asyncio.run_coroutine_threadsafe(phone.register(), loop).result().status == status

    await eventually(answered, what=f"{status} for {phone.user}")
