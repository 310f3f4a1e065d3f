"""Runs commands by forks, having imported what they need: `typist.py FD MODULE…`, run by typed.py.

It speaks JSON with its parent over an inherited Unix socket, ends when its parent does, and has one thread:
so a fork of it may enter a namespace.
"""

import ctypes
import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
from typing import Any, NoReturn

MAINS = {
    "pbx-agent": ("agent.cli", "app"),
    "licence-master": ("licence_master.cli", "app"),
    "licence-file": ("licence_file.cli", "app"),
    "pytest": ("pytest", "main"),
}
CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
REQUEST_BYTES = 1 << 20


def serve(parent: socket.socket) -> None:
    """Answer each command with its exit code, negative for the signal that ended it."""
    while True:
        text, files, _, _ = socket.recv_fds(parent, REQUEST_BYTES, 2)
        if not text:
            return
        request = json.loads(text)
        child = os.fork()
        if not child:
            parent.close()
            become(request, files)
        os.setpgid(child, child)  # with all that it starts
        for file in files:
            os.close(file)
        code = ended(child, request["within_s"])
        parent.send(code.to_bytes(4, "little", signed=True))


def ended(child: int, within_s: float) -> int:
    """Its exit code; SIGKILL to its group when that takes too long."""
    descriptor = os.pidfd_open(child)
    if not select.select([descriptor], [], [], within_s)[0]:
        os.killpg(child, signal.SIGKILL)
    os.close(descriptor)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def become(request: dict[str, Any], files: list[int]) -> NoReturn:
    """Be this command: its words, environment, directory and namespace; stdout and stderr are `files`."""
    os.setpgid(0, 0)
    for number, file in enumerate(files, start=1):
        os.dup2(file, number)
    os.environ.clear()
    os.environ.update(request["environment"])
    os.chdir(request["directory"])
    sys.path[:0] = request["path"]
    if request["namespace"] is not None:
        enter(request["namespace"])
    sys.argv = request["words"]
    module, main = MAINS[sys.argv[0]]
    code: Any = 1
    try:
        code = getattr(importlib.import_module(module), main)()
    except SystemExit as ended:
        code = ended.code
    finally:  # whatever it was, this fork does not go back
        if sys.exc_info()[0] is not None:
            sys.excepthook(*sys.exc_info())
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code if isinstance(code, int) else 0 if code is None else 1)


def enter(keeper: int) -> None:
    """Go where this process is, as nsenter does; OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    spaces = (("user", CLONE_NEWUSER), ("net", CLONE_NEWNET))
    opened = [(os.open(f"/proc/{keeper}/ns/{name}", os.O_RDONLY), kind) for name, kind in spaces]
    for descriptor, kind in opened:
        if libc.setns(descriptor, kind) != 0:
            raise OSError(ctypes.get_errno(), f"setns of {keeper}")
        os.close(descriptor)


if __name__ == "__main__":
    for name in sys.argv[2:]:
        importlib.import_module(name)
    gc.freeze()
    with socket.socket(fileno=int(sys.argv[1])) as inherited:
        serve(inherited)
