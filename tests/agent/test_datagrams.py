"""Batches of datagrams over real sockets: nothing lost, nothing mixed up, whoever the peer is."""

import errno
import socket
from collections.abc import Iterator

import pytest

from agent.edges.sip.datagrams import MAX_DATAGRAM, SLOT, SLOTS, Datagrams, address_of

Pair = tuple[socket.socket, socket.socket]


def bound(family: socket.AddressFamily, host: str) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
    sock.bind((host, 0))
    sock.setblocking(False)
    return sock


@pytest.fixture(params=["127.0.0.1", "::1"])
def pair(request: pytest.FixtureRequest) -> Iterator[Pair]:
    family = socket.AF_INET6 if ":" in request.param else socket.AF_INET
    with bound(family, request.param) as one, bound(family, request.param) as two:
        yield one, two


def send_all(sender: Datagrams, waiting: list[tuple[bytes, bytes]]) -> list[int]:
    sizes = []
    while waiting:
        sizes.append(sender.send(waiting))
        del waiting[: sizes[-1]]
    return sizes


def receive_all(receiver: Datagrams) -> list[tuple[bytes, tuple[str, int]]]:
    found: list[tuple[bytes, tuple[str, int]]] = []
    while batch := receiver.receive():
        found += [(data, address_of(peer)) for data, peer in batch]
    return found


def test_every_datagram_arrives_whole_and_in_order_with_its_sender(pair: Pair) -> None:
    one, two = pair
    sender, receiver = Datagrams(one), Datagrams(two)
    peer = sender.peer(*two.getsockname()[:2])
    lengths = [1, 0, 500, SLOT, SLOT + 1, 9_000, 3, *range(2 * SLOTS)]
    sent = [bytes([index % 251]) * length for index, length in enumerate(lengths)]
    sizes = send_all(sender, [(data, peer) for data in sent])
    assert sizes == [4, 1, 1, SLOTS, SLOTS, 1], "long ones leave alone, the others together"
    assert receive_all(receiver) == [(data, one.getsockname()[:2]) for data in sent]


def test_one_batch_may_go_to_many(pair: Pair) -> None:
    one, two = pair
    with bound(one.family, one.getsockname()[0]) as three:
        sender = Datagrams(one)
        peers = [sender.peer(*sock.getsockname()[:2]) for sock in (two, three)]
        assert send_all(sender, [(b"%d" % index, peers[index % 2]) for index in range(10)]) == [10]
        assert [data for data, _ in receive_all(Datagrams(three))] == [b"1", b"3", b"5", b"7", b"9"]


def test_the_longest_datagram_passes_whole(pair: Pair) -> None:
    one, two = pair
    longest = b"x" * (MAX_DATAGRAM - 28 if one.family == socket.AF_INET else MAX_DATAGRAM - 48)
    sender = Datagrams(one)
    send_all(sender, [(longest, sender.peer(*two.getsockname()[:2]))])
    assert receive_all(Datagrams(two)) == [(longest, one.getsockname()[:2])]


def test_nothing_to_receive_is_an_empty_batch(pair: Pair) -> None:
    assert Datagrams(pair[1]).receive() == []


def test_a_peer_that_is_not_there_is_an_error_of_the_next_call(pair: Pair) -> None:
    one, two = pair
    one.connect(two.getsockname())
    two.close()
    one.send(b"x")
    with pytest.raises(OSError, match="refused") as raised:
        Datagrams(one).receive()
    assert raised.value.errno == errno.ECONNREFUSED


def test_what_cannot_be_sent_is_an_error_and_the_rest_goes_on(pair: Pair) -> None:
    one, two = pair
    sender = Datagrams(one)
    peer = sender.peer(*two.getsockname()[:2])
    nowhere = sender.peer(two.getsockname()[0], 0)
    assert sender.send([(b"first", peer), (b"bad", nowhere), (b"last", peer)]) == 1
    with pytest.raises(OSError, match=r"Invalid argument"):
        sender.send([(b"bad", nowhere), (b"last", peer)])


def test_a_link_local_peer_keeps_its_interface() -> None:
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
        datagrams = Datagrams(sock)
        index = socket.if_nametoindex("lo")
        peer = datagrams.peer("fe80::1%lo", 5060)
        assert address_of(peer) == (f"fe80::1%{index}", 5060)
        assert datagrams.peer(*address_of(peer)) == peer
