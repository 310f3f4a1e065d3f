"""The chaos proxy itself: it really loses, doubles, reorders, cuts, goes silent and deaf, and by its seed."""

import socket
import threading
import time
from collections import Counter
from contextlib import suppress
from itertools import accumulate

import pytest

from tests.acceptance.peers.network import Network
from tests.chaos.doors import Doors
from tests.chaos.weather import CALM, CUT, REORDERED_MS, Fate, Weather

DATAGRAMS = 400
AT_ONCE = 40
STORM = Weather(loss=0.25, duplicate=0.1, reorder=0.2)


@pytest.fixture
def doors(network: Network, seed: int) -> Doors:
    """A proxy that runs."""
    return network.start(Doors(network, seed))


def drain(sock: socket.socket, quiet_s: float) -> list[int]:
    """The numbers that arrive until nothing has come for so long."""
    got = []
    sock.settimeout(quiet_s)
    while True:
        try:
            got.append(int(sock.recv(100)))
        except TimeoutError:
            return got


def numbered(network: Network, doors: Doors, weather: Weather, count: int = DATAGRAMS) -> list[int]:
    """Which of so many numbered datagrams arrive, in the order in which they do."""
    far, near = network.udp(network.address()), network.udp(network.address())
    door = (network.address(), 5060)
    doors.udp("phones", door, far.getsockname())
    doors.weather("phones", there=weather)
    got = []
    for first in range(0, count, AT_ONCE):  # no buffer of the kernel overflows: what is lost, the proxy lost
        for number in range(first, first + AT_ONCE):
            near.sendto(str(number).encode(), door)
        got += drain(far, 0.02)
    return got + drain(far, 0.3)


def test_datagrams_arrive_as_they_were_sent_in_calm_weather(network: Network, doors: Doors) -> None:
    got = numbered(network, doors, CALM)
    assert got == list(range(DATAGRAMS))


def test_datagrams_are_lost_doubled_and_reordered(network: Network, doors: Doors) -> None:
    got = numbered(network, doors, STORM)
    times = Counter(got)
    lost, doubled = DATAGRAMS - len(times), sum(count == 2 for count in times.values())
    overtaken = sum(number < most for number, most in zip(got, accumulate(got, max), strict=True))
    assert 0.18 < lost / DATAGRAMS < 0.32
    assert 0.04 < doubled / DATAGRAMS < 0.16
    assert overtaken > DATAGRAMS * 0.05
    assert doors.report("phones").connections == 1


def test_a_cut_is_of_one_direction_or_of_both(network: Network, doors: Doors) -> None:
    far, near = network.udp(network.address()), network.udp(network.address())
    door = (network.address(), 5060)
    doors.udp("phones", door, far.getsockname())
    for there, back in ((CALM, CALM), (CUT, CALM), (CALM, CUT)):
        doors.weather("phones", there=there, back=back)
        near.sendto(b"1", door)
        arrived = drain(far, 0.1)
        assert arrived == ([] if there.cut else [1])
        if arrived:
            far.sendto(b"2", way_back(far, near, door))
            assert drain(near, 0.1) == ([] if back.cut else [2])


def way_back(far: socket.socket, near: socket.socket, door: tuple[str, int]) -> tuple[str, int]:
    """Where the other side sees the client."""
    near.sendto(b"1", door)
    _, source = far.recvfrom(100)
    return str(source[0]), int(source[1])


class Echo(threading.Thread):
    """Returns every byte, to each connection in turn; ends with its listener."""

    def __init__(self, network: Network) -> None:
        super().__init__(daemon=True)
        self._listener = network.open_socket(socket.AF_INET, socket.SOCK_STREAM)
        self._listener.bind((network.address(), 8443))
        self._listener.listen(16)
        self.address: tuple[str, int] = self._listener.getsockname()
        self.start()

    def run(self) -> None:
        """Serve."""
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._answer, args=(client,), daemon=True).start()

    @staticmethod
    def _answer(client: socket.socket) -> None:
        with client, suppress(OSError):
            while data := client.recv(65_536):
                client.sendall(data)


def hears(sock: socket.socket, data: bytes, within_s: float = 5.0) -> bool:
    """Whether exactly this arrives."""
    sock.settimeout(within_s)
    try:
        return sock.recv(len(data), socket.MSG_WAITALL) == data
    except TimeoutError:
        return False


def test_streams_wait_go_silent_and_are_reset(network: Network, doors: Doors) -> None:
    door = (network.address(), 8443)
    doors.tcp("master", door, Echo(network).address)
    calm = network.connect(*door)
    calm.sendall(b"calm")
    assert hears(calm, b"calm")
    for there, back in ((CUT, CALM), (CALM, CUT)):
        doors.weather("master", there=there, back=back)
        calm.sendall(b"cut")
        assert not hears(calm, b"cut", 0.2)
        doors.weather("master")
        assert hears(calm, b"cut"), "TCP brings it when the cut is over"

    doors.weather("master", there=Weather(silent=True))
    silent = network.connect(*door)
    silent.sendall(b"hello?")
    assert not hears(silent, b"hello?", 0.2)
    doors.weather("master")
    assert not hears(silent, b"hello?", 0.2), "it stays silent when the weather is calm again"

    doors.drop("master")
    for sock in (calm, silent):
        with pytest.raises(ConnectionResetError):
            hears(sock, b"x")


def test_a_deaf_proxy_fills_the_senders_buffer(network: Network, doors: Doors) -> None:
    door = (network.address(), 8443)
    doors.tcp("master", door, Echo(network).address)
    doors.weather("master", there=Weather(deaf=True))
    sock = network.connect(*door)
    sock.settimeout(0.3)
    with pytest.raises(TimeoutError):
        sock.sendall(bytes(100_000_000))
    assert doors.report("master").passed == 0


def test_a_throttled_stream_takes_its_time(network: Network, doors: Doors) -> None:
    door = (network.address(), 8443)
    doors.tcp("master", door, Echo(network).address)
    doors.weather("master", there=Weather(bytes_per_s=20_000))
    sock, data = network.connect(*door), bytes(8_000)
    began = time.monotonic()
    sock.sendall(data)
    assert hears(sock, data)
    assert time.monotonic() - began > 0.35


def test_the_same_seed_has_the_same_fate() -> None:
    rough = Weather(loss=0.3, duplicate=0.2, reorder=0.2, delay_ms=(1, 30))

    def drawn(seed: int) -> list[tuple[list[int], int]]:
        fate = Fate(seed)
        return [(fate.datagram(rough), fate.segment(rough, 100)) for _ in range(200)]

    assert drawn(1) == drawn(1)
    assert drawn(1) != drawn(2)
    assert max(delay for copies, _ in drawn(3) for delay in copies) > REORDERED_MS


def test_loss_of_a_stream_is_a_wait_that_doubles() -> None:
    fate = Fate(5)
    waits = [fate.segment(Weather(loss=0.25), 100) for _ in range(4_000)]
    assert set(waits) >= {0, 200, 600, 1_400}
    assert 0.7 < waits.count(0) / len(waits) < 0.8
    assert fate.segment(Weather(bytes_per_s=1_000), 500) == 500
