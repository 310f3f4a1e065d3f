"""The units as they ship: nothing to say about them, hard enough, and the programs really run in them.

The last are typed from docs/services.md inside a booted machine, with every protection in force.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.peers.booted import Booted, NoMachineError
from tests.acceptance.peers.installed import ROOT
from tests.acceptance.peers.network import program
from tests.acceptance.peers.waiting import until

UNITS = ROOT / "systemd"
SERVICES = ("licence-master", "pbx-agent", "pbx-agent-redirect")
BIN = "/opt/pbx-licences/bin"

pytestmark = pytest.mark.real("systemctl", "systemd-analyze")


def analyzed(*words: str) -> subprocess.CompletedProcess[str]:
    command = [program("systemd-analyze"), "--no-pager", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def laid_out(folder: Path, *, raw: bool = False) -> Path:
    """All units in a folder, their programs where this machine has some."""
    for file in UNITS.iterdir():
        if file.suffix in (".service", ".socket"):
            text = re.sub(r"^(Exec\w+)=/opt/\S+", rf"\1={program('true')}", file.read_text(), flags=re.M)
            (folder / file.name).write_text(text)
    if raw:
        (folder / "pbx-agent.service.d").mkdir()
        shutil.copy(UNITS / "pbx-agent-raw.conf", folder / "pbx-agent.service.d" / "raw.conf")
    return folder


@pytest.mark.parametrize("raw", [False, True])
def test_systemd_has_nothing_to_say(tmp_path: Path, raw: bool) -> None:
    """Unknown keys only warn, with exit code 0: any text counts."""
    units = [str(path) for path in sorted(laid_out(tmp_path, raw=raw).iterdir()) if path.is_file()]
    assert len(units) == 4
    done = analyzed("verify", "--man=no", *units)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize(
    ("unit", "raw", "threshold"),
    [
        ("licence-master", False, 15),
        ("pbx-agent", False, 15),
        ("pbx-agent", True, 20),
        ("pbx-agent-redirect", False, 20),
    ],
)
def test_a_unit_exposes_little(tmp_path: Path, unit: str, raw: bool, threshold: int) -> None:
    path = laid_out(tmp_path, raw=raw) / f"{unit}.service"
    done = analyzed("security", "--offline=true", f"--threshold={threshold}", str(path))
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"
    (exposure,) = re.findall(r"exposure level for \S+: (\d+\.\d)", done.stdout)
    told = f"| {exposure} |"
    name = f"`{unit}.service`" + (" with `pbx-agent-raw.conf`" if raw else "")
    assert f"| {name} {told}" in (ROOT / "docs" / "services.md").read_text(), exposure


@pytest.mark.parametrize(("unit", "user"), [("licence-master", "licence-master"), ("pbx-agent", "pbx-agent")])
def test_users_and_directories_are_made(tmp_path: Path, unit: str, user: str) -> None:
    root = f"--root={tmp_path}"
    sysusers = [program("systemd-sysusers"), root, str(UNITS / f"{unit}.sysusers")]
    asked = subprocess.run([*sysusers, "--dry-run"], capture_output=True, text=True, check=True)
    assert f"user '{user}'" in asked.stdout + asked.stderr
    assert not (tmp_path / "etc" / "passwd").exists()
    if os.geteuid() != 0:
        pytest.skip("NOT RUN: directories of another user are made by root only")
    (tmp_path / "etc").mkdir()
    subprocess.run(sysusers, capture_output=True, check=True)
    assert re.search(
        rf"^{user}:[^:]*:\d+:\d+:{user}:/var/lib/{user}:", (tmp_path / "etc/passwd").read_text(), re.M
    )
    tmpfiles = [program("systemd-tmpfiles"), "--create", root, str(UNITS / f"{unit}.tmpfiles")]
    made = subprocess.run(tmpfiles, capture_output=True, text=True, check=False)
    assert (made.returncode, made.stdout, made.stderr) == (0, "", "")
    modes = {
        name: (tmp_path / name).stat().st_mode & 0o7777
        for name in (f"etc/{user}", f"var/lib/{user}", "etc/credstore")
    }
    assert modes == {f"etc/{user}": 0o750, f"var/lib/{user}": 0o750, "etc/credstore": 0o700}


# --- in a booted machine

MASTER_YAML = """
agents: {listen: "127.0.0.1:8443", sync_s: 1}
installations:
  - name: acme
    software: 13
    pbxs:
      - {name: hq, role: master}
      - {name: lyon, role: slave}
"""
AGENT_YAML = """data: /var/lib/pbx-agent
pbxs:
  - name: lyon
    software: 13
    sip: {listen: ["udp:127.0.0.1:5060"], advertise: "127.0.0.1:5060", pbx: "udp:127.0.0.2:5060"}
    objects: [{kind: user, aor: ["*"]}]
"""
SOCKET = "[Socket]\nListenDatagram=\nListenDatagram=127.0.0.1:5060\n"
# A PBX that accepts what comes, and a phone that registers through the agent: what the phone was answered.
PHONE = """
import re, socket
pbx, phone = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
pbx.bind(("127.0.0.2", 5060)); phone.bind(("127.0.0.3", 5060))
for each in (pbx, phone): each.settimeout(10)
request = [
    b"REGISTER sip:127.0.0.2 SIP/2.0", b"Via: SIP/2.0/UDP 127.0.0.3:5060;branch=z9hG4bK1",
    b"From: <sip:201@127.0.0.2>;tag=1", b"To: <sip:201@127.0.0.2>", b"Call-ID: 1@127.0.0.3",
    b"CSeq: 1 REGISTER", b"Contact: <sip:201@127.0.0.3>", b"Max-Forwards: 70", b"Expires: 600"]
phone.sendto(b"\\r\\n".join([*request, b"Content-Length: 0", b"", b""]), ("127.0.0.1", 5060))
asked, agent = pbx.recvfrom(65535)
kept = [line for line in asked.split(b"\\r\\n") if re.match(rb"(?i)via|from|to|call-id|cseq|contact", line)]
pbx.sendto(b"\\r\\n".join([b"SIP/2.0 200 OK", *kept, b"Expires: 600", b"Content-Length: 0", b"", b""]), agent)
print(phone.recv(65535).split(b"\\r\\n")[0].decode())
"""
ANOTHER_KEY = """
import sys
sys.path[:0] = ["/opt/own", "/opt/libraries"]
from pathlib import Path
from runtime.signing import SigningKey
SigningKey.generate().save(Path("/etc/credstore/x"))
"""
CERTIFICATE = """
import sys
sys.path[:0] = ["/opt/own", "/opt/libraries"]
from pathlib import Path
from runtime.tls import make_certificate
import shutil
for made in make_certificate(Path("/run"), "pbx.example.com"):
    shutil.move(made, f"/etc/credstore/pbx-agent.{made.name}")
"""
SHOWN = "import ssl; print(ssl.get_server_certificate(('127.0.0.1', 5061)), end='')"
# What a program in the unit may not: a line for each that it could do all the same.
ATTEMPTS = """
import ctypes, mmap, os, socket, struct, sys
data = f"/var/lib/{sys.argv[1]}"
def tries(name, do):
    try:
        do()
    except OSError:
        return
    print("could", name)
def a_namespace():
    if ctypes.CDLL(None).syscall(272, 0x04000000) < 0: raise OSError  # unshare(CLONE_NEWUTS)
def change_a_link():  # RTM_NEWLINK, with an answer: lo shall be up
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW) as kernel:
        body = struct.pack("=BxHiII", 0, 0, 1, 1, 1)
        kernel.send(struct.pack("=IHHII", 16 + len(body), 16, 5, 1, 0) + body)
        (error,) = struct.unpack_from("=i", kernel.recv(4096), 16)
        if error: raise OSError(-error)
def set_user_id():
    open(f"{data}/x", "w").close(); os.chmod(f"{data}/x", 0o4755)
tries("write and execute", lambda: mmap.mmap(-1, 4096, prot=mmap.PROT_WRITE | mmap.PROT_EXEC))
tries("raw packets", lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW))
tries("ask the kernel for links", lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW))
tries("change a link", change_a_link)
tries("a namespace", a_namespace)
tries("a file of the system", lambda: open("/etc/owned", "w"))
tries("its configuration", lambda: open(f"/etc/{sys.argv[1]}/owned", "w"))
tries("root's home", lambda: os.listdir("/root"))
tries("other processes", lambda: open("/proc/1/cmdline"))
tries("real time", lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1)))
tries("set-user-id", set_user_id)
tries("another root", lambda: os.chroot(data))
if len(sys.argv) > 2:
    sys.exit()
with open("/proc/self/status") as file:
    status = dict(line.split(":", 1) for line in file)
print(*(status[name].strip() for name in ("CapEff", "CapBnd", "NoNewPrivs", "Seccomp")))
print("data", open(f"{data}/kept", "w").write("x"), oct(os.umask(0)))
"""


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Booted]:
    made = Booted(tmp_path_factory.mktemp("machine"))
    try:
        made.start()
    except NoMachineError as refused:
        pytest.skip(f"NOT RUN: {refused}")
    yield made
    made.kill()


def typed(machine: Booted, heading: str, **instead: str) -> None:
    """Type what docs/services.md says below this heading; `instead` of a line that has this word, another."""
    text = (ROOT / "docs" / "services.md").read_text()
    block = re.search(rf"^## {heading}\n.*?^```\n(.*?)^```", text, re.M | re.S)
    assert block is not None
    for line in block[1].splitlines():
        if "pip install" in line:
            continue  # `make compiled` did
        for word, other in instead.items():
            line = other if f" {word} " in f" {line} " else line
        machine.run("sh", "-c", line)


@pytest.fixture(scope="module")
def installed(machine: Booted) -> Booted:
    """Master and agent as an administrator installs them."""
    machine.write("/run/master.yaml", MASTER_YAML)
    machine.write("/run/agent.yaml", AGENT_YAML)
    machine.write("/run/socket", SOCKET)
    typed(machine, "The master", editor="cp /run/master.yaml /etc/licence-master/master.yaml")
    machine.write("/run/licences.csv", "type,count\nPBX-Port13,10\n")
    machine.run("licence-master", "install", "/run/licences.csv")
    line = machine.run("licence-master", "invite", "--pbx", "lyon").stdout.strip()
    drop_in = "/etc/systemd/system/pbx-agent.socket.d/override.conf"
    typed(
        machine,
        "The agent",
        editor="cp /run/agent.yaml /etc/pbx-agent/agent.yaml",
        edit=f"install -D -m 0644 /run/socket {drop_in}",
        join=f"runuser -u pbx-agent -- {BIN}/{line}",
    )
    return machine


def test_the_hardened_programs_run(installed: Booted) -> None:
    for unit in ("licence-master", "pbx-agent"):
        assert installed.show("ActiveState", unit) == "active"
        pid = installed.show("MainPID", unit)
        status = installed.run("cat", f"/proc/{pid}/status").stdout
        for line in (
            "NoNewPrivs:\t1",
            "Seccomp:\t2",
            "CapEff:\t0000000000000000",
            "CapBnd:\t0000000000000000",
        ):
            assert line in status
    answered = installed.run("/opt/python/bin/python3", "-c", PHONE)
    assert answered.stdout.strip() == "SIP/2.0 200 OK"

    def held() -> bool:
        return "201" in installed.run("licence-master", "holders").stdout

    until(held, what="the master knows who holds a licence")
    for unit in ("licence-master", "pbx-agent"):
        before = installed.show("MainPID", unit)
        installed.control("reload", unit)
        assert installed.show("MainPID", unit) == before
        installed.control("restart", unit)
        assert installed.show("MainPID", unit) != before
    until(held, what="all of it is there after a restart")
    assert installed.run("pbx-agent", "check", check=False).returncode in (0, 1)


def test_a_master_that_hangs_is_killed_and_started_again(installed: Booted) -> None:
    fast = "/etc/systemd/system/licence-master.service.d/fast.conf"
    installed.write(fast, "[Service]\nWatchdogSec=1\n")
    try:
        installed.control("daemon-reload")
        installed.control("restart", "licence-master")
        installed.run("kill", "-STOP", installed.show("MainPID", "licence-master"))
        until(lambda: installed.show("NRestarts", "licence-master") == "1", what="systemd starts it again")
        until(lambda: installed.show("ActiveState", "licence-master") == "active", what="it is ready again")
    finally:  # a second is no time for those who come after this test
        installed.run("rm", fast)
        installed.control("daemon-reload")
        installed.control("restart", "licence-master")


@pytest.mark.parametrize(
    ("unit", "may"), [("licence-master", []), ("pbx-agent", ["could ask the kernel for links"])]
)
def test_what_a_unit_forbids(installed: Booted, unit: str, may: list[str]) -> None:
    """The same unit with another program in it, which can all of it elsewhere."""
    installed.write("/opt/attempts.py", ATTEMPTS)
    command = f"/opt/python/bin/python3 /opt/attempts.py {unit}"
    free = installed.run(*command.split(), "free").stdout.splitlines()
    assert len(free) == ATTEMPTS.count("\ntries(")
    installed.run("cp", f"/etc/systemd/system/{unit}.service", f"/etc/systemd/system/try-{unit}.service")
    log = f"/run/{unit}.said"
    lines = ["[Service]", "Type=oneshot", "Restart=no", "WatchdogSec=0", "ExecStart=", f"ExecStart={command}"]
    lines += [f"StandardOutput=file:{log}", f"StandardError=file:{log}"]
    installed.write(f"/etc/systemd/system/try-{unit}.service.d/try.conf", "\n".join(lines))
    installed.control("daemon-reload")
    installed.run("sh", "-c", f"rm -f /var/lib/{unit}/x /etc/owned /etc/{unit}/owned")
    installed.control("start", f"try-{unit}", check=False)
    nothing = "0000000000000000"
    said = installed.run("cat", log).stdout.splitlines()
    assert said == [*may, f"{nothing} {nothing} 1 2", "data 1 0o77"]


def test_keys_come_from_the_credentials(installed: Booted) -> None:
    """With the key in /etc/credstore alone the agent believes the master; with another one it does not."""
    typed(installed, "Keys as credentials")
    assert installed.run("ls", "/var/lib/licence-master/keys").stdout.split() == [
        "admin.token",
        "tls.crt",
        "tls.key",
    ]

    assert "FAIL" not in installed.run("licence-master", "doctor").stdout

    def in_sync() -> bool:
        return "in_sync" in installed.run("pbx-agent", "status").stdout

    installed.control("restart", "pbx-agent")
    until(in_sync, what="the agent believes the answers")
    installed.run("/opt/python/bin/python3", "-c", ANOTHER_KEY)
    installed.run("mv", "/etc/credstore/x", "/etc/credstore/licence-master.master.key")
    installed.control("restart", "licence-master")
    until(lambda: "signature_invalid" in installed.run("pbx-agent", "status").stdout, what="it does not")


def test_the_agent_shows_a_certificate_of_its_credentials(installed: Booted) -> None:
    installed.run("/opt/python/bin/python3", "-c", CERTIFICATE)
    tls = '{certificate: "credential:tls.crt", key: "credential:tls.key"}'
    yaml = AGENT_YAML.replace('listen: ["', 'listen: ["tls:127.0.0.1:5061", "').replace(
        "advertise", f"tls: {tls}, advertise"
    )
    installed.write("/etc/pbx-agent/agent.yaml", yaml)
    installed.run("pbx-agent", "check-config")
    installed.control("restart", "pbx-agent")
    shown = installed.run("/opt/python/bin/python3", "-c", SHOWN).stdout
    assert shown == installed.run("cat", "/etc/credstore/pbx-agent.tls.crt").stdout


@pytest.mark.parametrize("command", ["licence-master pools", "pbx-agent status"])
def test_who_may_open_a_socket_is_a_matter_of_groups(installed: Booted, command: str) -> None:
    group = command.split()[0]
    (file,) = installed.run("sh", "-c", f"echo /etc/{group}/*.yaml").stdout.split()
    installed.run("install", "-m", "0644", file, "/opt/readable.yaml")
    words = [*command.split(), "--config", "/opt/readable.yaml"]
    for more, allowed in (([], False), ([f"--supp-group={group}"], True)):
        person = ["runuser", "--user=nobody", "--group=nogroup", *more, "--"]
        assert (installed.run(*person, *words, check=False).returncode == 0) is allowed


def test_the_redirect_is_loaded_by_its_unit(installed: Booted) -> None:
    """Root with one capability, and nothing else."""
    yaml = AGENT_YAML.replace("127.0.0.1:5060", "127.0.0.2:5070")
    installed.write("/etc/pbx-agent/agent.yaml", yaml)
    installed.run("cp", "systemd/pbx-agent-redirect.service", "/etc/systemd/system")
    installed.control("daemon-reload")
    installed.control("start", "pbx-agent-redirect")
    assert "5070" in installed.run("nft", "list", "ruleset").stdout
    installed.control("stop", "pbx-agent-redirect")
    assert "5070" not in installed.run("nft", "list", "ruleset").stdout
