"""A flood of datagrams from one source: garbage, REGISTERs without credentials, plausible INVITEs.

A program of its own, with its own interpreter, which `Flood` runs; its messages differ from each other. What
it counts as sent the kernel has taken from its hands.
"""

import argparse
import json
import signal
import socket
import sys
import time
from itertools import cycle

from agent.edges.sip.datagrams import SLOTS, Datagrams
from tests.acceptance.peers.installed import ROOT
from tests.acceptance.peers.network import Network, program
from tests.acceptance.peers.processes import Command

GARBAGE = b"\x16\x03%d" + b"\xa5" * 300
SIP = (
    "{method} sip:9999@{domain} SIP/2.0\r\n"
    "Via: SIP/2.0/UDP {host}:{port};rport;branch=z9hG4bKfl%d\r\nMax-Forwards: 70\r\n"
    "From: <sip:9998@{domain}>;tag=f%d\r\nTo: <sip:9999@{domain}>\r\nCall-ID: flood-%d\r\n"
    "CSeq: 1 {method}\r\nContact: <sip:9998@{host}:{port}>\r\nExpires: 3600\r\nContent-Length: 0\r\n\r\n"
)


class Flood(Command):
    """It floods from `start` to `end`, from an address of its own, at most `per_s` a second."""

    def __init__(self, network: Network, target: tuple[str, int], domain: str, per_s: int) -> None:
        """Describe it; it is niced, so that it does not take from others what it has no use for."""
        self.host = network.address()
        words = [program("nice"), "-n", "5", sys.executable, "-m", "tests.acceptance.peers.flood"]
        words += [self.host, target[0], str(target[1]), domain, str(per_s)]
        super().__init__(network, "flood", words, ready="flooding", environment={"PYTHONPATH": str(ROOT)})

    def stop(self) -> tuple[int, float]:
        """End it: how many it sent, and how many a second."""
        self.end()
        told = json.loads(self.log.splitlines()[-1])
        return told["sent"], told["sent"] / told["seconds"]


class _Stop(Exception):  # noqa: N818 - not an error
    """SIGTERM."""


def _stop(*_: object) -> None:
    raise _Stop


def _templates(domain: str, host: str, port: int) -> list[tuple[bytes, int]]:
    """The messages, each with the number of places for a number in it."""
    values = {"domain": domain, "host": host, "port": port}
    texts = [SIP.format(method=method, **values).encode() for method in ("REGISTER", "INVITE")]
    return [(text, text.count(b"%")) for text in (GARBAGE, *texts)]


def _flood(sock: socket.socket, target: tuple[str, int], domain: str, per_s: int) -> tuple[int, float]:
    """Send until SIGTERM: how many, in how many seconds."""
    datagrams, templates = Datagrams(sock), cycle(_templates(domain, *sock.getsockname()[:2]))
    peer = datagrams.peer(*target)
    sent, began = 0, time.monotonic()
    try:
        while True:
            ahead = sent + SLOTS - int((time.monotonic() - began) * per_s)
            if ahead > 0:
                time.sleep(ahead / per_s)
            batch = []
            for number in range(sent, sent + SLOTS):
                text, places = next(templates)
                batch.append((text % ((number,) * places), peer))
            sent += datagrams.send(batch)
    except _Stop:
        return sent, time.monotonic() - began


def _main() -> None:
    parser = argparse.ArgumentParser()
    for name in ("source", "host", "port", "domain", "per_s"):
        parser.add_argument(name)
    words = parser.parse_args()
    family = socket.AF_INET6 if ":" in words.source else socket.AF_INET
    signal.signal(signal.SIGTERM, _stop)
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.bind((words.source, 0))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)  # nobody reads the answers
        print("flooding", flush=True)
        sent, seconds = _flood(sock, (words.host, int(words.port)), words.domain, int(words.per_s))
    print(json.dumps({"sent": sent, "seconds": seconds}))


if __name__ == "__main__":
    _main()
