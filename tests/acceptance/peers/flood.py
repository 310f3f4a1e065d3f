"""A flood of SIP-like datagrams from one source: garbage, REGISTERs without credentials, plausible INVITEs.

Run as a program of its own, so that it has its own interpreter; it ends when its standard input does, and
prints what it sent: `{"sent": 1234567, "seconds": 20.1}`. No two messages are equal.
"""

import argparse
import json
import os
import select
import socket
import sys
import time
from itertools import cycle

from agent.edges.sip.datagrams import SLOTS, Datagrams

GARBAGE = b"\x16\x03%08d" + b"\xa5" * 300 + b"\r\n\r\n"
REGISTER = (
    "REGISTER sip:{domain} SIP/2.0\r\nVia: SIP/2.0/UDP {host}:{port};rport;branch=z9hG4bKfl%d\r\n"
    "Max-Forwards: 70\r\nFrom: <sip:9999@{domain}>;tag=f%d\r\nTo: <sip:9999@{domain}>\r\n"
    "Call-ID: flood-%d\r\nCSeq: 1 REGISTER\r\nContact: <sip:9999@{host}:{port}>\r\nExpires: 3600\r\n"
    "Content-Length: 0\r\n\r\n"
)
INVITE = (
    "INVITE sip:1001@{domain} SIP/2.0\r\nVia: SIP/2.0/UDP {host}:{port};rport;branch=z9hG4bKfl%d\r\n"
    "Max-Forwards: 70\r\nFrom: <sip:9999@{domain}>;tag=f%d\r\nTo: <sip:1001@{domain}>\r\n"
    "Call-ID: flood-%d\r\nCSeq: 1 INVITE\r\nContact: <sip:9999@{host}:{port}>\r\n"
    "Content-Length: 0\r\n\r\n"
)
KINDS = ("garbage", "register", "invite")


def templates(kinds: list[str], domain: str, host: str, port: int) -> list[bytes]:
    """The messages of these kinds, with a number to fill in wherever one stands."""
    values = {"domain": domain, "host": host, "port": port}
    made = {"garbage": GARBAGE} | {
        kind: text.format(**values).encode() for kind, text in (("register", REGISTER), ("invite", INVITE))
    }
    return [made[kind] for kind in kinds]


def flood(
    sock: socket.socket, target: tuple[str, int], messages: list[bytes], rate: int
) -> tuple[int, float]:
    """Send until standard input ends, at most `rate` a second; how many left, in how many seconds."""
    datagrams = Datagrams(sock)
    peer = datagrams.peer(*target)
    turn = cycle([(message, message.count(b"%")) for message in messages])
    sent, began = 0, time.monotonic()
    while not select.select([sys.stdin], [], [], 0)[0]:
        due = int((time.monotonic() - began) * rate) - sent
        if due < SLOTS:
            time.sleep((SLOTS - due) / rate)
            continue
        batch = []
        for number in range(sent, sent + SLOTS):
            message, fields = next(turn)
            batch.append((message % ((number,) * fields), peer))
        sent += datagrams.send(batch)
        sock.setblocking(True)
    return sent, time.monotonic() - began


def main() -> None:
    """Read the command line, flood, print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--source", required=True)
    parser.add_argument("--target", required=True)
    parser.add_argument("--port", type=int, default=5060)
    parser.add_argument("--domain", required=True)
    parser.add_argument("--rate", type=int, required=True)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    words = parser.parse_args()
    family = socket.AF_INET6 if ":" in words.source else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.bind((words.source, 0))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)  # nobody reads the answers
        messages = templates(words.kinds, words.domain, *sock.getsockname()[:2])
        sent, seconds = flood(sock, (words.target, words.port), messages, words.rate)
    print(json.dumps({"sent": sent, "seconds": round(seconds, 3)}))


if __name__ == "__main__":
    os.nice(5)
    main()
