"""The peers prove themselves on each other before they judge our programs."""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from demo.pbx import Pbx
from demo.phone import Phone
from demo.sip import digest_response
from tests.acceptance.peers.baresip import Baresip
from tests.acceptance.peers.capture import Capture
from tests.acceptance.peers.kamailio import Proxy, Registrar
from tests.acceptance.peers.network import Network
from tests.acceptance.peers.processes import Command
from tests.acceptance.peers.sipp import Counts, Sipp, users
from tests.acceptance.peers.waiting import until

SIP = 5060
ROOT = Path(__file__).parents[2]


def registrar(network: Network) -> Registrar:
    """Start Kamailio as the PBX."""
    return network.start(Registrar(network.folder / "pbx", network, (network.address(), SIP)))


def proxy(network: Network, pbx: tuple[str, int], *, stateful: bool = True) -> Proxy:
    """Start Kamailio where the guard will stand."""
    folder = network.folder / "proxy"
    return network.start(Proxy(folder, network, (network.address(), SIP), pbx, stateful=stateful))


def demo_pbx(network: Network) -> tuple[Command, str]:
    """Start the demonstration's PBX; return it and its host."""
    host = network.address()
    command = [sys.executable, "-m", "demo.pbx", "--listen", f"{host}:{SIP}"]
    program = Command(network, "demo-pbx", command, ready="listening", environment={"PYTHONPATH": str(ROOT)})
    return network.start(program), host


def events(program: Command) -> list[tuple[str, str]]:
    """Return (event, user) of each line that a demonstration program wrote."""
    lines = [json.loads(line) for line in program.lines]
    return [(line["event"], line["user"]) for line in lines if "user" in line]


def requests(capture: Capture, method: str, **between: tuple[str, int]) -> list[bytes]:
    """Return the requests of a method that passed, without those sent again."""
    passed = dict.fromkeys(got.data for got in capture.datagrams(**between))
    return [data for data in passed if data.startswith(method.encode())]


def assert_no_way_past(capture: Capture, pbx: str, guard: str) -> None:
    """Everything that the PBX sent or got passed the proxy: Path and Record-Route were honoured."""
    ends = {(got.source[0], got.destination[0]) for got in capture.datagrams() if b" SIP/2.0" in got.data}
    assert {guard} == {
        source if source != pbx else target for source, target in ends if pbx in (source, target)
    }


# --- the ground


def test_two_networks_do_not_see_each_other(network: Network, tmp_path: Path) -> None:
    with Network(tmp_path / "other") as other:
        assert network.address() == other.address() == "10.77.0.2"
        here, there = network.udp("10.77.0.2", SIP), other.udp("10.77.0.2", SIP)
        with here, there, network.udp("10.77.0.1") as sender:
            sender.sendto(b"hello", ("10.77.0.2", SIP))
            here.settimeout(5)
            assert here.recv(100) == b"hello"
            there.setblocking(False)
            with pytest.raises(BlockingIOError):
                there.recv(100)


def test_a_refused_connection_says_so(network: Network) -> None:
    with pytest.raises(ConnectionRefusedError):
        network.connect("127.0.0.1", 9)


def test_the_capture_is_byte_exact_and_complete(network: Network) -> None:
    sent = [bytes([number % 256]) * (number + 1) for number in range(300)]
    with Capture(network) as capture, network.udp("127.0.0.1") as sender, network.udp("::1") as six:
        target = network.udp("127.0.0.1")
        for data in sent:
            sender.sendto(data, target.getsockname())
            assert target.recv(1000) == data
        six.sendto(b"over six", ("::1", SIP))
        assert [got.data for got in capture.datagrams(source=sender.getsockname())] == sent
        assert [got.data for got in capture.datagrams(destination=("::1", SIP))] == [b"over six"]
        target.close()


def test_a_program_is_frozen_killed_and_started_again(network: Network) -> None:
    code = "import socket; s = socket.create_server(('127.0.0.1', 80)); print('ready', flush=True)\n"
    code += "while True: s.accept()[0].sendall(b'hello')"
    server = network.start(Command(network, "server", [sys.executable, "-c", code], ready="ready"))

    def hello(within_s: float) -> bytes:
        with network.connect("127.0.0.1", 80) as connection:
            connection.settimeout(within_s)
            return connection.recv(5)

    assert hello(5) == b"hello"
    server.freeze()
    with pytest.raises(TimeoutError):
        hello(0.05)
    server.thaw()
    assert hello(5) == b"hello"
    first = server.pid
    server.kill()
    with pytest.raises(ConnectionRefusedError):
        hello(5)
    server.start()
    assert server.pid != first
    assert hello(5) == b"hello"
    assert server.end() == -15


def test_a_program_that_dies_before_it_is_ready_fails_with_its_log(network: Network) -> None:
    command = [sys.executable, "-c", "raise SystemExit('no such thing')"]
    with pytest.raises(AssertionError, match="no such thing"):
        network.start(Command(network, "dying", command, ready="never"))


# --- baresip, SIPp and Kamailio


@pytest.mark.real("kamailio", "baresip")
def test_baresip_registers_through_a_proxy_and_gives_back(network: Network) -> None:
    pbx = registrar(network)
    guard = proxy(network, (pbx.host, SIP))
    capture = network.start(Capture(network))
    phone = network.start(Baresip(network, "1001", pbx.host, proxy=guard.host))

    assert phone.register().text == "200 OK"
    (contact,) = pbx.contacts()["1001"]
    assert contact["Path"] == f"<sip:{guard.host};lr>"
    assert contact["Expires"] <= 60
    phone.unregister()
    until(lambda: "1001" not in pbx.contacts(), what="the PBX forgot the phone")

    to_guard = requests(capture, "REGISTER", source=(phone.host, SIP))
    to_pbx = requests(capture, "REGISTER", source=(guard.host, SIP))
    assert len(to_guard) == len(to_pbx) == 4  # each with and without credentials
    assert not requests(capture, "REGISTER", source=(phone.host, SIP), destination=(pbx.host, SIP))


@pytest.mark.real("kamailio", "baresip")
def test_a_wrong_password_fails(network: Network) -> None:
    pbx = registrar(network)
    phone = network.start(Baresip(network, "1001", pbx.host, password="wrong"))
    failed = phone.register()
    assert (failed.kind, failed.text) == ("REGISTER_FAIL", "401 Unauthorized")
    assert pbx.contacts() == {}


@pytest.mark.real("kamailio", "baresip")
def test_a_killed_phone_stays_until_its_binding_expires(network: Network) -> None:
    pbx = registrar(network)
    phone = network.start(Baresip(network, "1001", pbx.host, expires_s=2))
    phone.register()
    phone.kill()
    assert "1001" in pbx.contacts()
    until(lambda: "1001" not in pbx.contacts(), what="expiry")


@pytest.mark.real("kamailio", "baresip")
def test_two_phones_call_each_other_through_proxy_and_pbx(network: Network) -> None:
    pbx = registrar(network)
    guard = proxy(network, (pbx.host, SIP))
    anna, bert = (
        network.start(Baresip(network, user, pbx.host, proxy=guard.host)) for user in ("1001", "1002")
    )
    capture = network.start(Capture(network))
    for phone in (anna, bert):
        phone.register()
    for caller, callee in ((anna, bert), (bert, anna)):
        seen = len(caller.events), len(callee.events)
        caller.call(callee.aor)
        caller.wait_event("CALL_ESTABLISHED", after=seen[0])
        callee.wait_event("CALL_ESTABLISHED", after=seen[1])
        callee.hang_up()
        caller.wait_event("CALL_CLOSED", after=seen[0])
    seen_by_anna = len(anna.events)
    anna.call("1003")
    assert anna.wait_event("CALL_CLOSED", after=seen_by_anna).text == "404 Not registered"
    assert_no_way_past(capture, pbx.host, guard.host)


@pytest.mark.real("kamailio", "sipp")
@pytest.mark.parametrize("stateful", [True, False])
def test_sipp_counts_400_phones_and_takes_them_away(network: Network, stateful: bool) -> None:
    pbx = registrar(network)
    guard = proxy(network, (pbx.host, SIP), stateful=stateful)
    host, everyone = network.address(), users(1000, 400)

    def run(expires_s: int) -> Counts:
        way = (guard.host, SIP)
        with Sipp(
            network, everyone, (pbx.host, SIP), proxy=way, host=host, rate=1000, expires_s=expires_s
        ) as sipp:
            return sipp.counts()

    assert run(600) == Counts({200: 400}, unexpected=0)
    assert sorted(pbx.contacts()) == everyone
    assert run(0) == Counts({200: 400}, unexpected=0)
    assert pbx.contacts() == {}


@pytest.mark.real("kamailio", "sipp")
def test_sipp_tells_a_refusal_from_a_wrong_password(network: Network) -> None:
    pbx = registrar(network)
    with Sipp(network, ["1001", "nobody"], (pbx.host, SIP), password="wrong", name="wrong") as sipp:
        assert sipp.counts() == Counts({404: 1}, unexpected=1)


@pytest.mark.real("sipp")
def test_sipp_counts_refusals_before_and_after_the_challenge(network: Network) -> None:
    host = network.address()
    with network.udp(host, SIP) as door, Sipp(network, ["1001", "1002"], (host, SIP), at_once=1) as sipp:
        door.settimeout(5)
        for status in ("403 No free licence", "401 Who", "503 Later"):
            data, source = door.recvfrom(65536)
            first, _, rest = data.decode().partition("\r\n")
            assert first.startswith("REGISTER")
            extra = 'WWW-Authenticate: Digest realm="r", nonce="n"\r\n' if status.startswith("401") else ""
            door.sendto(f"SIP/2.0 {status}\r\n{extra}{rest}".encode(), source)
        assert sipp.counts() == Counts({403: 1, 503: 1}, unexpected=0)


# --- the demonstration's PBX and phones against the real ones


@asynccontextmanager
async def phone_at(network: Network, user: str, pbx: str, way: str) -> AsyncIterator[Phone]:
    """Yield a demonstration phone of this process with a socket in the network."""
    sock = network.udp(network.address(), SIP)
    phone = Phone(user, sock.getsockname(), (pbx, SIP), (way, SIP))
    await asyncio.get_running_loop().create_datagram_endpoint(lambda: phone, sock=sock)
    try:
        yield phone
    finally:
        phone.close()


@pytest.mark.real("kamailio", "baresip")
async def test_demo_phone_and_baresip_at_kamailio(network: Network) -> None:
    pbx = registrar(network)
    guard = proxy(network, (pbx.host, SIP))
    real = network.start(Baresip(network, "1002", pbx.host, proxy=guard.host))
    real.register()
    async with phone_at(network, "1001", pbx.host, guard.host) as phone:
        outcome = await phone.register(30)
        assert (outcome.status, outcome.expires_s) == (200, 30)
        assert pbx.contacts()["1001"][0]["Path"] == f"<sip:{guard.host};lr>"

        assert (await phone.dial("1002")).status == 200
        real.wait_event("CALL_ESTABLISHED")
        assert (await phone.hang_up()).status == 200
        real.wait_event("CALL_CLOSED")
        assert (await phone.dial("1009")).status == 404

        seen = len(real.events)
        real.call("1001")
        await asyncio.to_thread(real.wait_event, "CALL_ESTABLISHED", after=seen)
        real.hang_up()
        await asyncio.to_thread(until, lambda: phone.call is None, what="BYE at the demo phone")

        assert (await phone.unregister()).status == 200
        assert list(pbx.contacts()) == ["1002"]


@pytest.mark.real("kamailio")
async def test_demo_phone_refreshes_and_reports_a_failure(network: Network) -> None:
    pbx = registrar(network)
    async with phone_at(network, "1001", pbx.host, pbx.host) as phone:
        await phone.register(2)
        (first,) = pbx.contacts()["1001"]
        await asyncio.to_thread(
            until,
            lambda: pbx.contacts().get("1001", [first])[0]["CSeq"] > first["CSeq"],  # it may end in between
            what="a refresh with credentials",
        )
    async with phone_at(network, "77", pbx.host, pbx.host) as stranger:
        assert (await stranger.register()).status == 404


@pytest.mark.real("kamailio", "baresip", "sipp")
def test_baresip_and_sipp_at_the_demo_pbx(network: Network) -> None:
    program, pbx = demo_pbx(network)
    guard = proxy(network, (pbx, SIP))
    capture = network.start(Capture(network))
    anna, bert = (network.start(Baresip(network, user, pbx, proxy=guard.host)) for user in ("201", "202"))
    assert anna.register().text == bert.register().text == "200 OK"
    anna.call("202")
    anna.wait_event("CALL_ESTABLISHED")
    bert.wait_event("CALL_ESTABLISHED")
    anna.hang_up()
    bert.wait_event("CALL_CLOSED")
    anna.call("203")
    assert until(lambda: [event for event in anna.events if event.text == "404 Not registered"])
    assert_no_way_past(capture, pbx, guard.host)
    (invite,) = requests(capture, "INVITE", destination=(bert.host, SIP))
    assert f"<sip:{pbx}:{SIP};lr>" in invite.decode()  # the PBX wants to stay in the call
    anna.unregister()
    until(lambda: ("unregistered", "201") in events(program), what="the demo PBX forgot 201")

    host = network.address()
    for expires_s in (600, 0):
        with Sipp(
            network, users(1000, 50), (pbx, SIP), proxy=(guard.host, SIP), host=host, expires_s=expires_s
        ) as sipp:
            assert sipp.counts() == Counts({200: 50}, unexpected=0)
    with Sipp(network, ["201", "nobody"], (pbx, SIP), password="wrong", name="wrong") as sipp:
        assert sipp.counts() == Counts({404: 1}, unexpected=1)
    assert (
        events(program).count(("registered", "1000")) == events(program).count(("unregistered", "1000")) == 1
    )


def test_digest_of_the_rfcs() -> None:
    """RFC 2617, 3.5, and the form without qop (RFC 2069, 2.4, as corrected by its erratum)."""
    fields = {"username": "Mufasa", "realm": "testrealm@host.com", "uri": "/dir/index.html"}
    fields["nonce"] = "dcd98b7102dd2f0e8b11d0f600bfb0c093"
    assert digest_response(fields, "GET", "CircleOfLife") == "1949323746fe6a43ef61f9606e7febea"
    fields |= {"qop": "auth", "nc": "00000001", "cnonce": "0a4f113b"}
    assert digest_response(fields, "GET", "Circle Of Life") == "6629fae49393a05397450978507c4ef1"


async def test_the_demo_pbx_forgets_an_expired_binding(network: Network) -> None:
    said: list[dict[str, object]] = []
    sock = network.udp(network.address(), SIP)
    pbx = Pbx(sock.getsockname(), report=said.append)
    await asyncio.get_running_loop().create_datagram_endpoint(lambda: pbx, sock=sock)
    async with phone_at(network, "201", pbx.address[0], pbx.address[0]) as phone:
        assert (await phone.register(1)).expires_s == 1
    assert len(pbx.bindings("201")) == 1
    await asyncio.to_thread(until, lambda: not pbx.bindings("201"), what="expiry")
    assert [event["event"] for event in said] == ["registered", "expired"]
    pbx.close()


async def test_a_repeated_request_gets_the_same_answer(network: Network) -> None:
    with network.udp(network.address(), SIP) as caller:
        caller.settimeout(5)
        host = caller.getsockname()[0]
        async with phone_at(network, "201", host, host) as phone:
            invite = phone._request("INVITE", phone.contact, "<sip:1@x>;tag=1", "<sip:201@x>", "c", 1)
            via = f"SIP/2.0/UDP {host}:{SIP};branch=z9hG4bKonce"
            invite.put("Via", [via])
            for _ in range(2):
                caller.sendto(invite.render(), phone.address)
            answers = [await asyncio.to_thread(caller.recv, 9000) for _ in range(2)]
    assert answers[0] == answers[1]
    assert answers[0].startswith(b"SIP/2.0 200 OK")


async def test_demo_phones_call_each_other_at_the_demo_pbx(network: Network) -> None:
    _, pbx = demo_pbx(network)
    async with phone_at(network, "201", pbx, pbx) as anna, phone_at(network, "202", pbx, pbx) as bert:
        for phone in (anna, bert):
            assert (await phone.register()).status == 200
        assert (await anna.dial("202")).status == 200
        assert bert.call is not None
        assert (await anna.dial("202")).status == 486
        assert (await anna.hang_up()).status == 200
        assert bert.call is None
        for phone in (anna, bert):
            assert (await phone.unregister()).status == 200


def test_the_phone_program_obeys_its_standard_input(network: Network) -> None:
    program, pbx = demo_pbx(network)
    command = [sys.executable, "-m", "demo.phone", "--user", "201", "--registrar", f"{pbx}:{SIP}"]
    command += ["--listen", f"{network.address()}:{SIP}"]
    orders = "register 30\ncall 202\nsing\nunregister\nquit\n"
    done = subprocess.run(
        network.inside(command), input=orders, text=True, capture_output=True, check=True, cwd=ROOT
    )
    assert [json.loads(line) for line in done.stdout.splitlines()] == [
        {"event": "registered", "user": "201", "status": 200, "warning": ""},
        {"event": "called", "user": "201", "to": "202", "status": 404},
        {"event": "not_understood", "line": ["sing"]},
        {"event": "unregistered", "user": "201", "status": 200, "warning": ""},
    ]
    assert events(program) == [("registered", "201"), ("unregistered", "201")]
