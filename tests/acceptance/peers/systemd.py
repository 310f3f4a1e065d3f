"""A real systemd for one test: a user manager in the test's network, with units, sockets and a watchdog.

It has a mount namespace (it wants to see /run/systemd/system) and a control group of its own: it would move
every process of the group it starts in. It reads no unit of this machine.
"""

import contextlib
import shutil
import subprocess
import tempfile
import uuid
from pathlib import Path

from tests.acceptance.peers.network import Network, program
from tests.acceptance.peers.processes import Program
from tests.acceptance.peers.waiting import until

CGROUPS = Path("/sys/fs/cgroup")
MANAGER = "/lib/systemd/systemd"
# In a group of its own or not at all.
START = f"""set -e
for tree in {CGROUPS}/systemd {CGROUPS}/unified {CGROUPS}; do
  test -e $tree/cgroup.procs || continue
  mkdir $tree/$GROUP
  echo $$ > $tree/$GROUP/cgroup.procs
done
test "$(grep -cE '^(0:|[0-9]+:name=systemd):/'$GROUP'$' /proc/self/cgroup)" -ge 1
if grep -E '^[0-9]+:(name=systemd)?:/$' /proc/self/cgroup; then exit 1; fi
mount -t tmpfs tmpfs /run
mkdir -p /run/systemd/system
exec {MANAGER} --user --unit=basic.target
"""


class SystemdRefusedError(Exception):
    """No user manager runs here; the message is what it said."""


class Systemd(Program):
    """The manager; `unit` writes a unit or a drop-in, `control` is systemctl."""

    def __init__(self, network: Network) -> None:
        """Describe it; its runtime directory has a short name, as Unix sockets want it."""
        self._network = network
        self._group = f"pbx-test-{uuid.uuid4().hex[:8]}"
        self._runtime = Path(tempfile.mkdtemp(prefix="sd-"))
        folder = network.folder / "systemd"
        self.units = folder / "units"
        own = {
            "XDG_RUNTIME_DIR": str(self._runtime),
            "XDG_CONFIG_HOME": str(folder / "config"),
            "XDG_STATE_HOME": str(folder / "state"),
            "SYSTEMD_UNIT_PATH": f"{self.units}:/usr/lib/systemd/user",
            "GROUP": self._group,
        }
        self._settings = [program("env"), *(f"{name}={value}" for name, value in own.items())]
        command = [*self._settings, program("unshare"), "-m", program("sh"), "-c", START]
        super().__init__("systemd", command, folder, network)

    def start(self) -> None:
        """Start, and wait until it takes commands; SystemdRefusedError says why it does not."""
        self.units.mkdir(parents=True)
        super().start()

        def answers() -> bool:
            if self.process.poll() is not None:
                raise SystemdRefusedError(f"systemd --user does not run here: {self.log.strip()[-300:]}")
            return (self._runtime / "systemd" / "private").exists()

        until(answers, what="systemd's control socket")

    def kill(self) -> None:
        """End it and what it left behind."""
        super().kill()
        shutil.rmtree(self._runtime, ignore_errors=True)
        remove_group(self._group)

    def unit(self, name: str, text: str) -> None:
        """Write a unit, or a drop-in by the name `UNIT.d/NAME.conf`."""
        path = self.units / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)

    def control(self, *words: str, check: bool = True) -> str:
        """Run `systemctl --user WORDS`; what it printed. CalledProcessError unless `check` is off."""
        command = self._network.inside([*self._settings, program("systemctl"), "--user", *words])
        return subprocess.run(command, check=check, capture_output=True, text=True, timeout=60).stdout

    def show(self, name: str, unit: str) -> str:
        """One property of a unit: MainPID, Result, ExecMainStatus, …"""
        return self.control("show", "--value", f"--property={name}", unit).strip()


def remove_group(name: str) -> None:
    """Remove this control group and those below it, in every tree, once their processes are gone."""

    def removed() -> bool:
        groups = [group for group in [CGROUPS / name, *CGROUPS.glob(f"*/{name}")] if group.exists()]
        for group in groups:
            for below in sorted([group, *group.glob("**/")], reverse=True):  # the deepest first
                with contextlib.suppress(OSError):
                    below.rmdir()
        return not any(group.exists() for group in groups)

    until(removed, what=f"no process in the control group {name}")
