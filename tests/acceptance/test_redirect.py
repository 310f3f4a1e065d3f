"""What the redirect does with single packets: plain sockets stand for phone, agent and PBX.

The phone is on another host, where packets come in from outside. test_deployment.py has the real programs.
"""

import json
import re
import socket
import sys
from pathlib import Path

import pytest

from agent.edges.firewall import ruleset
from agent.edges.firewall.loaded import read
from agent.edges.firewall.passage import Passage
from agent.endpoint import Address
from tests.acceptance.peers.host import Host
from tests.acceptance.peers.installed import own_command
from tests.acceptance.peers.network import Network, program
from tests.acceptance.peers.packets import (
    AGENT,
    BYE,
    INVITE,
    OK,
    PBX,
    PHONE,
    REGISTER,
    SO_NO_CHECK,
    TRACKING,
    Where,
    command,
    emptied,
    listening,
    nft,
    opened,
    received,
    write_config,
)
from tests.acceptance.peers.systemd import Systemd, SystemdRefusedError
from tests.acceptance.peers.waiting import until

pytestmark = pytest.mark.real("nft")


class Scene:
    """A PBX and an agent on one host, a phone on another; `v6` in IPv6."""

    def __init__(self, network: Network, v6: bool = False) -> None:
        self.network = network
        self.phones = network.start(Host(network, "phones", 1))
        if v6:
            network.ip("-6", "address add fd77::2/64 dev pbx0 nodad")
        self.pbx_host, self.phone_host = (
            ("fd77::2", "fd77:1::254") if v6 else (network.address(), "10.77.1.254")
        )
        self.pbx = opened(network, self.pbx_host, PBX)
        self.agent = opened(network, self.pbx_host, AGENT)
        self.phone = opened(self.phones, self.phone_host, PHONE)
        write_config(network, [f"udp:{Address(self.pbx_host, AGENT)}"], Address(self.pbx_host, PBX))
        with opened(self.phones, self.phone_host, 0) as there, opened(network, self.pbx_host, 0) as here:
            until(lambda: reaches(there, here), what="the phone's host reaches the PBX's")

    def command(self, *words: str) -> str:
        """Run `pbx-agent WORDS` on the PBX's host."""
        return command(self.network, self.network.folder, *words)

    def ask(self, data: bytes, port: int, answerer: socket.socket, answer: bytes = OK) -> Where:
        """The phone asks at a port of the PBX's host, `answerer` answers; where the answer came from."""
        self.phone.sendto(data, (self.pbx_host, port))
        assert received(answerer) == (data, (self.phone_host, PHONE))
        answerer.sendto(answer, (self.phone_host, PHONE))
        heard, seen = received(self.phone)
        assert heard == answer
        return seen

    def call(self, caller: socket.socket, data: bytes = INVITE) -> Where:
        """`caller` asks the phone, which answers to where that came from; where it came from."""
        caller.sendto(data, (self.phone_host, PHONE))
        heard, seen = received(self.phone)
        assert heard == data
        self.phone.sendto(OK, seen)
        assert received(caller) == (OK, (self.phone_host, PHONE))
        return seen


def reaches(there: socket.socket, here: socket.socket) -> bool:
    """The first datagrams may be lost while two hosts look for each other (RFC 4861)."""
    there.sendto(b"", here.getsockname()[:2])
    try:
        received(here)
    except TimeoutError:
        return False
    return True


@pytest.fixture(params=[False, True], ids=["IPv4", "IPv6"])
def scene(request: pytest.FixtureRequest, network: Network) -> Scene:
    return Scene(network, request.param)


def test_a_redirected_phone_knows_one_address(scene: Scene) -> None:
    """Also when the agent speaks first, and after the table was loaded again."""
    pbx = (scene.pbx_host, PBX)
    assert scene.ask(REGISTER, PBX, scene.pbx) == pbx
    scene.command("redirect", "on")
    for _ in range(2):
        assert scene.ask(REGISTER, PBX, scene.agent) == pbx
        assert scene.call(scene.agent) == pbx
    scene.command("redirect", "off")
    assert scene.ask(REGISTER, PBX, scene.pbx) == pbx
    assert scene.call(scene.pbx) == pbx


def test_what_a_phone_asks_at_the_agents_own_port_is_answered_from_there(scene: Scene) -> None:
    """Requests in a dialog go there by Record-Route; calls to a phone come from the port it registered at."""
    scene.command("redirect", "on")
    pbx, agent = (scene.pbx_host, PBX), (scene.pbx_host, AGENT)
    assert scene.ask(REGISTER, AGENT, scene.agent) == agent
    for knock in (INVITE, b"\r\n\r\n", b"\r\n"):
        assert scene.call(scene.agent, knock) == agent, "it registered there"
    assert scene.ask(REGISTER, PBX, scene.agent) == pbx
    for _ in range(2):
        assert scene.ask(BYE, AGENT, scene.agent) == agent
        assert scene.call(scene.agent) == pbx
        for keep_alive in (b"\r\n\r\n", b"\r\n", b""):
            scene.ask(keep_alive, PBX, scene.agent)
        assert scene.ask(INVITE, PBX, scene.agent) == pbx


FLOOD = """
import socket
family = socket.AF_INET6 if ":" in {source!r} else socket.AF_INET
for port in range(1, 65536):
    with socket.socket(family, socket.SOCK_DGRAM) as sender:
        sender.bind(({source!r}, port))
        for target in {ports}:
            sender.sendto({data!r}, ({host!r}, target))
"""


def test_no_flood_ends_what_a_redirected_phone_sees(scene: Scene) -> None:
    """One source that uses all its ports fills every memory that phones can fill."""
    scene.command("redirect", "on")
    source = "fd77:1::2" if ":" in scene.pbx_host else "10.77.1.2"
    scene.phones.ip("-6" if ":" in source else "-4", f"address add {source} dev eth0 nodad")
    script = FLOOD.format(source=source, data=REGISTER, host=scene.pbx_host, ports=(PBX, AGENT))
    scene.phones.run([sys.executable, "-c", script], within_s=60)
    emptied(scene.agent)
    pbx = (scene.pbx_host, PBX)
    for _ in range(2):
        assert scene.ask(REGISTER, PBX, scene.agent) == pbx
        assert scene.call(scene.agent) == pbx
        assert scene.ask(BYE, AGENT, scene.agent) == pbx, "the memory is full: that is all it costs"


def test_a_phone_that_the_pbx_asked_before_comes_to_the_agent_all_the_same(scene: Scene) -> None:
    """Where connections are tracked its REGISTER would pass for an answer to the PBX's OPTIONS."""
    nft(scene.network, TRACKING)
    assert scene.ask(REGISTER, PBX, scene.pbx) == (scene.pbx_host, PBX)
    scene.command("redirect", "on")
    assert scene.call(scene.pbx) == (scene.pbx_host, PBX), "until it registers again the PBX reaches it"
    assert scene.ask(REGISTER, PBX, scene.agent) == (scene.pbx_host, PBX)
    assert scene.call(scene.agent) == (scene.pbx_host, PBX)


@pytest.mark.parametrize("tracking", [False, True])
def test_datagrams_without_checksum_and_in_fragments(scene: Scene, tracking: bool) -> None:
    if tracking:
        nft(scene.network, TRACKING)
    scene.command("redirect", "on")
    large = REGISTER + b"x" * 4_000, OK + b"x" * 4_000
    assert scene.ask(large[0], PBX, scene.agent, large[1]) == (scene.pbx_host, PBX)
    if ":" not in scene.pbx_host:  # IPv6 has no datagrams without checksum
        scene.phone.setsockopt(socket.SOL_SOCKET, SO_NO_CHECK, 1)
        assert scene.ask(REGISTER, PBX, scene.agent) == (scene.pbx_host, PBX)


def test_exceptions_and_other_interfaces_reach_the_pbx(scene: Scene) -> None:
    scene.command("redirect", "on", "--except", scene.phone_host)
    assert scene.ask(INVITE, PBX, scene.pbx) == (scene.pbx_host, PBX)
    (told,) = json.loads(scene.command("redirect", "on", "--json"))["pbxs"]
    assert told["except"] == [scene.phone_host], "what was told before stays"
    assert scene.ask(INVITE, PBX, scene.pbx) == (scene.pbx_host, PBX)
    scene.command("redirect", "off")
    scene.command("redirect", "on", "--interface", "lo")
    assert scene.ask(INVITE, PBX, scene.pbx) == (scene.pbx_host, PBX)
    scene.command("redirect", "on", "--interface", "phones0")
    assert scene.ask(INVITE, PBX, scene.agent) == (scene.pbx_host, PBX)


def test_what_the_host_sends_itself_is_not_redirected(scene: Scene) -> None:
    """The agent's REGISTER reaches the PBX: no loop."""
    scene.command("redirect", "on")
    scene.agent.sendto(REGISTER, (scene.pbx_host, PBX))
    assert received(scene.pbx) == (REGISTER, (scene.pbx_host, AGENT))
    scene.pbx.sendto(OK, (scene.pbx_host, AGENT))
    assert received(scene.agent) == (OK, (scene.pbx_host, PBX))


def test_a_stream_is_opened_anew_at_the_agent_and_back(scene: Scene) -> None:
    """A connection under way is reset, and the phone opens another."""
    network, host = scene.network, scene.pbx_host
    listen = [f"{transport}:{Address(host, AGENT)}" for transport in ("udp", "tcp")]
    write_config(network, listen, Address(host, PBX))
    pbx, agent = listening(network, host, PBX), listening(network, host, AGENT)
    nft(network, TRACKING)
    before = scene.phones.connect(host, PBX)
    open_connections = [pbx.accept()[0]]
    for listener in (agent, pbx):
        scene.command("redirect", "on" if listener is agent else "off")
        before.sendall(REGISTER)
        with pytest.raises(ConnectionResetError):
            before.recv(100)
        before = scene.phones.connect(host, PBX)
        accepted, phone = listener.accept()
        assert phone[0] == before.getsockname()[0]
        accepted.sendall(OK)
        assert (before.recv(100), before.getpeername()[:2]) == (OK, (host, PBX))
        open_connections.append(accepted)
    for accepted in open_connections:
        accepted.close()


NAMES = ("lyon", "2", "a.b-c_d", "x" * 63)


@pytest.mark.parametrize("host", ["192.0.2.20", "2001:db8::20"])
def test_every_table_loads_and_says_what_it_was_told(network: Network, host: str) -> None:
    """For every name a PBX may have, and a second time over the first."""
    spared = ruleset.networks(["198.51.100.0/25", "198.51.100.128/25", "203.0.113.7", "2001:db8:1::/48"])
    passages = [
        Passage(protocol, Address(host, port), Address(host, port + 10))
        for protocol, port in (("udp", 5060), ("tcp", 5060), ("tcp", 5061))
    ]
    for name in NAMES * 2:
        for prefix, text in (
            (ruleset.REDIRECT, ruleset.redirect(name, passages, "lo", spared)),
            (ruleset.ASIDE, ruleset.aside(name, passages, closed=True)),
        ):
            nft(network, text)
            listed = json.loads(
                network.run([program("nft"), "--json", "list", "table", "inet", prefix + name])
            )
            now = read(listed["nftables"])
            assert (now.passages, list(now.comments)) == (tuple(passages), ruleset.comments(text))
            expected = [text for text in ("198.51.100.0/24", "203.0.113.7") if ":" not in host] or [
                "2001:db8:1::/48"
            ]
            told = ("lo", tuple(expected)) if prefix == ruleset.REDIRECT else (None, ())
            assert (now.interface, now.spared) == told


UNIT = "pbx-agent-redirect.service"
PROTECTION = re.compile(r"^# It loads one table.*(?=^\[Install\])", re.M | re.S)
NFTABLES = """[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart={nft} flush ruleset
ExecReload={nft} flush ruleset
"""


@pytest.mark.real("systemctl")
def test_the_shipped_unit_outlives_a_reload_of_nftables(network: Network) -> None:
    """Whose configuration flushes every table, as Debian's does; stopping the unit is the way back.

    A user manager cannot protect as the system's does: that is left out, test_hardened.py has it.
    """
    try:
        systemd = network.start(Systemd(network))
    except SystemdRefusedError as refused:
        pytest.skip(f"NOT RUN: {refused}")
    pbx = network.address()
    write_config(network, [f"udp:{pbx}:{AGENT}"], Address(pbx, PBX))
    unit = (Path(__file__).parents[2] / "systemd" / UNIT).read_text()
    unit = PROTECTION.sub("", unit).replace("/etc/pbx-agent", str(network.folder))
    systemd.unit(UNIT, unit.replace("/opt/pbx-licences/bin/pbx-agent", own_command("pbx-agent")))
    systemd.unit("nftables.service", NFTABLES.format(nft=program("nft")))
    systemd.control("daemon-reload")

    def loaded() -> bool:
        return f"{ruleset.REDIRECT}hq" in network.run([program("nft"), "list", "tables"])

    systemd.control("start", "nftables.service")
    systemd.control("start", UNIT)
    assert loaded()
    for verb in ("reload", "restart"):
        systemd.control(verb, "nftables.service")
        until(loaded, what=f"the table is back after {verb}")
    systemd.control("stop", UNIT)
    assert not loaded()
