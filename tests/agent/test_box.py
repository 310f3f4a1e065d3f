"""The box beside its site, and gateways whose lines are closed: an agent that sees what it is shown."""

import asyncio
import ssl
from collections.abc import Callable, Collection
from pathlib import Path

import msgspec
import pytest
from cryptography import x509

from agent.config import AgentConfig
from agent.edges.device import asked, mac_of
from agent.edges.doctor import hardware
from agent.edges.hardware import examine
from agent.edges.machine import machine
from agent.service.status import facts
from licensing import wire
from licensing.box.link import Link, Neighbour, Way
from licensing.box.proof import Sight
from licensing.box.sighting import Sighting
from runtime.config import ConfigErrors, parse
from tests.agent.conftest import CONFIG, House
from tests.agent.scripted_pbx import header
from tests.authority import Authority

MAC, OTHER = "009033010203", "00903301ffff"
BOX = wire.Box(MAC, code="mac_unprovable")
ETH0 = Link(2, "eth0", OTHER, OTHER, "pci")
GATEWAY = '      - {kind: gateway, name: gw1, aor: ["gw1"], interfaces: ["pri1"]}\n'


class Eyes:
    """What looks at links and neighbours, in the hands of the test."""

    def __init__(self) -> None:
        self.addresses: list[Collection[str]] = []
        self.opened = asyncio.Event()
        self._saw: Callable[[Sight], None]

    def __call__(self, addresses: Collection[str]) -> "Eyes":
        self.addresses.append(addresses)
        return self

    async def run(self, saw: Callable[[Sight], None]) -> None:
        self._saw = saw
        self.opened.set()
        await asyncio.Event().wait()

    def show(self, mac: str) -> None:
        """The PBX, at 127.0.0.1, is a neighbour that answers with this MAC."""
        rows = (Neighbour(2, "127.0.0.1", mac, 2),)
        self._saw(Sight((ETH0,), rows, (Way("neighbour", "127.0.0.1", 2),)))


def obeyed(house: House, etag: str, **changes: object) -> None:
    """The master's policy from the next answer on."""
    house.master.policy = msgspec.structs.replace(house.master.policy, etag=etag, **changes)


async def relay(house: House, state: str) -> Sighting:
    """What the next sync tells that has the box in this state."""
    while True:
        _, message = await house.heard()
        if message.relay is not None and message.relay.state == state:
            return message.relay


def refused(house: House) -> list[tuple[str, str | None]]:
    """The objects that history says were refused, with the codes."""
    messages = (msgspec.json.decode(body, type=wire.Hello) for _, body in house.master.requests)
    rows = {row.n: row for message in messages for row in message.activity if row.event == "refused"}
    return [(row.object, row.code) for _, row in sorted(rows.items())]


async def test_nothing_is_looked_at_before_a_master_asks(house: House) -> None:
    house.watch = eyes = Eyes()
    async with house.running():
        await house.sync()
        assert (await facts(house.lyon, house.main.clock))["box"]["mac"] is None
        assert eyes.addresses == []


async def test_what_is_seen_is_told_at_once_and_doubt_is_an_alarm(house: House) -> None:
    house.watch = eyes = Eyes()
    obeyed(house, "asks", box=BOX)
    async with house.running():
        await house.sync()
        async with asyncio.timeout(10):
            await eyes.opened.wait()
        assert eyes.addresses == [["127.0.0.1"]]
        assert house.status()["alarms"] == []
        eyes.show("")
        assert [alarm["code"] for alarm in house.status()["alarms"]] == ["mac_unprovable"]
        eyes.show(MAC)
        assert house.status()["alarms"] == []
        said = await relay(house, "proven")
        assert (said.mac, said.proof, said.seen) == (MAC, "neighbour", (MAC,))
        obeyed(house, "believes", box=wire.Box(MAC))
        await house.sync()
        assert house.status()["alarms"] == []
        obeyed(house, "doubts", box=wire.Box(MAC, code="mac_mismatch", counts=False))
        eyes.show(OTHER)
        assert (await relay(house, "changed")).seen == (OTHER,)
        await house.sync()
        (alarm,) = house.status()["alarms"]
        why = "127.0.0.1 on eth0 answers with 00-90-33-01-ff-ff"
        assert (alarm["code"], alarm["hint"].startswith(f"{why}. Nothing bound to it counts.")) == (
            "mac_mismatch",
            True,
        )
        known = {"lyon": await facts(house.lyon, house.main.clock)}
        (finding,) = hardware.checks(house.lyon.entry, known)
        assert finding.state == "failed"
        assert finding.detail == f"00-90-33-01-02-03: mac_mismatch, {why}; what is bound to it does not count"
    async with house.running():  # the stored policy asks: no answer is waited for
        async with asyncio.timeout(10):
            await eyes.opened.wait()
        assert [alarm["code"] for alarm in house.status()["alarms"]] == ["mac_mismatch"]


async def test_a_gateway_registers_only_while_a_licence_opens_its_interface(house: House) -> None:
    house.objects = GATEWAY
    obeyed(house, "closed", lines={"pri1": 0, "pri": 0, "bri": 2})
    async with house.running():
        await house.sync()
        phone = await house.phone()
        phone.register(house.guard, "gw1")
        answer = await phone.answer()
        assert answer.startswith(b"SIP/2.0 403 ")
        assert header(answer, b"Warning").endswith(b'"relay_missing: No Relay licence opens this interface"')
        assert await house.register("201") == 200
        obeyed(house, "open", lines={"pri1": 30, "pri": 0, "bri": 2})
        await house.sync()
        assert await phone.registered(house.guard, "gw1") == 200
        doubted = wire.Box(MAC, code="mac_cloned", counts=False)
        obeyed(house, "cloned", lines={"pri1": 0, "pri": 0, "bri": 2}, box=doubted)
        house.watch = Eyes()
        await house.sync()
        assert await phone.registered(house.guard, "gw1") == 200, "a refresh is never refused"
        assert await phone.registered(house.guard, "gw1", expires=0) == 200
        phone.register(house.guard, "gw1")  # its seat lingers, and is no way in
        assert b"mac_cloned" in header(await phone.answer(), b"Warning")
        obeyed(house, "report", enforcement="report")
        await house.sync()
        assert await phone.registered(house.guard, "gw1") == 200
        assert refused(house) == [("gw1", "relay_missing"), ("gw1", "mac_cloned")]


def test_interfaces_are_those_of_one_object(tmp_path: Path) -> None:
    sip = '{listen: ["udp:127.0.0.1:5060"], pbx: "udp:127.0.0.1:5070"}'
    text = CONFIG.format(data=tmp_path, sip=sip, away="refuse")
    rows = '    objects:\n      - {kind: trunk, aor: ["gw*"], interfaces: ["pri1"]}\n'
    with pytest.raises(ConfigErrors, match="give this row a name"):
        parse(text.replace("    objects:\n", rows), "agent.yaml", AgentConfig)
    box = '    unknown: user\n    box: {address: "gateway.example"}\n'
    with pytest.raises(ConfigErrors, match="write the IP address of the box"):
        parse(text.replace("    unknown: user\n", box), "agent.yaml", AgentConfig)


async def test_hardware_is_shown_without_an_agent(tmp_path: Path) -> None:
    """By the kernel of this very machine, whatever it has."""
    sip = '{listen: ["udp:127.0.0.1:5060"], pbx: "udp:127.0.0.1:5070"}'
    config = parse(CONFIG.format(data=tmp_path, sip=sip, away="refuse"), "agent.yaml", AgentConfig)
    found = await examine(config, {}, tmp_path)
    (row,) = found["pbxs"]
    assert (row["way"], row["state"], row["counts"]) == ("this host", "", None)
    assert "the running agent knows which MAC to look for" in row["found"]
    assert found["machine"]["words"] == "virtual or real: cannot be told"
    told = {"lyon": {"mac": MAC, "virtual": False, "code": "mac_mismatch", "counts": False}}
    (row,) = (await examine(config, told))["pbxs"]
    assert (row["mac"], row["counts"]) == ("00-90-33-01-02-03", False)
    assert row["state"] in ("changed", "unprovable")
    assert row["hint"].startswith("Use it at its own box")


def test_the_machine_is_read_below_a_root(tmp_path: Path) -> None:
    dmi = tmp_path / "sys/class/dmi/id"
    dmi.mkdir(parents=True)
    (dmi / "sys_vendor").write_text("VMware, Inc.\n")
    (dmi / "product_name").write_text("VMware7,1\n")
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/machine-id").write_text("0123456789abcdef0123456789abcdef\n")
    found = machine(tmp_path)
    assert (found.virtual, found.words) == (True, "a virtual machine (VMware, Inc. VMware7,1)")
    assert len(found.id) == 16
    assert found.id not in "0123456789abcdef0123456789abcdef"
    assert machine(tmp_path / "nothing").words == "virtual or real: cannot be told"


@pytest.mark.parametrize("name", ["00:90:33:01:02:03", "IP811-009033010203", "009033010203"])
async def test_a_device_proves_its_mac_by_its_certificate(tmp_path: Path, name: str) -> None:
    authority, stranger = Authority(tmp_path / "ca"), Authority(tmp_path / "other")
    files = authority.issue(name)
    assert mac_of(x509.load_pem_x509_certificate(files.certificate.read_bytes())) == MAC
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certificate, files.key)
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    sip = '{listen: ["udp:127.0.0.1:5060"], pbx: "udp:127.0.0.1:5070"}'

    def entry(ca: Path, port: int = port) -> AgentConfig:
        text = CONFIG.format(data=tmp_path, sip=sip, away="refuse")
        box = f'    box: {{certificate: {{ca: "{ca}", port: {port}}}}}\n'
        return parse(
            text.replace("    unknown: user\n", f"    unknown: user\n{box}"), "agent.yaml", AgentConfig
        )

    async with server:
        assert await asked(entry(authority.certificate).pbxs[0]) == MAC
        assert await asked(entry(stranger.certificate).pbxs[0]) == "", "not of the maker"
    assert await asked(entry(authority.certificate, 1).pbxs[0]) is None, "nobody answers"
