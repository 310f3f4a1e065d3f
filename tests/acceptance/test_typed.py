"""What a typist forks is as what is started: its surroundings, its signals, its end."""

import os
import re
import signal
import subprocess
import sys
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest

from tests.acceptance.house import House
from tests.acceptance.peers.installed import ROOT, own_command
from tests.acceptance.peers.network import Network
from tests.acceptance.peers.processes import Command
from tests.acceptance.peers.typed import ended
from tests.acceptance.peers.waiting import until

WANTING = """
import signal
import sys
from tests.acceptance.peers.typed import typist
serve = ["licence-master", "serve", "--config", sys.argv[1]]
print("pid", typist(sys.executable).start(serve, 1, 2).pid, flush=True)
signal.pause()
"""


@pytest.mark.parametrize(
    "words",
    [
        ["pbx-agent", "status", "--config", "nowhere.yaml"],
        ["licence-master", "invite", "--help"],
        ["licence-master", "no-such-command"],
    ],
)
def test_a_command_that_is_typed_ends_as_one_that_is_started(network: Network, words: list[str]) -> None:
    line = network.inside([own_command(words[0]), *words[1:]])
    started = subprocess.run(line, capture_output=True, text=True, check=False)
    done = ended(words, network)
    assert (done.returncode, done.stdout, done.stderr) == (started.returncode, started.stdout, started.stderr)


def test_a_command_that_takes_too_long_is_killed() -> None:
    assert ended(["licence-master", "--help"], within_s=0).returncode == -signal.SIGKILL
    assert ended(["licence-master", "--help"]).returncode == 0


def surroundings(pid: int) -> dict[str, object]:
    """What the kernel knows of a process and its parent gave it; files by name, sockets by number."""
    home = Path("/proc", str(pid))

    def status_of() -> dict[str, str]:
        return dict(line.split(":\t", 1) for line in (home / "status").read_text().splitlines())

    # Who starts a thread blocks all signals for a moment (clone(2) in the C library).
    until(lambda: int(status_of()["SigBlk"], 16) == 0, what="no signal is blocked")
    status = status_of()
    names = [os.readlink(path) for path in (home / "fd").iterdir() if path.is_symlink()]
    files = [name for name in names if not name.endswith((".py", ".pyc"))]  # it may import something just now
    return {
        "leads": (os.getsid(pid) == pid, os.getpgid(pid) == pid),
        "stdio": [os.readlink(home / "fd" / name) for name in "012"],
        "files": Counter(re.sub(r":\[\d+\]", "", name) for name in files),
        "directory": os.readlink(home / "cwd"),
        "spaces": [os.readlink(home / "ns" / name) for name in ("user", "net", "mnt", "pid")],
        "signals": [status[name] for name in ("SigBlk", "SigIgn", "SigCgt")],
        "rights": [status[name] for name in ("Uid", "Gid", "CapEff", "NoNewPrivs", "Cpus_allowed")],
        "limits": (home / "limits").read_text(),
    }


def test_a_forked_daemon_stands_where_a_started_one_stands(network: Network) -> None:
    house = House(network, {"PBX-Port13": 1}, {"hq": "gateway"}).build()
    house.master.end()
    house.master.start()  # nobody has asked this one anything: no connection is open
    forked = surroundings(house.master.pid)
    assert forked["leads"] == (True, True)
    assert house.master.end() == 0
    words = [own_command("licence-master"), "serve", "--config", str(house.config)]
    started = network.start(Command(network, "licence-master", words, ready="master.ready"))
    # A library may be reading something just now: what it is once it has come to rest.
    until(lambda: surroundings(started.pid) == forked, what=f"{surroundings(started.pid)} as {forked}")
    assert started.end() == 0


def test_a_forked_daemon_is_frozen_and_killed(network: Network) -> None:
    house = House(network, {"PBX-Port13": 1}, {"hq": "gateway"}).build()
    first = house.master.pid
    house.master.freeze()
    until(lambda: state(first) == "T", what="it stands still")
    house.master.thaw()
    assert house.get("pools")
    os.kill(first, signal.SIGKILL)
    assert house.master.wait() == -signal.SIGKILL
    house.master.start()
    assert house.master.pid != first
    house.master.kill()
    with pytest.raises(ConnectionRefusedError):
        network.connect(house.host, 8443)


def test_a_forked_daemon_that_ends_at_once_fails_with_its_log(network: Network) -> None:
    dying = Command(network, "dying", ["licence-master", "serve", "--config", "nowhere.yaml"], ready="never")
    with pytest.raises(AssertionError, match=r"ended without 'never':\n.*nowhere.yaml"):
        network.start(dying)
    dying.launch()
    assert dying.wait() == 2


def test_forked_daemons_end_with_who_wanted_them(network: Network) -> None:
    house = House(network, {"PBX-Port13": 1}, {"hq": "gateway"}).build()
    house.master.end()
    command = [sys.executable, "-c", WANTING, str(house.config)]
    variables = {"PYTHONPATH": str(ROOT)}
    wanting = Command(network, "wanting", command, ready="master.ready", environment=variables)
    network.start(wanting)
    orphan = int(wanting.wait_for(r"pid (\d+)")[1])
    assert state(orphan) in {"R", "S"}
    wanting.kill()
    until(lambda: state(orphan) in {"", "Z"}, what="it has ended")


def state(pid: int) -> str:
    """One letter, as ps shows it; none when it has gone."""
    with suppress(FileNotFoundError):
        return Path("/proc", str(pid), "stat").read_text().rpartition(")")[2].split()[0]
    return ""
