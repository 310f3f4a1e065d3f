"""How long a REGISTER stays in the guard, from the phone's socket to the PBX's, with 10,000 phones bound.

This process is the phones and the PBX, so one clock sees both ends. Requests begin at a steady rate and do
not wait for each other. The time holds what a phone would feel: two wake-ups, the decision, two system calls.
"""

import re
import select
import socket
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bench.guard import all_hold_a_unit, pinned_agent
from bench.load import LoadFailedError, Registers
from bench.sip import Result, Tick, kamailio, pinned_load
from tests.acceptance.peers.network import Network
from tests.acceptance.peers.waiting import until
from tests.acceptance.site import SIP

PHONES = 10_000
WINDOW = 64
SILENCE_S = 2.0
_NUMBER = re.compile(rb"branch=z9hG4bKld([0-9]+)")
_ECHOED = (b"Via", b"From", b"To:", b"Call-ID", b"CSeq", b"Contact")


@dataclass(slots=True)
class Line:
    """Phones at one end of a proxy and a PBX that grants everything at the other."""

    phones: socket.socket
    pbx: socket.socket
    registers: Registers
    sent_ns: dict[int, int] = field(default_factory=dict)
    taken_ns: list[int] = field(default_factory=list)
    open: int = 0

    def run(self, count: int, rate: int | None = None) -> list[int]:
        """Send `count` REGISTERs, `rate` a second or as many as answers allow; ns on the way of each."""
        self.taken_ns = []
        began, first = time.perf_counter_ns(), self.registers.number
        while self.registers.number < first + count or self.open:
            allowed = count
            if rate is not None:
                allowed = min(count, 1 + (time.perf_counter_ns() - began) * rate // 1_000_000_000)
            while self.registers.number < first + allowed and self.open < WINDOW:
                self._send()
            self._hear(0.0002 if rate is not None else SILENCE_S)
        return self.taken_ns

    def close(self) -> None:
        """Close both ends."""
        self.phones.close()
        self.pbx.close()

    def _send(self) -> None:
        number, request = self.registers.next()
        self.open += 1
        self.sent_ns[number] = time.perf_counter_ns()
        self.phones.send(request)

    def _hear(self, patience_s: float) -> None:
        ready, _, _ = select.select((self.pbx, self.phones), (), (), patience_s)
        if (
            not ready
            and self.sent_ns
            and time.perf_counter_ns() - min(self.sent_ns.values()) > SILENCE_S * 1e9
        ):
            raise LoadFailedError(f"{len(self.sent_ns)} REGISTERs did not arrive within {SILENCE_S} s")
        if self.pbx in ready:
            request, source = self.pbx.recvfrom(65_535)
            self._arrived(request, time.perf_counter_ns())
            self.pbx.sendto(granted(request), source)
        if self.phones in ready:
            answer = self.phones.recv(65_535)
            if answer.startswith(b"SIP/2.0 200"):
                self.open -= 1
            elif not answer.startswith(b"SIP/2.0 1"):
                raise LoadFailedError(f"not a 200: {answer[:60]!r}")

    def _arrived(self, request: bytes, now_ns: int) -> None:
        numbers = _NUMBER.findall(request)
        sent_ns = self.sent_ns.pop(int(numbers[0]), None) if numbers else None
        if sent_ns is not None:  # else it was repeated
            self.taken_ns.append(now_ns - sent_ns)


def granted(request: bytes) -> bytes:
    """The 200 of a registrar that binds what was asked."""
    lines = request.partition(b"\r\n\r\n")[0].split(b"\r\n")
    kept = [line for line in lines[1:] if line.startswith(_ECHOED)]
    kept = [
        line + b";tag=pbx" if line.startswith(b"To:") else
        line + b";expires=3600" if line.startswith(b"Contact") else line
        for line in kept
    ]  # fmt: skip
    return b"\r\n".join([b"SIP/2.0 200 OK", *kept, b"Content-Length: 0", b"", b""])


@contextmanager
def answering(pbx: socket.socket) -> Iterator[None]:
    """Answer whatever comes meanwhile: Kamailio counts as started once a request through it was answered."""
    done = threading.Event()

    def answer() -> None:
        while not done.is_set():
            if select.select((pbx,), (), (), 0.05)[0]:
                request, source = pbx.recvfrom(65_535)
                pbx.sendto(granted(request), source)

    thread = threading.Thread(target=answer)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def percentile_us(taken_ns: list[int], share: float) -> float:
    """The time that this share of them did not exceed."""
    ordered = sorted(taken_ns)
    return round(ordered[min(len(ordered) - 1, int(len(ordered) * share))] / 1_000, 1)


def decisions(
    folder: Path, tick: Tick, *, rounds: int, count: int = 10_000, rate: int = 1_000, phones: int = PHONES
) -> Result:
    """Return the result: p99 of a refresh in µs, beside Kamailio's; all phones are bound before."""
    with Network(folder) as network, pinned_load():
        places = [(network.address(), SIP) for _ in range(2)]
        agent = pinned_agent(network, places[0], phones)
        peer = kamailio(folder, network, (network.address(), SIP), places[1])
        lines = [
            _line(network, target, place, phones)
            for target, place in zip((agent.address, peer.address), places, strict=True)
        ]
        with answering(lines[1].pbx):
            network.start(peer.program)
        for line in lines:
            line.run(phones)
        until(lambda: all_hold_a_unit(agent, phones), 30.0, "a unit for each object")
        runs = []
        for _ in range(rounds):
            runs.append([line.run(count, rate) for line in lines])
            tick()
        for line in lines:
            line.close()
    found = [[percentile_us(taken, 0.99) for taken in run] for run in runs]
    detail = [
        {name: percentile_us(taken, share) for name, share in (("p50_us", 0.5), ("p999_us", 0.999))}
        for taken, _ in runs
    ]
    ours = statistics.median(one for one, _ in found)
    return {
        "value": ours,
        "unit": "us",
        "ours": ours,
        "peer": statistics.median(two for _, two in found),
        "peer_name": f"{peer.name}, p99 µs from phone to PBX, no bindings",
        "rounds": [
            {"ours": one, "peer": two, "detail": {"pbx-agent": more}}
            for (one, two), more in zip(found, detail, strict=True)
        ],
    }


def _line(network: Network, target: tuple[str, int], place: tuple[str, int], phones: int) -> Line:
    sockets = []
    for host, port in ((target[0], 0), place):
        sock = network.udp(host, port)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        sock.setblocking(False)
        sockets.append(sock)
    sockets[0].connect(target)
    return Line(sockets[0], sockets[1], Registers(sockets[0].getsockname()[:2], place, phones=phones))
