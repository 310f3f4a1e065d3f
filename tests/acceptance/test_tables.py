"""What the kernel does with our tables, packet by packet: plain sockets stand for phone, agent and PBX.

The phone is on another host, where packets come in from outside. test_deployment.py has the real programs.
"""

import json
import socket
import subprocess
from pathlib import Path

import pytest

from agent.edges.firewall import ruleset
from agent.edges.firewall.loaded import read
from agent.edges.firewall.passage import Passage
from agent.endpoint import Address
from tests.acceptance.peers.host import Host
from tests.acceptance.peers.network import Network, program
from tests.acceptance.peers.processes import own_command
from tests.acceptance.peers.systemd import Systemd, SystemdRefusedError
from tests.acceptance.peers.waiting import until

pytestmark = pytest.mark.real("nft")

PBX, AGENT, PHONE = 5060, 5070, 5062
REGISTER, INVITE, BYE = (method + b" sip:you SIP/2.0" for method in (b"REGISTER", b"INVITE", b"BYE"))
OK = b"SIP/2.0 200 OK"
SO_NO_CHECK = 11
# A firewall that tracks connections, as most hosts have one.
TRACKING = """table inet filter {
  chain input {
    type filter hook input priority filter; policy accept;
    ct state established,related accept
  }
}
table ip other {
  chain prerouting { type nat hook prerouting priority dstnat; }
}
"""

Where = tuple[str, int]


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

    def call(self, caller: socket.socket) -> Where:
        """`caller` asks the phone, which answers to where that came from; where it came from."""
        caller.sendto(INVITE, (self.phone_host, PHONE))
        heard, seen = received(self.phone)
        assert heard == INVITE
        self.phone.sendto(OK, seen)
        assert received(caller) == (OK, (self.phone_host, PHONE))
        return seen


def opened(ground: Network, host: str, port: int) -> socket.socket:
    """A UDP socket that waits two seconds."""
    made = ground.udp(host, port)
    made.settimeout(2.0)
    return made


def listening(ground: Network, host: str, port: int) -> socket.socket:
    """A TCP socket that accepts connections."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = ground.open_socket(family, socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.bind((host, port))
    made.listen()
    made.settimeout(2.0)
    return made


def write_config(network: Network, listen: list[str], pbx: Address, **more: str) -> None:
    """Write agent.yaml: where the agent of this network's PBX listens, and where the PBX is."""
    sip = {"listen": listen, "pbx": f"udp:{pbx}", **more}
    pbxs = [{"name": "hq", "software": 13, "sip": sip}]
    (network.folder / "agent.yaml").write_text(json.dumps({"data": "data", "pbxs": pbxs}))


def command(ground: Network, folder: Path, *words: str) -> str:
    """Run `pbx-agent WORDS` there, with the agent.yaml of this folder."""
    return ground.run([own_command("pbx-agent"), *words, "--config", str(folder / "agent.yaml")])


def nft(ground: Network, text: str) -> None:
    """Load a ruleset there."""
    path = ground.folder / "rules.nft"
    path.write_text(text)
    ground.run([program("nft"), "-f", str(path)])


def received(sock: socket.socket) -> tuple[bytes, Where]:
    """The next datagram and its sender."""
    data, address = sock.recvfrom(65_535)
    return data, (address[0], address[1])


FAMILIES = pytest.mark.parametrize("v6", [False, True], ids=["IPv4", "IPv6"])


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
    assert scene.ask(BYE, AGENT, scene.agent) == agent
    assert scene.call(scene.agent) == agent, "it never came by the redirect"
    assert scene.ask(REGISTER, PBX, scene.agent) == pbx
    for _ in range(2):
        assert scene.ask(BYE, AGENT, scene.agent) == agent
        assert scene.call(scene.agent) == pbx
        for keep_alive in (b"\r\n\r\n", b"\r\n", b""):
            scene.ask(keep_alive, PBX, scene.agent)
        assert scene.ask(INVITE, PBX, scene.agent) == pbx


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


class Edge:
    """An agent on a host of its own, between a phone and a PBX."""

    def __init__(self, network: Network, v6: bool = False) -> None:
        self.network = network
        self.phones = network.start(Host(network, "phones", 1))
        self.host = network.start(Host(network, "edge", 2))
        if v6:
            network.ip("-6", "address add fd77::2/64 dev pbx0 nodad")
            network.run(["sh", "-c", "echo 1 > /proc/sys/net/ipv6/conf/all/forwarding"])
        hosts = (
            ("fd77::2", "fd77:2::254", "fd77:1::254")
            if v6
            else (network.address(), "10.77.2.254", "10.77.1.254")
        )
        self.pbx_host, self.agent_host, phone_host = hosts
        self.pbx = opened(network, self.pbx_host, PBX)
        self.agent = opened(self.host, self.agent_host, PBX)
        self.phone = opened(self.phones, phone_host, PHONE)
        write_config(network, [f"udp:{Address(self.agent_host, PBX)}"], Address(self.pbx_host, PBX))

    def command(self, *words: str) -> str:
        """Run `pbx-agent WORDS` on the agent's host."""
        return command(self.host, self.network.folder, *words)

    def ask(self, answerer: socket.socket) -> Where:
        """The phone asks the agent's address, `answerer` answers; who the answerer thinks it is."""
        self.phone.sendto(REGISTER, (self.agent_host, PBX))
        heard, source = received(answerer)
        answerer.sendto(OK, source)
        assert (heard, received(self.phone)) == (REGISTER, (OK, (self.agent_host, PBX)))
        return source

    def forwards(self) -> bool:
        """Whether the agent's host forwards IPv4."""
        return self.host.run(["cat", "/proc/sys/net/ipv4/ip_forward"]).strip() == "1"


@FAMILIES
def test_aside_takes_a_phone_along_that_never_falls_silent(network: Network, v6: bool) -> None:
    """Connections that the kernel remembers are forgotten, whoever began them; the PBX sees one host."""
    edge = Edge(network, v6)
    nft(edge.host, TRACKING)
    if v6:
        with pytest.raises(subprocess.CalledProcessError) as refused:
            edge.command("aside", "on")
        assert (refused.value.returncode, "forwarding=1" in refused.value.stderr) == (2, True)
        edge.host.run(["sh", "-c", "echo 1 > /proc/sys/net/ipv6/conf/all/forwarding"])
    phone = edge.phone.getsockname()[:2]
    edge.agent.sendto(INVITE, phone)  # the agent began it; the second time the phone did
    assert received(edge.phone) == (INVITE, (edge.agent_host, PBX))
    for _ in range(2):
        edge.command("aside", "on")
        host, port = edge.ask(edge.pbx)
        assert (host, port >= 32_768) == (edge.agent_host, True)
        edge.command("aside", "off")
        assert edge.ask(edge.agent) == phone


def test_the_pbx_reaches_the_agent_also_when_it_is_set_aside(network: Network) -> None:
    """Calls to phones that registered before come by their Path."""
    edge = Edge(network)
    edge.command("aside", "on")
    edge.ask(edge.pbx)
    edge.pbx.sendto(INVITE, (edge.agent_host, PBX))
    assert received(edge.agent) == (INVITE, (edge.pbx_host, PBX))


def test_an_agent_that_listens_everywhere_is_set_aside_at_each_address(network: Network) -> None:
    edge = Edge(network)
    write_config(
        network, ["udp:0.0.0.0:5060"], Address(edge.pbx_host, PBX), advertise=f"{edge.agent_host}:5060"
    )
    edge.command("aside", "on")
    edge.ask(edge.pbx)


@pytest.mark.parametrize("before", [False, True])
def test_a_host_that_forwarded_nothing_forwards_to_the_pbx_alone(network: Network, before: bool) -> None:
    edge = Edge(network)
    behind = network.start(Host(edge.host, "behind", 3))  # a network that only the agent's host leads to
    network.ip("route", "add 10.77.3.0/24 via 10.77.2.254")
    stranger = opened(behind, "10.77.3.254", PHONE)
    edge.host.run(["sh", "-c", f"echo {int(before)} > /proc/sys/net/ipv4/ip_forward"])

    def passes() -> bool:
        edge.pbx.sendto(INVITE, ("10.77.3.254", PHONE))
        stranger.settimeout(0.3)
        try:
            return received(stranger)[0] == INVITE
        except TimeoutError:
            return False

    assert (edge.forwards(), passes()) == (before, before)
    edge.command("aside", "on")
    edge.ask(edge.pbx)
    assert (edge.forwards(), passes()) == (True, before)
    edge.command("aside", "on")
    edge.command("aside", "off")
    assert (edge.forwards(), passes()) == (before, before)


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
NFTABLES = """[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart={nft} flush ruleset
ExecReload={nft} flush ruleset
"""


@pytest.mark.real("systemctl")
def test_the_shipped_unit_outlives_a_reload_of_nftables(network: Network) -> None:
    """Whose configuration flushes every table, as Debian's does; stopping the unit is the way back."""
    try:
        systemd = network.start(Systemd(network))
    except SystemdRefusedError as refused:
        pytest.skip(f"NOT RUN: {refused}")
    pbx = network.address()
    write_config(network, [f"udp:{pbx}:{AGENT}"], Address(pbx, PBX))
    unit = (Path(__file__).parents[2] / "systemd" / UNIT).read_text()
    unit = unit.replace("/etc/pbx-agent", str(network.folder))
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
