"""The shipped units under a real systemd: sockets that outlive the agent, readiness, watchdog.

Real programs in every test: systemd (a user manager), licence-master, pbx-agent, Kamailio with digest.
"""

import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.acceptance.house import SIP, House, Site
from tests.acceptance.peers.network import Network, program
from tests.acceptance.peers.processes import own_command
from tests.acceptance.peers.sipp import users
from tests.acceptance.peers.steady import Steady
from tests.acceptance.peers.systemd import Systemd, SystemdRefusedError
from tests.acceptance.peers.waiting import until

UNITS = Path(__file__).parents[2] / "systemd"
SERVICE, SOCKET = "pbx-agent.service", "pbx-agent.socket"
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

    `service` are more lines of its drop-in.
    """
    command = f"{own_command('pbx-agent')} run --config {site.agent.folder / 'agent.yaml'}"
    lines = ["[Service]", "User=", "ExecStart=", f"ExecStart={command}"]
    log = f"StandardError=append:{site.agent.log_path}"
    listens = "".join(f"ListenDatagram={address}\n" for address in addresses or (f"{site.guard[0]}:{SIP}",))
    for name in (SERVICE, SOCKET):
        systemd.unit(name, (UNITS / name).read_text())
    systemd.unit(f"{SERVICE}.d/test.conf", "\n".join([*lines, log, service]))
    systemd.unit(f"{SOCKET}.d/test.conf", f"[Socket]\nListenDatagram=\n{listens}")
    systemd.control("daemon-reload")
    systemd.control("start", SOCKET)


def site_without_agent(network: Network) -> Site:
    """A PBX whose agent has joined and does not run."""
    house = House(network, {"PBX-Port13": 3_000}, {"hq": "gateway"}, sync_s=1).build()
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


def test_systemd_has_nothing_to_say_about_the_units(tmp_path: Path) -> None:
    """Unknown keys only warn, with exit code 0: any text counts."""
    service = (UNITS / SERVICE).read_text()
    command = next(line for line in service.splitlines() if line.startswith("ExecStart="))
    (tmp_path / SERVICE).write_text(
        service.replace(command.split("=")[1].split()[0], own_command("pbx-agent"))
    )
    (tmp_path / SOCKET).write_text((UNITS / SOCKET).read_text())
    units = [str(tmp_path / name) for name in (SERVICE, SOCKET)]
    done = subprocess.run(
        [program("systemd-analyze"), "verify", "--man=no", *units], capture_output=True, text=True
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
