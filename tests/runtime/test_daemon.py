"""The daemon shell as real processes: signals, exit codes, systemd's socket."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from runtime.daemon import first_cause, notify

ROOT = Path(__file__).parents[2]
HEAD = """
import asyncio, sys
from runtime.daemon import notify_ready, run
from runtime.logs import configure
configure()
"""
WAIT = """
async def main(stop):
    notify_ready("serving")
    print("ready", flush=True)
    await stop.wait()
    print("left", flush=True)
run(main)
print("returned", flush=True)
"""


def start(code: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", HEAD + code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, **environment},
    )


def events(stderr: str) -> list[dict[str, str]]:
    return [json.loads(line) for line in stderr.splitlines()]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_in_peace(number: signal.Signals) -> None:
    with start(WAIT) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        child.send_signal(number)
        out, err = child.communicate()
    assert (child.returncode, out) == (0, "left\nreturned\n")
    assert [event["event"] for event in events(err)] == ["daemon.stopping", "daemon.stopped"]


def test_a_failed_side_task_ends_it_with_one_critical_line() -> None:
    code = """
async def fails():
    raise OSError("the line is cut")
async def main(stop):
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(stop.wait())
        tasks.create_task(fails())
run(main)
"""
    with start(code) as child:
        _, err = child.communicate()
    (line,) = events(err)
    assert child.returncode == 1
    assert (line["event"], line["level"], line["kind"]) == ("daemon.failed", "critical", "OSError")
    assert line["error"] == "the line is cut"
    assert "in fails" in line["exception"]


LOOP = "loop = asyncio.get_running_loop(); "
CALLBACKS = {
    "callback": LOOP + "loop.call_soon(burst)",
    "timer": LOOP + "loop.call_later(0.01, burst)",
    "done callback": LOOP + "done = loop.create_future(); done.add_done_callback(burst); done.set_result(1)",
    "signal": LOOP + "import os; loop.add_signal_handler(10, burst); os.kill(os.getpid(), 10)",
    "reader": LOOP + "import os; r, w = os.pipe(); loop.add_reader(r, burst); os.write(w, b'x')",
    "lost task": "asyncio.create_task(dies())",
    "thread": "import threading; threading.Thread(target=burst).start()",
    "two": LOOP + "loop.call_soon(burst); loop.call_soon(burst)",
}


@pytest.mark.parametrize("where", CALLBACKS.values(), ids=CALLBACKS)
def test_an_exception_in_a_callback_ends_it_like_a_dead_task(where: str) -> None:
    code = f"""
def burst(*_):
    raise RuntimeError("half a decision " + "x" * 100_000)
async def dies():
    burst()
async def main(stop):
    {where}
    try:
        for _ in range(200):
            await asyncio.sleep(0.01)
            import gc; gc.collect()
        stop.set()
    finally:
        print("tidied up", flush=True)
run(main)
"""
    with start(code) as child:
        out, err = child.communicate(timeout=20)
    (line,) = events(err)
    assert child.returncode == 1
    assert out == "tidied up\n"
    assert (line["event"], line["level"], line["kind"]) == ("daemon.failed", "critical", "RuntimeError")
    assert line["error"].startswith("half a decision")
    assert len(err) < 20_000, "a message from outside fills no disk"


def test_a_connection_that_breaks_or_speaks_no_tls_is_no_reason_to_end() -> None:
    code = """
class Once(asyncio.Protocol):
    def connection_made(self, transport):
        loop = asyncio.get_running_loop()
        error = ConnectionResetError("gone")
        loop.call_exception_handler({"message": "it broke", "exception": error, "transport": transport})
async def main(stop):
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Once, "127.0.0.1", 0)
    await asyncio.open_connection(*server.sockets[0].getsockname())
    await asyncio.sleep(0.05)
    print("alive", flush=True)
    stop.set()
run(main)
"""
    with start(code) as child:
        out, err = child.communicate(timeout=20)
    assert (child.returncode, out) == (0, "alive\n")
    assert [event["event"] for event in events(err)] == ["loop.complained", "daemon.stopped"]


def test_what_does_not_tidy_up_ends_all_the_same() -> None:
    code = """
import runtime.daemon
runtime.daemon.STEP_DOWN_S = 0.2
async def main(stop):
    asyncio.get_running_loop().call_soon(lambda: 1 / 0)
    while True:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            print("no", flush=True)
run(main)
"""
    with start(code) as child:
        out, _ = child.communicate(timeout=20)
    assert (child.returncode, out) == (1, "no\n")


@pytest.mark.parametrize("number", ["ENOSPC", "EROFS", "EIO"])
def test_what_is_wrong_with_the_disk_is_said_without_a_traceback(number: str) -> None:
    code = f"""
import errno, os
async def main(stop):
    raise OSError(errno.{number}, os.strerror(errno.{number}), "/data/ledger.db.lock")
run(main)
"""
    with start(code) as child:
        _, err = child.communicate()
    (line,) = events(err)
    assert child.returncode == 1
    assert "'/data/ledger.db.lock'" in line["error"]
    assert "exception" not in line


def test_an_end_that_nobody_asked_for_is_a_failure() -> None:
    with start("async def main(stop): pass\nrun(main)\n") as child:
        _, err = child.communicate()
    assert child.returncode == 1
    assert [event["kind"] for event in events(err)] == ["EndedEarlyError"]


def test_a_program_may_stop_itself() -> None:
    with start("async def main(stop): stop.set()\nrun(main)\n") as child:
        child.communicate()
    assert child.returncode == 0


def test_hangup_reloads_and_goes_on() -> None:
    code = WAIT.replace("run(main)", 'run(main, reload=lambda: print("reloaded", flush=True))')
    with start(code) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        child.send_signal(signal.SIGHUP)
        assert child.stdout.readline() == "reloaded\n"
        child.terminate()
        child.communicate()
    assert child.returncode == 0


def test_hangup_without_a_reload_is_said_and_survived() -> None:
    with start(WAIT) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        child.stdout.readline()
        child.send_signal(signal.SIGHUP)
        assert json.loads(child.stderr.readline())["event"] == "reload.ignored"
        child.terminate()
        child.communicate()
    assert child.returncode == 0


def test_it_runs_on_uvloop() -> None:
    code = "async def main(stop): print(type(asyncio.get_running_loop()).__module__); stop.set()\nrun(main)\n"
    with start(code) as child:
        out, _ = child.communicate()
    assert out == "uvloop\n"


@pytest.mark.parametrize("abstract", [False, True])
def test_systemd_hears_ready_watchdog_and_stopping(tmp_path: Path, abstract: bool) -> None:
    name = f"@pbx-{os.getpid()}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(name.replace("@", "\0", 1))
        systemd.settimeout(10)
        with start(WAIT, NOTIFY_SOCKET=name, WATCHDOG_USEC="20000") as child:
            heard = [systemd.recv(200).decode() for _ in range(5)]
            child.terminate()
            while heard[-1] != "STOPPING=1":
                heard.append(systemd.recv(200).decode())
            child.communicate()
    assert child.returncode == 0
    assert "READY=1\nSTATUS=serving" in heard
    assert heard.count("WATCHDOG=1") >= 3


def test_without_systemd_nothing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def opened(*_: object) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    monkeypatch.setattr("socket.socket", opened)
    notify("READY=1")
    monkeypatch.setenv("NOTIFY_SOCKET", "/nowhere")
    with pytest.raises(AssertionError, match="opened"):
        notify("READY=1")


def test_the_first_cause_is_inside_nested_groups() -> None:
    cause = KeyError("x")
    assert first_cause(ExceptionGroup("a", [ExceptionGroup("b", [cause, ValueError()]), OSError()])) is cause
    assert first_cause(cause) is cause
    assert isinstance(first_cause(asyncio.CancelledError()), asyncio.CancelledError)
