"""Phones and PBX on different transports: both sides find us, and connections end."""

import pytest

from telephony.address import Flow
from telephony.settings import Listener
from tests.telephony.scene import PBX, Scene, answer, only_send, reasons, register, sends, status
from tests.telephony.test_router import record_routes, request

LISTENERS = (
    Listener("udp", "192.0.2.10:5060"),
    Listener("tcp", "192.0.2.10:5060"),
    Listener("tls", "192.0.2.10:5061"),
    Listener("wss", "[2001:db8::10]:443"),
)
CARL = Flow(1, "198.51.100.9", 40003, connection=7)
DORA = Flow(2, "198.51.100.10", 40004, connection=8)
EMIL = Flow(3, "2001:db8::99", 40005, connection=9)
TCP_PBX = Flow(1, "192.0.2.20", 5060)


def scene(**options: Flow) -> Scene:
    made = Scene(listeners=LISTENERS, **options)  # type: ignore[arg-type] # only `pbx` is a flow
    for flow in (CARL, DORA, EMIL):
        made.guard.opened(flow)
    return made


def marks(made: Scene, flow: Flow, *places: str) -> list[str]:
    return [f"<sip:{made.token(flow)}@{place};lr>" for place in places]


def test_the_path_of_a_connection_names_the_side_of_the_pbx() -> None:
    made = scene()
    sent = only_send(made.receive(register(), CARL), PBX)
    assert f"Path: <sip:{made.token(CARL)}@192.0.2.10:5060;lr>".encode() in sent
    assert sent.split(b"\r\n")[1].startswith(b"Via: SIP/2.0/UDP 192.0.2.10:5060;rport;branch=")
    assert status(only_send(made.from_pbx(answer(sent, 200)), CARL)) == 200


def test_a_call_that_changes_its_transport_is_recorded_on_both_sides() -> None:
    made = scene()
    up = only_send(made.receive(request(), DORA), PBX)
    assert record_routes(up) == marks(made, DORA, "192.0.2.10:5060", "192.0.2.10:5061;transport=tls")
    path = marks(made, EMIL, "192.0.2.10:5060")[0]
    down = only_send(made.from_pbx(request(routes=(path,))), EMIL)
    assert record_routes(down) == marks(made, EMIL, "[2001:db8::10]:443;transport=ws", "192.0.2.10:5060")
    assert b"Via: SIP/2.0/WSS [2001:db8::10]:443;rport;branch=" in down


def test_in_a_dialog_each_side_is_found_through_both_marks() -> None:
    """DORA (TLS) called CARL (TCP) through a PBX on UDP that records its route."""
    made = scene()
    dora = marks(made, DORA, "192.0.2.10:5061;transport=tls", "192.0.2.10:5060")
    carl = marks(made, CARL, "192.0.2.10:5060", "192.0.2.10:5060;transport=tcp")
    whole = (*dora, "<sip:192.0.2.20;lr>", *carl)
    assert sends(made.receive(request("BYE", routes=whole, to_tag="c"), DORA))[0].flow == PBX
    rest = whole[3:]
    sent = only_send(made.from_pbx(request("BYE", routes=rest, to_tag="c")), CARL)
    assert b"Route:" not in sent
    back = tuple(reversed(whole))
    assert sends(made.receive(request("BYE", routes=back, to_tag="d"), CARL))[0].flow == PBX
    assert sends(made.from_pbx(request("BYE", routes=back[3:], to_tag="d")))[0].flow == DORA


def test_in_a_dialog_without_the_pbx_the_other_phone_is_next() -> None:
    made = scene()
    dora = marks(made, DORA, "192.0.2.10:5061;transport=tls", "192.0.2.10:5060")
    carl = marks(made, CARL, "192.0.2.10:5060", "192.0.2.10:5060;transport=tcp")
    whole = (*dora, *carl)
    assert sends(made.receive(request("BYE", routes=whole, to_tag="c"), DORA))[0].flow == CARL
    # Our two marks of one passage are no second phone.
    assert sends(made.receive(request("BYE", routes=tuple(dora), to_tag="c"), DORA))[0].flow == PBX


def test_who_is_gone_gets_no_calls_and_nobody_else_gets_them() -> None:
    made = scene()
    made.guard.closed(CARL)
    path = marks(made, CARL, "192.0.2.10:5060")[0]
    outputs = made.from_pbx(request(routes=(path,)))
    assert status(only_send(outputs, PBX)) == 430
    assert reasons(outputs) == ["flow_gone"]
    reused = CARL._replace(connection=10)
    made.guard.opened(reused)
    assert status(only_send(made.from_pbx(request(routes=(path,))), PBX)) == 430


def test_what_enters_a_stream_says_how_long_it_is() -> None:
    made = scene()
    path = marks(made, CARL, "192.0.2.10:5060")[0]
    silent = request(routes=(path,)).replace(b"Content-Length: 5\r\n", b"")
    sent = only_send(made.from_pbx(silent), CARL)
    assert b"\r\nContent-Length: 5\r\n\r\nv=0\r\n" in sent
    back = answer(sent, 200).replace(b"Content-Length: 0\r\n", b"")
    assert b"Content-Length" not in only_send(made.receive(back, CARL), PBX)
    up = only_send(made.receive(register(), CARL), PBX)
    quiet = answer(up, 200).replace(b"Content-Length: 0\r\n", b"")
    assert b"\r\nContent-Length: 0\r\n\r\n" in only_send(made.from_pbx(quiet), CARL)


def test_a_pbx_on_tcp_is_known_by_the_connections_it_opens() -> None:
    made = scene(pbx=TCP_PBX)
    sent = only_send(made.receive(register(), CARL), TCP_PBX)
    assert f"Path: <sip:{made.token(CARL)}@192.0.2.10:5060;transport=tcp;lr>".encode() in sent
    opened = Flow(1, TCP_PBX.host, 51_000, connection=11)
    made.guard.opened(opened)
    path = marks(made, DORA, "192.0.2.10:5060;transport=tcp")[0]
    down = only_send(made.receive(request(routes=(path,)), opened), DORA)
    assert only_send(made.receive(answer(down, 200), DORA), opened)
    for stranger in (
        Flow(1, "192.0.2.21", 51_000, connection=12),  # another host
        Flow(2, TCP_PBX.host, 51_000, connection=13),  # not the listener of our Paths
        Flow(0, TCP_PBX.host, 51_000),  # UDP from its host, another port: somebody else there
    ):
        assert sends(made.receive(request(routes=(path,)), stranger))[0].flow == TCP_PBX


def test_over_tcp_nothing_is_repeated() -> None:
    made = scene(pbx=TCP_PBX)
    only_send(made.receive(register(), CARL), TCP_PBX)
    assert made.at(made.now + 4_000) == []


HOUSE = (
    Listener("udp", "192.0.2.20:5070"),
    Listener("tcp", "192.0.2.20:5060"),
    Listener("tls", "192.0.2.20:5061"),
)


@pytest.mark.parametrize("recorded", ["<sip:192.0.2.20;lr>", "<sip:192.0.2.20:5060;lr>"])
def test_on_the_host_of_the_pbx_its_route_is_not_ours(recorded: str) -> None:
    """The port is the PBX's for UDP and ours for TCP; without a port it is no address of our TLS listener."""
    made = Scene(listeners=HOUSE)
    made.guard.opened(DORA)
    dora = marks(made, DORA, "192.0.2.20:5061;transport=tls", "192.0.2.20:5070")
    sent = only_send(made.receive(request("BYE", routes=(*dora, recorded), to_tag="c"), DORA), PBX)
    assert f"Route: {recorded}".encode() in sent


@pytest.mark.parametrize(
    "outbound",
    [
        "<sip:192.0.2.20:5070;lr>",
        "<sip:192.0.2.20;transport=tcp;lr>",
        "<sip:192.0.2.20;transport=TLS;lr>",
        "<sips:192.0.2.20;lr>",
    ],
)
def test_on_the_host_of_the_pbx_a_phone_names_us_as_its_outbound_proxy(outbound: str) -> None:
    made = Scene(listeners=HOUSE)
    made.guard.opened(DORA)
    assert b"\r\nRoute:" not in only_send(made.receive(request(routes=(outbound,)), DORA), PBX)


@pytest.mark.parametrize(
    "flow",
    [
        Flow(2, "198.51.100.10", 40004, connection=8),
        Flow(2, "198.51.100.10", 40004),
        Flow(1, "198.51.100.10", 40004),
        Flow(0, "198.51.100.10", 40004, connection=8),
    ],
)
def test_a_way_by_a_listener_that_is_gone_or_another_has_failed(flow: Flow) -> None:
    """Tokens outlive a restart; `listen` may have become shorter, or have another order, meanwhile."""
    made = Scene(listeners=LISTENERS[:2])
    path = marks(made, flow, "192.0.2.10:5060")[0]
    outputs = made.from_pbx(request(routes=(path,)))
    assert (reasons(outputs), status(only_send(outputs, PBX))) == (["flow_gone"], 430)


def test_an_answer_by_a_listener_that_is_gone_goes_nowhere() -> None:
    before = Scene(listeners=LISTENERS)
    before.guard.opened(DORA)
    late = answer(only_send(before.receive(request(), DORA), PBX), 200)
    assert reasons(Scene(listeners=LISTENERS[:2]).from_pbx(late)) == ["forged_via"]
    late = answer(only_send(before.receive(register(), DORA), PBX), 200)
    assert reasons(Scene(listeners=LISTENERS[:2]).from_pbx(late)) == ["forged_via"]
