"""Keeps one network namespace alive and makes sockets inside it; run by network.py under `unshare -rn`.

It speaks JSON with its parent over an inherited Unix socket. A socket belongs to the namespace in which it
was created, wherever its file descriptor goes afterwards: so the test process gets sockets without entering
the namespace itself (an unprivileged process with threads may not). It ends when its parent does.
"""

import json
import socket
import sys


def make(family: int, kind: int, protocol: int, address: list[str | int] | None) -> socket.socket:
    """Return a socket of this namespace: a stream connected to `address`, any other kind bound to it."""
    made = socket.socket(family, kind, protocol)
    if address is None:
        return made
    if kind == socket.SOCK_STREAM:
        made.settimeout(5.0)
        made.connect(tuple(address))
    else:
        made.bind(tuple(address))
    return made


def serve(parent: socket.socket) -> None:
    """Answer each request (family, kind, protocol, address) with `ok` and the socket, or with an errno."""
    while request := parent.recv(65536):
        family, kind, protocol, address = json.loads(request)
        try:
            with make(family, kind, protocol, address) as made:
                socket.send_fds(parent, [b"ok"], [made.fileno()])
        except OSError as error:
            parent.send(json.dumps([error.errno or 0, str(error)]).encode())


if __name__ == "__main__":
    with socket.socket(fileno=int(sys.argv[1])) as inherited:
        inherited.send(b"ready")
        serve(inherited)
