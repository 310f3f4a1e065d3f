"""A machine of its own: systemd as process 1 with our units, users, /etc and /var/lib, as root knows it.

Everything of a unit is in force here (users, credentials, seccomp, mounts, capabilities), which a user
manager (systemd.py) cannot give. It needs root: mount, process, network and control group namespaces, each of
its own, so that nothing of the real machine is seen or moved. Programs are those of the wheel, at
/opt/pbx-licences.
"""

import os
import subprocess
import sys
import uuid
from pathlib import Path

from tests.acceptance.peers.installed import COMPILED, ROOT, compiled_is_there
from tests.acceptance.peers.network import Loopback, program
from tests.acceptance.peers.processes import Program
from tests.acceptance.peers.systemd import remove_group
from tests.acceptance.peers.waiting import until

# In a control group of its own or not at all; then in namespaces of its own.
OUTSIDE = """set -e
for tree in /sys/fs/cgroup/systemd /sys/fs/cgroup/unified /sys/fs/cgroup; do
  test -e $tree/cgroup.procs || continue
  mkdir $tree/$GROUP
  echo $$ > $tree/$GROUP/cgroup.procs
done
test "$(grep -cE '^(0:|[0-9]+:name=systemd):/'$GROUP'$' /proc/self/cgroup)" -ge 1
if grep -E '^[0-9]+:(name=systemd)?:/$' /proc/self/cgroup; then exit 1; fi
exec unshare --mount --pid --fork --cgroup --ipc --uts --net --kill-child sh -c "$INSIDE"
"""
TARGETS = [
    "sysinit",
    "basic",
    "multi-user",
    "sockets",
    "network-online",
    "local-fs",
    "shutdown",
    "umount",
    "final",
]
INSIDE = """set -e
mount --make-rprivate /
ip link set lo up
mount -t proc proc /proc
hybrid=; test -d /sys/fs/cgroup/systemd && hybrid=1
umount -l /sys/fs/cgroup/* 2>/dev/null || true
umount -l /sys/fs/cgroup
if test $hybrid; then
  mount -t tmpfs -o mode=755 tmpfs /sys/fs/cgroup
  mkdir /sys/fs/cgroup/systemd /sys/fs/cgroup/unified
  mount -t cgroup -o none,name=systemd,xattr cgroup /sys/fs/cgroup/systemd
  mount -t cgroup2 cgroup2 /sys/fs/cgroup/unified
else
  mount -t cgroup2 cgroup2 /sys/fs/cgroup
fi
mount -t tmpfs -o mode=755 tmpfs /run
mkdir /run/etc /run/units
cp -a /etc/. /run/etc
mount --bind /run/etc /etc
rm -rf /etc/systemd/system/* /etc/credstore /etc/init.d /etc/rc*.d
for target in $TARGETS; do cp /usr/lib/systemd/system/$target.target /run/units; done
mount --bind /run/units /usr/lib/systemd/system
mount -t tmpfs -o mode=755 tmpfs /var/lib
mount -t tmpfs -o mode=755 tmpfs /usr/lib/sysusers.d
mount -t tmpfs -o mode=755 tmpfs /usr/lib/tmpfiles.d
mkdir -p /run/python /run/own /run/libraries /run/sources
mount --bind "$PYTHON" /run/python
mount --bind "$OWN" /run/own
mount --bind "$LIBRARIES" /run/libraries
mount --bind "$SOURCES" /run/sources
mount -t tmpfs -o mode=755 tmpfs /opt
mkdir -p /opt/python /opt/own /opt/libraries /opt/sources /opt/pbx-licences/bin
for place in python own libraries sources; do mount --move /run/$place /opt/$place; done
echo /opt/python/lib > /etc/ld.so.conf.d/0.conf
ldconfig
for name in pbx-agent:agent licence-master:licence_master; do
  script=/opt/pbx-licences/bin/${name%:*}
  printf '%s\\n' '#!/opt/python/bin/python3 -I' 'import sys' \
    'sys.path[:0] = ["/opt/own", "/opt/libraries"]' "from ${name#*:}.cli import app" 'app()' > $script
  chmod 755 $script
done
mkdir -p /etc/systemd/system/service.d
printf '[Service]\\nStandardError=append:%s/%%N.log\\n' "$LOGS" > /etc/systemd/system/service.d/log.conf
mount --make-rshared /  # credentials are mounted by a child of process 1
export container=test
exec /lib/systemd/systemd --system --unit=multi-user.target --log-target=console --show-status=no
"""


class NoMachineError(Exception):
    """No machine can be booted here; the message says why."""


class Booted(Program):
    """The machine; `run` is a command typed by its root, `control` is systemctl."""

    def __init__(self, folder: Path) -> None:
        """Describe it; its log is that of process 1."""
        self._group = f"pbx-test-{uuid.uuid4().hex[:8]}"
        libraries = next(Path(sys.prefix).glob("lib/python*/site-packages"))
        own = next(COMPILED.glob("lib/python*/site-packages")) if compiled_is_there() else ROOT
        places = {"PYTHON": Path(sys.base_prefix), "OWN": own, "LIBRARIES": libraries, "SOURCES": ROOT}
        environment = {name: str(place) for name, place in places.items()}
        environment |= {"GROUP": self._group, "TARGETS": " ".join(TARGETS), "INSIDE": INSIDE}
        environment["LOGS"] = str(folder)  # of the services, where a failed test shows them
        command = [program("sh"), "-c", OUTSIDE]
        super().__init__("booted", command, folder, Loopback(), environment=environment)

    def start(self) -> None:
        """Boot it, and wait until it takes commands; NoMachineError says why it does not."""
        if os.geteuid() != 0:
            raise NoMachineError("a machine with units of the system is booted by root only")
        super().start()

        def answers() -> bool:
            if self.process.poll() is not None:
                raise NoMachineError(f"systemd does not boot here: {self.log.strip()[-500:]}")
            return self.run("test", "-S", "/run/systemd/private", check=False).returncode == 0

        until(answers, what="systemd's control socket")

    def kill(self) -> None:
        """Switch it off: all its processes go with process 1."""
        super().kill()
        remove_group(self._group)

    def run(self, *words: str, check: bool = True, user: str = "root") -> subprocess.CompletedProcess[str]:
        """Run a command inside; AssertionError with what it said when it fails."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        target = children[0] if children else "0"
        enter = [
            program("nsenter"),
            "--target",
            target,
            "--mount",
            "--pid",
            "--net",
            "--ipc",
            "--uts",
            "--cgroup",
        ]
        become = [] if user == "root" else ["runuser", "-u", user, "--"]
        path = "/opt/pbx-licences/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        command = [*enter, "env", "-i", "-C", "/opt/sources", f"PATH={path}", "COLUMNS=200", *become, *words]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert not check or done.returncode == 0, f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def write(self, path: str, text: str) -> None:
        """Write a file inside, as root."""
        self.run("sh", "-c", 'mkdir -p "$(dirname "$0")" && printf %s "$1" > "$0"', path, text)

    def control(self, *words: str, check: bool = True) -> str:
        """Run `systemctl WORDS`; what it printed."""
        return self.run("systemctl", *words, check=check).stdout

    def show(self, name: str, unit: str) -> str:
        """One property of a unit: MainPID, Result, NRestarts, …"""
        return self.control("show", "--value", f"--property={name}", unit).strip()
