"""Runs commands by forks, having imported what they need: `typist.py FD MODULE…`, run by typed.py.

It speaks JSON with its parent over an inherited Unix socket, and has one thread: so a fork of it may enter a
namespace. It ends when its parent does, and all that it started ends with it.
"""

import contextlib
import ctypes
import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
import threading
import time
from typing import Any, NoReturn

MAINS = {
    "pbx-agent": ("agent.cli", "app"),
    "licence-master": ("licence_master.cli", "app"),
    "licence-file": ("licence_file.cli", "app"),
    "pytest": ("pytest", "main"),
}
SPACES = {"user": 0x10000000, "net": 0x40000000, "mnt": 0x00020000}  # CLONE_NEW…, in the order of setns
PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None, use_errno=True)
REQUEST_BYTES = 1 << 20
FILES = 3  # of each request: stdout, stderr, and where to tell of it
FIRST_OTHER = 3  # descriptor after stdin, stdout and stderr


def serve(parent: socket.socket) -> None:
    """Start what is asked for; tell of each its process id, then its exit code (negative for a signal)."""
    running: dict[int, tuple[int, int]] = {}  # by descriptor of the process: its id, and where to tell
    while True:
        ready, _, _ = select.select([parent.fileno(), *running], [], [])
        for process in running.keys() & {*ready}:
            child, told = running.pop(process)
            tell(told, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
            os.close(told)
            os.close(process)
        if parent.fileno() in ready:
            text, files, _, _ = socket.recv_fds(parent, REQUEST_BYTES, FILES)
            if not text:
                return
            child = os.fork()
            if not child:
                become(json.loads(text), files)
            running[os.pidfd_open(child)] = (child, files.pop())
            for file in files:
                os.close(file)


def tell(told: int, number: int) -> None:
    """Send a number to whoever asked; he may have gone."""
    with contextlib.suppress(BrokenPipeError):
        os.write(told, number.to_bytes(4, "little", signed=True))


def become(request: dict[str, Any], files: list[int]) -> NoReturn:
    """Be this command, in a session of its own, as if the parent's parent had started it.

    It keeps nothing of the parent's but what was imported; stdin is the parent's, which is /dev/null.
    """
    code: Any = 1
    try:
        os.setsid()
        tell(files[-1], os.getpid())
        for number, file in enumerate(files[:-1], start=1):
            os.dup2(file, number)
        os.closerange(FIRST_OTHER, os.sysconf("SC_OPEN_MAX"))
        os.sched_setaffinity(0, os.sched_getaffinity(request["asked_by"]))
        os.environ.clear()
        os.environ.update(request["environment"])
        time.tzset()
        sys.path[:0] = request["path"]
        if request["namespace"] is not None:
            enter(request["namespace"])
        os.chdir(request["directory"])
        LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)  # after that: new rights take it away
        sys.argv = request["words"]
        module, main = MAINS[sys.argv[0]]
        code = getattr(importlib.import_module(module), main)()
    except SystemExit as ended:
        code = ended.code
    finally:  # whatever it was, this fork does not go back
        if sys.exc_info()[0] is not None:
            sys.excepthook(*sys.exc_info())
        threading._shutdown()  # type: ignore[attr-defined] # as an interpreter ends: threads first
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code if isinstance(code, int) else 0 if code is None else 1)


def enter(keeper: int) -> None:
    """Go where this process is, as nsenter does; OSError."""
    opened = {name: os.open(f"/proc/{keeper}/ns/{name}", os.O_RDONLY) for name in SPACES}
    for name, descriptor in opened.items():
        elsewhere = not os.path.samestat(os.fstat(descriptor), os.stat(f"/proc/self/ns/{name}"))
        if elsewhere and LIBC.setns(descriptor, SPACES[name]) != 0:
            raise OSError(ctypes.get_errno(), f"setns of {keeper}")
        os.close(descriptor)


if __name__ == "__main__":
    for name in sys.argv[2:]:
        importlib.import_module(name)
    gc.freeze()
    with socket.socket(fileno=int(sys.argv[1])) as inherited:
        serve(inherited)
