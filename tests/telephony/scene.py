"""A guard, its PBX and its phones on paper: messages as text, a verdict that counts units, readable steps."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from telephony.address import Flow
from telephony.directory import Directory, Row, Unknown
from telephony.guard import Guard
from telephony.line import LineRow
from telephony.output import InTurn, Output, Record, Rejected, Send
from telephony.settings import Listener, Settings
from telephony.token import Tokens
from telephony.verdict import Admitted, Decision, Refused, Waiting

PBX = Flow(0, "192.0.2.20", 5060)
ANNA = Flow(0, "198.51.100.7", 40001)
BERT = Flow(0, "198.51.100.8", 40002)
GUARD = "192.0.2.10:5060"
NO_UNIT = Refused(403, "no_free_licence", "No free licence")
NO_CHANNEL = Refused(403, "relay_channels_exhausted", "No free Relay-Channel")


def text(*lines: str, body: str = "") -> bytes:
    """A message of these lines."""
    return "\r\n".join([*lines, "", body]).encode()


@dataclass
class FakeVerdict:
    """Units counted by name; asserts that every reservation ends exactly once."""

    units: int = 10
    waits: bool = False
    reserved: set[str] = field(default_factory=set)
    held: set[str] = field(default_factory=set)
    surplus: set[str] = field(default_factory=set)
    waiting: set[str] = field(default_factory=set)
    calls: list[str] = field(default_factory=list)
    channels: int = 2
    busy: dict[str, tuple[str, str]] = field(default_factory=dict)  # calls that hold a channel, and where
    over: set[str] = field(default_factory=set)  # … of them those without one
    ringing: set[str] = field(default_factory=set)  # calls that wait

    @property
    def free(self) -> int:
        return self.units - len(self.reserved) - len(self.held)

    def decide(self, name: str, kind: str, now_ms: int) -> Decision:
        self.calls.append(f"decide {name} {kind}")
        assert name not in self.reserved, "reserved twice"
        assert name not in self.held, "asked for a bound object"
        if self.free > 0:
            self.reserved.add(name)
            return Admitted(reserved=True)
        if self.waits:
            self.waiting.add(name)
            return Waiting()
        return NO_UNIT

    def commit(self, name: str, kind: str, now_ms: int) -> bool:
        self.calls.append(f"commit {name} {kind}")
        assert name not in self.held | self.surplus, "committed twice"
        self.waiting.discard(name)
        if name in self.reserved or self.free > 0:
            self.reserved.discard(name)
            self.held.add(name)
            return True
        self.surplus.add(name)
        return False

    def release(self, name: str, now_ms: int) -> None:
        self.calls.append(f"release {name}")
        for group in (self.reserved, self.held, self.surplus, self.waiting):
            group.discard(name)

    def may_call(self, name: str) -> Refused | None:
        return NO_UNIT if name in self.surplus else None

    def call(self, name: str, gateway: str, interface: str, now_ms: int, *, emergency: bool) -> Decision:
        assert name not in self.busy, "one call, two channels"
        if emergency:
            self.called(name, gateway, interface, now_ms)
        elif len(self.busy) - len(self.over) < self.channels:
            self.busy[name] = gateway, interface
        elif self.waits:
            self.ringing.add(name)
            return Waiting()
        else:
            return NO_CHANNEL
        return Admitted(reserved=False)

    def called(self, name: str, gateway: str, interface: str, now_ms: int) -> None:
        assert name not in self.busy, "counted twice"
        if len(self.busy) - len(self.over) >= self.channels:
            self.over.add(name)
        self.busy[name] = gateway, interface

    def hung_up(self, name: str, now_ms: int) -> None:
        assert name in self.busy or name in self.ringing, "ended twice"
        self.busy.pop(name, None)
        self.over.discard(name)
        self.ringing.discard(name)


def register(
    user: str = "201",
    *,
    cseq: int = 1,
    contact: str | None = "<sip:{user}@10.0.0.5:5060>",
    expires: int | None = 3600,
    authorized: bool = True,
    branch: str | None = None,
    call_id: str | None = None,
    extra: Iterable[str] = (),
) -> bytes:
    """A REGISTER as a phone behind a NAT sends it."""
    lines = [
        "REGISTER sip:pbx.example.com SIP/2.0",
        f"Via: SIP/2.0/UDP 10.0.0.5:5060;rport;branch={branch or f'z9hG4bK-{user}-{cseq}'}",
        "Max-Forwards: 70",
        f'From: "Phone" <sip:{user}@pbx.example.com>;tag=f{user}',
        f"To: <sip:{user}@pbx.example.com>",
        f"Call-ID: {call_id or 'call-' + user}",
        f"CSeq: {cseq} REGISTER",
    ]
    if contact is not None:
        lines.append("Contact: " + contact.format(user=user))
    if expires is not None:
        lines.append(f"Expires: {expires}")
    if authorized:
        lines.append(
            'Authorization: Digest username="x", realm="pbx", nonce="n", uri="sip:pbx", response="r"'
        )
    return text(*lines, *extra, "Content-Length: 0")


def answer(request: bytes, status: int, *headers: str, to_tag: str = "pbx") -> bytes:
    """What the PBX answers to a request that reached it."""
    copied = [line for line in request.decode().split("\r\n") if line.split(":")[0] in COPIED]
    copied = [
        line + f";tag={to_tag}" if line.startswith("To:") and ";tag=" not in line else line for line in copied
    ]
    return text(f"SIP/2.0 {status} Whatever", *copied, *headers, "Content-Length: 0")


COPIED = ("Via", "From", "To", "Call-ID", "CSeq", "Record-Route")


class Scene:
    """One guard with its peers; every step returns what it put out."""

    def __init__(
        self,
        *,
        units: int = 10,
        waits: bool = False,
        unknown: Unknown = Unknown.USER,
        emergency: Iterable[str] = ("112",),
        transaction_limit: int = 100,
        listeners: tuple[Listener, ...] = (Listener("udp", GUARD),),
        pbx: Flow = PBX,
        nat_keep_alive_s: int = 0,
        supported_path: bool = False,
        channels: int = 2,
        lines: tuple[LineRow, ...] | None = None,
        call_age_s: int = 3_600,
    ) -> None:
        self.verdict = FakeVerdict(units, waits, channels=channels)
        self.now = 1_000
        self.tokens = Tokens(b"token key")
        self.pbx = pbx
        settings = Settings(
            pbx,
            listeners,
            "lyon",
            frozenset(emergency),
            transaction_limit,
            nat_keep_alive_s=nat_keep_alive_s,
            supported_path=supported_path,
            lines=lines,
            call_age_s=call_age_s,
        )
        rows = [
            Row("trunk", ("carrier*",), "carrier"),
            Row("user", ("201", "anna"), "anna"),
            Row("group", ("11",)),
            Row("user", ("2??",)),
        ]
        self.directory = Directory(rows, unknown)
        self.guard = Guard(settings, self.directory, self.verdict, self.tokens, b"branch secret")

    def receive(self, data: bytes, flow: Flow = ANNA) -> list[Output]:
        passing, groups = self.guard.receive_all([(data, flow)], self.now)
        return [output for group in (*groups, passing) for output in group]

    def from_pbx(self, data: bytes) -> list[Output]:
        return self.receive(data, self.pbx)

    def accepted(self, request: bytes, *headers: str, flow: Flow = ANNA) -> list[Output]:
        """The REGISTER goes through and the PBX answers 200."""
        return self.from_pbx(answer(only_send(self.receive(request, flow), self.pbx), 200, *headers))

    def at(self, now_ms: int) -> list[Output]:
        self.now = now_ms
        return self.guard.handle_timers(now_ms)

    def token(self, flow: Flow) -> str:
        return self.tokens.make(flow).decode()


def sends(outputs: list[Output]) -> list[Send]:
    plain = [output.send if isinstance(output, InTurn) else output for output in outputs]
    return [output for output in plain if isinstance(output, Send)]


def records(outputs: list[Output]) -> list[Record]:
    return [output for output in outputs if isinstance(output, Record)]


def reasons(outputs: list[Output]) -> list[str]:
    return [output.reason for output in outputs if isinstance(output, Rejected)]


def only_send(outputs: list[Output], flow: Flow) -> bytes:
    """The bytes of the only message sent, which went to this flow."""
    sent = sends(outputs)
    assert [send.flow for send in sent] == [flow]
    return sent[0].data


def status(data: bytes) -> int:
    return int(data.split(b" ", 2)[1])
