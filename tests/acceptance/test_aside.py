"""What `aside` does with single packets: plain sockets stand for phone, agent and PBX, each on its own host.

test_deployment.py has the real programs.
"""

import select
import socket
import subprocess

import pytest

from agent.endpoint import Address
from tests.acceptance.peers.host import Host
from tests.acceptance.peers.network import Network
from tests.acceptance.peers.packets import (
    INVITE,
    OK,
    PBX,
    PHONE,
    REGISTER,
    TRACKING,
    Where,
    command,
    emptied,
    nft,
    opened,
    received,
    write_config,
)
from tests.acceptance.peers.waiting import until

pytestmark = pytest.mark.real("nft")


FAMILIES = pytest.mark.parametrize("v6", [False, True], ids=["IPv4", "IPv6"])


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

    def reached() -> bool:  # what is sent while the hosts look for each other anew may be lost
        edge.agent.sendto(INVITE, phone)
        return bool(select.select([edge.phone], [], [], 0.2)[0])

    until(reached, what="the phone")  # the agent began it; the second time the phone did
    assert received(edge.phone) == (INVITE, (edge.agent_host, PBX))
    emptied(edge.phone)
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
    assert edge.ask(edge.pbx)[0] == edge.agent_host


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
