"""A gateway behind the guard, on paper: its registration, and the messages of its calls both ways."""

from dataclasses import dataclass

from telephony.address import Flow
from telephony.line import LineRow
from telephony.output import Counted, Output
from tests.telephony.scene import ANNA, PBX, Scene, answer, register, sends, text

GATEWAY = Flow(0, "198.51.100.20", 5060)
CONTACT = "sip:gw1@198.51.100.20:5060"
LINES = (LineRow(("gw1",), (), "pri1"),)


@dataclass
class Invite:
    """One INVITE and what the guard made of it: the bytes that arrived and those that left, if any."""

    call: str
    data: bytes
    outward: bool
    sent: bytes = b""
    refusal: bytes = b""


class Trunk:
    """A scene with a gateway `gw1` of two channels, registered by its flow."""

    def __init__(self, channels: int = 2, lines: tuple[LineRow, ...] = LINES, **scene: object) -> None:
        self.scene = Scene(channels=channels, lines=lines, **scene)  # type: ignore[arg-type] # passed on
        self.counted: list[Counted] = []
        self.put("gw1", CONTACT)

    def put(self, user: str, contact: str, flow: Flow = GATEWAY) -> None:
        """Register a gateway."""
        wanted = register(user, contact=f"<{contact}>", call_id=f"reg-{user}")
        self.scene.accepted(wanted, f"Contact: <{contact}>;expires=4000000000", flow=flow)

    @property
    def busy(self) -> int:
        """Channels in use."""
        return len(self.scene.verdict.busy)

    def pass_(self, data: bytes, flow: Flow) -> list[Output]:
        """One message arrives; what the guard noted of calls is kept."""
        outputs = self.scene.receive(data, flow)
        self.counted += [output for output in outputs if isinstance(output, Counted)]
        return outputs

    def after(self, ms: int) -> list[Output]:
        """Time passes, and the timers fire."""
        return self.scene.at(self.scene.now + ms)

    def invite(
        self,
        call: str,
        *headers: str,
        outward: bool = True,
        cseq: int = 1,
        branch: str = "",
        uri: str = "",
        caller: str = "201",
        to: str = "0123456",
        to_tag: str = "",
        flow: Flow = GATEWAY,
        vias: tuple[str, ...] = (),
    ) -> Invite:
        """An INVITE from the PBX to the gateway (`outward`), or from it."""
        sender = PBX if outward else flow
        route = [f"Route: <sip:{self.scene.token(flow)}@192.0.2.10:5060;lr>"] if outward else []
        data = text(
            f"INVITE {uri or (CONTACT if outward else 'sip:201@pbx.example.com')} SIP/2.0",
            f"Via: SIP/2.0/UDP {sender.host}:{sender.port};branch=z9hG4bK{branch or call}.{cseq}",
            *[f"Via: {via}" for via in vias],
            *route,
            "Max-Forwards: 70",
            f"From: <sip:{caller}@pbx.example.com>;tag=f{call}",
            f"To: <sip:{to}@pbx.example.com>" + (f";tag={to_tag}" if to_tag else ""),
            f"Call-ID: {call}",
            f"CSeq: {cseq} INVITE",
            *headers,
            "Content-Length: 0",
        )
        invite = Invite(call, data, outward)
        self.again(invite)
        return invite

    def again(self, invite: Invite) -> list[Output]:
        """The same INVITE comes (again)."""
        outputs = self.pass_(invite.data, PBX if invite.outward else self.flow_of(invite))
        sent = sends(outputs)
        for each in sent:
            if each.data.startswith(b"SIP/2.0"):
                invite.refusal = each.data
            else:
                invite.sent = each.data
        return outputs

    def flow_of(self, invite: Invite) -> Flow:
        """Where an INVITE that is not outward came from."""
        port = int(invite.data.split(b"Via: SIP/2.0/UDP ")[1].split(b";")[0].rpartition(b":")[2])
        return GATEWAY if port == GATEWAY.port else ANNA

    def answer(self, invite: Invite, status: int, *headers: str, tag: str = "t") -> list[Output]:
        """Who was called answers the INVITE as it left the guard."""
        assert invite.sent, "it never left"
        data = answer(invite.sent, status, *headers, to_tag=tag)
        return self.pass_(data, GATEWAY if invite.outward else PBX)

    def within(
        self, invite: Invite, method: str, *headers: str, tag: str = "t", caller: bool = True, cseq: int = 2
    ) -> bytes:
        """A request within the dialog, from who called or from who was called; what left."""
        ends = (f"tag=f{invite.call}", f"tag={tag}")
        one, other = ends if caller else ends[::-1]
        from_pbx = invite.outward == caller
        sender = PBX if from_pbx else GATEWAY
        route = [f"Route: <sip:{self.scene.token(GATEWAY)}@192.0.2.10:5060;lr>"]
        data = text(
            f"{method} {CONTACT if from_pbx else 'sip:201@pbx.example.com'} SIP/2.0",
            f"Via: SIP/2.0/UDP {sender.host}:{sender.port};branch=z9hG4bK{method}{invite.call}{tag}{cseq}",
            *route,
            "Max-Forwards: 70",
            f"From: <sip:x@pbx.example.com>;{one}",
            f"To: <sip:y@pbx.example.com>;{other}",
            f"Call-ID: {invite.call}",
            f"CSeq: {cseq} {method}",
            *headers,
            "Content-Length: 0",
        )
        (sent,) = sends(self.pass_(data, sender))
        return sent.data

    def answer_within(self, sent: bytes, status: int, *headers: str) -> list[Output]:
        """The other side answers it."""
        to_gateway = sent.startswith(b"SIP") or b" sip:gw1@" in sent.split(b"\r\n")[0]
        return self.pass_(answer(sent, status, *headers), GATEWAY if to_gateway else PBX)

    def hang_up(self, invite: Invite, *, tag: str = "t", caller: bool = True, status: int = 200) -> None:
        """BYE and its answer."""
        self.answer_within(self.within(invite, "BYE", tag=tag, caller=caller), status)

    def cancel(self, invite: Invite) -> list[Output]:
        """CANCEL of an INVITE: its branch, its CSeq number."""
        data = invite.data.replace(b"INVITE sip", b"CANCEL sip", 1).replace(b" INVITE\r\n", b" CANCEL\r\n")
        return self.pass_(data, PBX if invite.outward else GATEWAY)
