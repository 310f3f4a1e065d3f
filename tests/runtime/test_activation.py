"""Sockets handed over as by systemd, to a real process: which one is given for what, and what is wrong."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
ACTIVATED = ROOT / "tests" / "acceptance" / "peers" / "activated.py"
UDP, TCP = socket.SOCK_DGRAM, socket.SOCK_STREAM
HEAD = """
import json, os, socket, sys
from runtime.activation import complaints, inherited
UDP, TCP = socket.SOCK_DGRAM, socket.SOCK_STREAM
"""

Open = Callable[..., socket.socket]


@pytest.fixture
def opened() -> Iterator[Open]:
    """Open sockets that last as long as the test; a stream one listens."""
    with ExitStack() as stack:

        def made(kind: socket.SocketKind, host: str = "127.0.0.1", *, v6only: int = 1) -> socket.socket:
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            sock = stack.enter_context(socket.socket(family, kind))
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, v6only)
            sock.bind((host, 0))
            if kind == TCP:
                sock.listen()
            return sock

        yield made


def port(sock: socket.socket) -> int:
    number: int = sock.getsockname()[1]
    return number


def said(code: str, *sockets: socket.socket) -> Any:
    """What a process that inherits these prints, as JSON."""
    numbers = [sock.fileno() for sock in sockets]
    words = [str(ACTIVATED), ",".join(map(str, numbers))] if numbers else []
    command = [sys.executable, *words, *([sys.executable] if words else []), "-c", HEAD + code]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command, pass_fds=numbers, env=environment, check=True, capture_output=True, text=True
    )
    return json.loads(done.stdout)


def test_each_socket_is_found_by_kind_address_and_port(opened: Open) -> None:
    first, second, six, stream = opened(UDP), opened(UDP), opened(UDP, "::1"), opened(TCP)
    code = f"""
asked = [(UDP, "127.0.0.1", {port(second)}), (UDP, "127.0.0.1", {port(first)}), (UDP, "0:0::1", {port(six)}),
         (TCP, "127.0.0.1", {port(stream)}),
         (TCP, "127.0.0.1", {port(first)}), (UDP, "0.0.0.0", {port(first)}), (UDP, "127.0.0.1", 1)]
got = [inherited(*one) for one in asked]
print(json.dumps([one and [one.type, *one.getsockname()[:2]] for one in got]))
"""
    found = [[UDP, "127.0.0.1", port(second)], [UDP, "127.0.0.1", port(first)], [UDP, "::1", port(six)]]
    found.append([TCP, "127.0.0.1", port(stream)])
    assert said(code, first, second, six, stream) == [*found, None, None, None]


def test_what_is_given_is_the_very_socket(opened: Open) -> None:
    """What waits in it is there, and closing it closes nothing outside."""
    sock, peer = opened(UDP), opened(UDP)
    peer.sendto(b"before the start", sock.getsockname())
    code = f"""
with inherited(UDP, "127.0.0.1", {port(sock)}) as one:
    print(json.dumps(one.recv(99).decode()))
"""
    assert said(code, sock) == "before the start"
    peer.sendto(b"after the end", sock.getsockname())
    assert sock.recv(99) == b"after the end"


def test_nothing_is_inherited_without_a_parent_who_says_so(opened: Open) -> None:
    sock = opened(UDP)
    code = f"print(json.dumps([inherited(UDP, '127.0.0.1', {port(sock)}) is None, complaints([])]))"
    assert said(code) == [True, []]
    other = "os.environ['LISTEN_PID'] = str(os.getppid())\n"  # meant for the parent, not for its child
    assert said(other + code, sock) == [True, []]


def test_a_child_of_ours_inherits_nothing(opened: Open) -> None:
    code = "complaints([])\nprint(json.dumps([os.get_inheritable(3), os.get_inheritable(4)]))"
    assert said(code, opened(UDP), opened(TCP)) == [False, False]


def test_a_socket_that_nobody_wants_is_named(opened: Open) -> None:
    wanted, other, stream = opened(UDP), opened(UDP), opened(TCP)
    code = f"print(json.dumps(complaints([(UDP, '127.0.0.1', {port(wanted)}), (TCP, '127.0.0.1', 1)])))"
    nobody = "(pbx-agent.socket): no listener of the configuration has this transport and address"
    assert said(code, wanted, other, stream) == [
        f"udp:127.0.0.1:{port(other)} {nobody}",
        f"tcp:127.0.0.1:{port(stream)} {nobody}",
    ]
    assert said(code, wanted) == []


def test_two_sockets_of_one_address_serve_one_listener(opened: Open) -> None:
    """The second one would rot: half of the datagrams go there (SO_REUSEPORT)."""
    with socket.socket(socket.AF_INET, UDP) as first, socket.socket(socket.AF_INET, UDP) as second:
        for sock in (first, second):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            sock.bind(("127.0.0.1", 0) if sock is first else first.getsockname())
        code = f"print(json.dumps(len(complaints([(UDP, '127.0.0.1', {port(first)})]))))"
        assert said(code, first, second) == 1


def test_what_cannot_be_used_is_said(opened: Open) -> None:
    both, deaf = opened(UDP, "::", v6only=0), opened(UDP)
    one, other = socket.socketpair()
    with one, other, socket.socket(socket.AF_INET, TCP) as silent:
        silent.bind(("127.0.0.1", 0))
        wanted = f"[(UDP, '::', {port(both)}), (TCP, '127.0.0.1', {port(silent)})]"
        code = f"os.close(6)\nprint(json.dumps(complaints({wanted})))"
        name = "(pbx-agent.socket):"
        assert said(code, both, silent, one, deaf) == [
            f"udp:[::]:{port(both)} {name} it takes IPv4 too; write BindIPv6Only=ipv6-only in its unit",
            f"tcp:127.0.0.1:{port(silent)} {name} it does not listen; Accept=no is right in its unit",
            f"descriptor 5 {name} not a UDP or TCP socket",
            f"descriptor 6 {name} Bad file descriptor",
        ]
