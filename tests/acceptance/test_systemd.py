"""The shipped units under a real systemd: sockets that outlive the agent, readiness, watchdog.

Real programs in every test: systemd (a user manager), licence-master, pbx-agent, Kamailio with digest.
"""

import os
import re
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.acceptance.house import House
from tests.acceptance.peers.installed import own_command
from tests.acceptance.peers.network import Network
from tests.acceptance.peers.sipp import users
from tests.acceptance.peers.steady import Steady
from tests.acceptance.peers.systemd import Systemd, SystemdRefusedError
from tests.acceptance.peers.waiting import until
from tests.acceptance.site import SIP, Site

UNITS = Path(__file__).parents[2] / "systemd"
SERVICE, SOCKET = "pbx-agent.service", "pbx-agent.socket"
PROTECTION = re.compile(r"^LoadCredential=[^\n]*\n|^# What it cannot do.*(?=^\[Install\])", re.M | re.S)
PER_S, AROUND = 200, 200
IN_HAND = 128  # datagrams that the agent may have read: two turns

pytestmark = pytest.mark.real("kamailio", "systemctl")


@pytest.fixture
def systemd(network: Network) -> Systemd:
    try:
        return network.start(Systemd(network))
    except SystemdRefusedError as refused:
        pytest.skip(f"NOT RUN: {refused}")


def installed(site: Site, systemd: Systemd, *addresses: str, service: str = "") -> None:
    """The shipped units, with drop-ins as `systemctl edit` makes them: paths, addresses, no user of its own.

    A user manager cannot protect as the system's does: that is left out, test_hardened.py has it.
    `service` are more lines of its drop-in.
    """
    command = f"{own_command('pbx-agent')} run --config {site.agent.folder / 'agent.yaml'}"
    lines = ["[Service]", "User=", "ExecStart=", f"ExecStart={command}"]
    log = f"StandardError=append:{site.agent.log_path}"
    listens = "".join(f"ListenDatagram={address}\n" for address in addresses or (f"{site.guard[0]}:{SIP}",))
    whole = (UNITS / SERVICE).read_text()
    systemd.unit(SERVICE, PROTECTION.sub("", whole))
    systemd.unit(SOCKET, (UNITS / SOCKET).read_text())
    systemd.unit(f"{SERVICE}.d/test.conf", "\n".join([*lines, log, service]))
    systemd.unit(f"{SOCKET}.d/test.conf", f"[Socket]\nListenDatagram=\n{listens}")
    systemd.control("daemon-reload")
    systemd.control("start", SOCKET)


def site_without_agent(network: Network) -> Site:
    """A PBX whose agent has joined and does not run."""
    house = House(network, {"PBX-Port13": 3_000}, {"hq": "gateway"}, sync_s=1, installed=True).build()
    return house.site("hq", start=False)


def starts(site: Site) -> int:
    """How often the agent has become ready."""
    return site.agent.log_path.read_text().count('"agent.ready"')


def restarted(systemd: Systemd) -> None:
    systemd.control("restart", SERVICE)


def killed(systemd: Systemd) -> None:
    os.kill(int(systemd.show("MainPID", SERVICE)), signal.SIGKILL)


@pytest.mark.parametrize(("ends", "may_lose"), [(restarted, 0), (killed, IN_HAND)])
def test_a_restart_loses_nothing_and_a_kill_what_was_inside(
    network: Network, systemd: Systemd, ends: Callable[[Systemd], None], may_lose: int
) -> None:
    site = site_without_agent(network)
    installed(site, systemd)
    systemd.control("start", SERVICE)
    assert starts(site) == 1, "Type=notify: it is ready when the start returns"
    known, newcomers = users(1000, 500), users(2000, 1_000)
    phones = Steady(network, site.guard, site.domain, known=known, newcomers=newcomers, per_s=PER_S)
    with phones:
        phones.wait_answered(AROUND)
        before = site.contacts()
        ends(systemd)
        until(lambda: starts(site) == 2, what="systemd starts it again")
        phones.wait_answered(AROUND)
    print(f"{ends.__name__} by systemd: {phones.told()}")
    assert len(phones.lost) <= may_lose
    assert set(phones.statuses.values()) == {200}
    assert before <= site.contacts()


def test_the_first_datagram_starts_a_stopped_agent(network: Network, systemd: Systemd) -> None:
    """So whoever wants it stopped stops its socket too (docs/operations.md)."""
    site = site_without_agent(network)
    installed(site, systemd)
    assert systemd.show("ActiveState", SERVICE) == "inactive"
    phones = Steady(network, site.guard, site.domain, known=["1000"], newcomers=[], per_s=1)
    assert phones.lost == []
    assert starts(site) == 1
    systemd.control("stop", SERVICE, SOCKET)
    assert systemd.control("is-active", SERVICE, SOCKET, check=False).split() == ["inactive", "inactive"]


def test_an_agent_that_hangs_is_killed_and_started_again(network: Network, systemd: Systemd) -> None:
    site = site_without_agent(network)
    installed(site, systemd, service="WatchdogSec=1\nLimitCORE=0\n")
    systemd.control("start", SERVICE)
    os.kill(int(systemd.show("MainPID", SERVICE)), signal.SIGSTOP)
    until(lambda: starts(site) == 2, what="systemd starts it again")
    assert systemd.show("NRestarts", SERVICE) == "1"


def test_a_socket_that_agent_yaml_does_not_name_is_an_error(network: Network, systemd: Systemd) -> None:
    """Else datagrams would pile up where nobody reads."""
    site = site_without_agent(network)
    installed(site, systemd, f"{site.guard[0]}:{SIP}", f"{site.guard[0]}:5062")
    systemd.control("start", SERVICE, check=False)
    assert site.agent.log_path.read_text().splitlines()[:2] == [
        f"inherited socket udp:{site.guard[0]}:5062 (pbx-agent.socket): no listener of the configuration has"
        " this transport and address",
        "make pbx-agent.socket and sip.listen of agent.yaml agree",
    ]
    assert systemd.show("ExecMainStatus", SERVICE) == "2"
