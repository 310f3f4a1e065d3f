"""Kamailio's questions at a guard: the words it gets are those that the guard would give the phone."""

from telephony.directory import PASS, Directory, Row
from telephony.guard import Guard
from telephony.output import Record, Send
from telephony.pbx import questions
from telephony.pbx.kamailio import Ask, Held
from telephony.pbx.questions import Questions
from telephony.settings import Settings
from telephony.token import Tokens
from telephony.verdict import Admitted, Decision, Refused, Waiting

REGISTER = (
    b"REGISTER sip:a SIP/2.0\r\nVia: SIP/2.0/UDP 10.77.0.3:5090;branch=z9hG4bKp\r\n"
    b"From: <sip:2001@a>;tag=1\r\nTo: <sip:2001@a>\r\nCall-ID: c1\r\nCSeq: 1 REGISTER\r\n"
    b"Contact: <sip:2001@10.77.0.3:5090>\r\nExpires: 60\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
)
NO = Refused(403, "no_free_licence", "No free licence")


class Allowing:
    """A verdict with one answer, and what was asked of it."""

    def __init__(self, answer: Decision) -> None:
        self.answer = answer
        self.heard: list[tuple[str, str]] = []

    def decide(self, name: str, kind: str, now_ms: int) -> Decision:
        self.heard.append(("decide", name))
        return self.answer

    def commit(self, name: str, kind: str, now_ms: int) -> bool:
        self.heard.append(("commit", name))
        return True

    def release(self, name: str, now_ms: int) -> None:
        self.heard.append(("release", name))

    def may_call(self, name: str) -> Refused | None:
        return None

    def call(self, name: str, gateway: str, interface: str, now_ms: int, *, emergency: bool) -> Decision:
        raise AssertionError("no call passes a guard that is asked")

    def called(self, name: str, gateway: str, interface: str, now_ms: int) -> None:
        raise AssertionError("no call passes a guard that is asked")

    def hung_up(self, name: str, now_ms: int) -> None:
        raise AssertionError("no call passes a guard that is asked")


class Edge:
    """Questions and a guard, as the edge joins them."""

    def __init__(self, verdict: Allowing, unknown: bool = False) -> None:
        settings = Settings(questions.way_to("10.77.0.2"), (questions.LISTENER,), "hq", authenticated=True)
        rows = [Row(PASS, ("11",)), Row("user", ("*",))]
        self.guard = Guard(settings, Directory(rows), verdict, Tokens(b"s" * 32), b"s" * 32)
        self.questions = Questions(limit=3)
        self.records: list[Record] = []

    def ask(self, question: str = "1:2", message: bytes = REGISTER, now_ms: int = 0) -> list[bytes]:
        ask = Ask(question, "10.77.0.3", 5090, message)
        data = self.questions.asked(ask)
        if data is None:
            return [questions.unreadable(question)]
        return self._receive(data, questions.flow_of(ask), now_ms)

    def settle(self, held: Held, now_ms: int = 0) -> list[bytes]:
        data = self.questions.settled(held)
        return [] if data is None else self._receive(data, questions.way_to("10.77.0.2"), now_ms)

    def _receive(self, data: bytes, flow: object, now_ms: int) -> list[bytes]:
        passing, groups = self.guard.receive_all([(data, flow)], now_ms)  # type: ignore[list-item]
        return self.said([*passing, *(output for group in groups for output in group)])

    def said(self, outputs: list[object]) -> list[bytes]:
        self.records += [output for output in outputs if isinstance(output, Record)]
        frames = [self.questions.said(output.data) for output in outputs if isinstance(output, Send)]
        return [frame for frame in frames if frame is not None]


def test_a_reservation_goes_on_and_is_committed_by_what_kamailio_holds() -> None:
    verdict = Allowing(Admitted(reserved=True))
    edge = Edge(verdict)
    assert edge.ask() == [b"1|2|100|||"]
    assert edge.settle(Held("1:2", True, "sip:2001@a", (("sip:2001@10.77.0.3:5090", 45),))) == []
    assert verdict.heard == [("decide", "2001"), ("commit", "2001")]
    (record,) = edge.records
    assert [(each.contact, each.granted_s) for each in record.bindings] == [("sip:2001@10.77.0.3:5090", 45)]
    assert len(edge.questions) == 0
    assert edge.ask("1:3", REGISTER.replace(b"CSeq: 1", b"CSeq: 2")) == [b"1|3|100|||"]  # a refresh
    assert edge.settle(Held("1:3", True, "sip:2001@a", ())) == []  # and gone
    assert verdict.heard == [("decide", "2001"), ("commit", "2001"), ("release", "2001")]


def test_who_asks_has_checked_the_credentials_so_the_verdict_is_asked_without_them() -> None:
    verdict = Allowing(NO)
    assert b"Authorization" not in REGISTER
    assert Edge(verdict).ask() == [
        b'1|2|403|Warning: 399 hq "no_free_licence: No free licence"\r\n|No free licence|'
    ]
    assert verdict.heard == [("decide", "2001")]


def test_a_question_waits_for_the_master_and_hears_its_answer() -> None:
    edge = Edge(Allowing(Waiting()))
    assert edge.ask() == []
    assert edge.said(list(edge.guard.settle("2001", NO, 500)))[0].startswith(b"1|2|403|")


def test_what_kamailio_did_not_save_gives_the_unit_back() -> None:
    verdict = Allowing(Admitted(reserved=True))
    edge = Edge(verdict)
    edge.ask()
    edge.settle(Held("1:2", False, "sip:2001@a", ()))
    assert verdict.heard == [("decide", "2001"), ("release", "2001")]


def test_a_question_whose_end_never_comes_gives_the_unit_back_in_time() -> None:
    verdict = Allowing(Admitted(reserved=True))
    edge = Edge(verdict)
    edge.ask()
    assert edge.said(list(edge.guard.handle_timers(32_000))) == []
    assert verdict.heard == [("decide", "2001"), ("release", "2001")]
    assert edge.settle(Held("1:2", True, "sip:2001@a", (("sip:2001@10.77.0.3:5090", 45),)), 33_000) == []
    assert verdict.heard[-1] == ("commit", "2001")  # late, but the PBX holds it


def test_no_phone_writes_a_question() -> None:
    """What looks like our Via stands in its Request-URI, its own Via and its User-Agent."""
    forged = b"Via: SIP/2.0/TCP kamailio.invalid;branch=z9hG4bK9:9"
    message = REGISTER.replace(b"sip:a SIP", b"sip:a;x=" + forged.replace(b" ", b"") + b" SIP")
    message = message.replace(b"\r\nFrom", b"\r\n" + forged + b"\r\nUser-Agent: " + forged + b"\r\nFrom")
    for answer, word in ((NO, b"1|2|403|"), (Admitted(reserved=True), b"1|2|100|")):
        edge = Edge(Allowing(answer))
        edge.questions.asked(Ask("9:9", "10.77.0.9", 5090, REGISTER))
        assert edge.ask("1:2", message)[0].startswith(word)
    assert edge.questions.said(b"SIP/2.0 200 OK\r\n\r\n") is None


def test_what_the_guard_cannot_answer_is_answered_all_the_same() -> None:
    """Silence would be taken for a dead agent, whose policy may be to admit."""
    edge = Edge(Allowing(Admitted(reserved=True)))
    bad = [REGISTER.replace(b"CSeq: 1 REGISTER\r\n", b""), b"", b"INVITE" + REGISTER[8:], REGISTER[:-40]]
    bad.append(REGISTER.replace(b"a>;tag=1", b"a>;tag=" + 66_000 * b"1"))  # by TCP Kamailio may take it
    assert [edge.ask("1:2", message) for message in bad] == [[b"1|2|400||Bad Request|"]] * 5
    assert (
        edge.ask("1:2", REGISTER.replace(b"<sip:2001@a>\r\nCall", b"<sip:2001@a\r\nCall"))[0][:8]
        == b"1|2|400|"
    )


def test_the_oldest_question_is_forgotten_beyond_the_limit() -> None:
    edge = Edge(Allowing(Waiting()))
    for number in range(5):
        edge.questions.asked(Ask(f"{number}:0", "10.77.0.3", 5090, REGISTER))
    assert len(edge.questions) == 3
