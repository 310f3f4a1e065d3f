"""Subscriptions to reg events: what leaves, what NOTIFY tells, and everything that goes wrong on the way."""

import re
from dataclasses import dataclass

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from telephony.address import Flow
from telephony.pbx.kamailio import Held
from telephony.pbx.subscription import (
    AGAIN_MS,
    AT_ONCE,
    EXPIRES_S,
    GIVE_UP_MS,
    LIMIT,
    REFUSED_MS,
    T1_MS,
    Subscriptions,
)
from telephony.sip import message as sip
from telephony.sip.answer import build_answer
from telephony.sip.message import Message, scan
from telephony.sip.validate import validate
from tests.telephony.test_reginfo import ANNA, AOR, contact, document, documents

HERE, KAMAILIO = ("10.77.0.1", 5071), Flow(0, "10.77.0.2", 5066)
REFRESH_MS = 500 * EXPIRES_S


def scanned(data: bytes) -> Message:
    """A message that is one, by the strict reading."""
    message = scan(data)
    assert message is not None
    return message


@dataclass
class Notifier:
    """The other side of one subscription."""

    subscriptions: Subscriptions
    request: Message
    cseq: int = 1

    def answer(self, status: int = 200, *headers: str, now_ms: int = 0) -> None:
        """Answer the SUBSCRIBE."""
        contact = ("Contact: <sip:presence@10.77.0.2:5066>", f"Expires: {EXPIRES_S}")
        data = build_answer(self.request, KAMAILIO, status, "X", b"k1", headers or contact)
        assert self.subscriptions.receive(data, KAMAILIO, now_ms) == (None, None)

    def notify(
        self, body: bytes, *, cseq: int = 0, tag: str = "", state: str = "active", now_ms: int = 0
    ) -> tuple[int, Held | None]:
        """Send a NOTIFY; the status of the answer and what was told."""
        self.cseq = cseq or self.cseq + 1
        data = self.message(body, self.cseq, tag, state)
        answer, held = self.subscriptions.receive(data, KAMAILIO, now_ms)
        assert answer is not None
        return scanned(answer).status, held

    def message(self, body: bytes, cseq: int, tag: str = "", state: str = "active") -> bytes:
        """A NOTIFY."""
        call_id = self.request.call_id.decode()
        return (
            "NOTIFY sip:pbx-agent@10.77.0.1:5071 SIP/2.0\r\n"
            f"Via: SIP/2.0/UDP 10.77.0.2:5066;branch=z9hG4bK{cseq}\r\n"
            f"To: <sip:pbx-agent@10.77.0.1>;tag={tag or self.request.tag(sip.FROM).decode()}\r\n"
            f"From: <{AOR}>;tag=k1\r\nCSeq: {cseq} NOTIFY\r\nCall-ID: {call_id}\r\n"
            f"Content-Length: {len(body)}\r\nMax-Forwards: 70\r\nEvent: reg\r\n"
            f"Subscription-State: {state};expires=599\r\nContent-Type: application/reginfo+xml\r\n\r\n"
        ).encode() + body


def subscribed(*aors: str) -> Subscriptions:
    """Subscriptions that want these."""
    made = Subscriptions(HERE, "10.77.0.2", "t0ken")
    assert made.want(aors, 0) == 0
    return made


@pytest.fixture
def notifier() -> Notifier:
    subscriptions = subscribed("2001")
    (data,) = subscriptions.due(0)
    return Notifier(subscriptions, scanned(data))


def test_a_subscribe_is_a_sound_request(notifier: Notifier) -> None:
    request = notifier.request
    assert validate(request) == []
    assert (request.method, request.uri) == (b"SUBSCRIBE", AOR.encode())
    assert b"Event: reg" in request.lines
    assert request.value(sip.EXPIRES).strip() == b"300"


def test_the_recorded_notifies_tell_the_whole_sets(notifier: Notifier) -> None:
    """The first one has no body and says nothing; a repeat and what was overtaken say nothing either."""
    assert notifier.notify(b"") == (200, None)
    assert notifier.subscriptions.trouble == ""
    notifier.answer()  # after the first NOTIFY, as may be
    told = [
        notifier.notify(body, cseq=number)
        for number, body in enumerate(documents("reg-event-2001.txt"), start=3)
    ]
    assert [(status, held and len(held.contacts)) for status, held in told] == [
        (200, count) for count in (1, 1, 2, 1, 0, 1, 0)
    ]
    assert notifier.notify(documents("reg-event-2001.txt")[0], cseq=9) == (200, None)
    assert notifier.notify(documents("reg-event-2001.txt")[0], cseq=4) == (200, None)
    assert notifier.subscriptions.trouble == ""


def test_it_is_refreshed_in_its_dialog_before_it_ends(notifier: Notifier) -> None:
    notifier.answer()
    assert notifier.subscriptions.next_timer() == REFRESH_MS
    assert notifier.subscriptions.due(REFRESH_MS - 1) == []
    (data,) = notifier.subscriptions.due(REFRESH_MS)
    refresh = scanned(data)
    assert (refresh.uri, refresh.call_id) == (b"sip:presence@10.77.0.2:5066", notifier.request.call_id)
    assert (refresh.tag(sip.TO), refresh.cseq_number) == (b"k1", 2)


def test_kamailio_that_was_started_anew_gets_a_new_subscription(notifier: Notifier) -> None:
    notifier.answer()
    (data,) = notifier.subscriptions.due(REFRESH_MS)
    notifier.request = scanned(data)
    notifier.answer(481, "X: y", now_ms=REFRESH_MS)
    (data,) = notifier.subscriptions.due(REFRESH_MS)
    assert scanned(data).call_id != notifier.request.call_id
    assert scanned(data).tag(sip.TO) == b""
    assert notifier.notify(b"")[0] == 481  # of the old one there is nothing


def test_what_is_not_answered_is_sent_again_and_given_up_for_a_while(notifier: Notifier) -> None:
    times, now_ms = [0], 0
    while (now_ms := notifier.subscriptions.next_timer() or 0) < GIVE_UP_MS:
        (data,) = notifier.subscriptions.due(now_ms)
        assert scanned(data).lines == notifier.request.lines
        times.append(now_ms)
    assert times == [0, 500, 1_500, 3_500, *range(7_500, 32_000, 4_000)]
    assert notifier.subscriptions.due(now_ms) == []
    assert "no answer" in notifier.subscriptions.trouble
    assert notifier.subscriptions.next_timer() == now_ms + REFUSED_MS


@pytest.mark.parametrize("status", [401, 403, 405, 407, 489, 503])
def test_a_refusal_is_said_and_asked_again_later(notifier: Notifier, status: int) -> None:
    """There is no digest: 401 is a refusal."""
    notifier.answer(status, "X: y")
    assert str(status) in notifier.subscriptions.trouble
    assert notifier.subscriptions.next_timer() == REFUSED_MS
    (data,) = notifier.subscriptions.due(REFUSED_MS)
    notifier.request = scanned(data)
    notifier.answer(now_ms=REFUSED_MS)
    assert notifier.subscriptions.trouble == ""


def test_a_subscription_that_kamailio_ends_is_begun_anew(notifier: Notifier) -> None:
    notifier.answer()
    status, held = notifier.notify(document(contact()), state="terminated;reason=timeout")
    assert (status, held and held.contacts) == (200, ((ANNA, 60),))  # what it said last counts
    assert notifier.subscriptions.next_timer() == AGAIN_MS


@pytest.mark.parametrize("tag", ["other", "t0ken-2"])
def test_who_does_not_know_the_dialog_tells_nothing(notifier: Notifier, tag: str) -> None:
    assert notifier.notify(document(contact()), tag=tag) == (481, None)


def test_a_document_of_another_aor_or_none_at_all_tells_nothing(notifier: Notifier) -> None:
    notifier.answer()
    assert notifier.notify(document(contact(), aor="sip:2002@10.77.0.2")) == (200, None)
    assert notifier.notify(b"<reginfo/>") == (200, None)
    assert "not the full state" in notifier.subscriptions.trouble
    assert notifier.notify(document(contact(), aor="sips:2001@10.77.0.2"))[1] is not None
    assert notifier.subscriptions.trouble == ""


@pytest.mark.parametrize(
    "data", [b"", b"\r\n", b"NOTIFY x SIP/2.0\r\n\r\n", b"\xff" * 100, b"OPTIONS sip:a SIP/2.0\r\n\r\n"]
)
def test_what_is_no_message_of_a_subscription_is_nothing(notifier: Notifier, data: bytes) -> None:
    assert notifier.subscriptions.receive(data, KAMAILIO, 0) == (None, None)


@given(st.binary(max_size=60), st.integers(0, 700), st.integers(0, 60))
@example(b"", 0, 0)
def test_a_broken_notify_raises_nothing(junk: bytes, at: int, cut: int) -> None:
    """What it tells, if it tells anything, is of the AOR that was asked for."""
    subscriptions = subscribed("2001")
    notifier = Notifier(subscriptions, scanned(subscriptions.due(0)[0]))
    whole = notifier.message(document(contact()), 2)
    answer, held = subscriptions.receive(whole[:at] + junk + whole[at + cut :], KAMAILIO, 0)
    assert held is None or (answer is not None and held.aor.endswith(":2001@10.77.0.2"))
    assert answer is None or scan(answer) is not None


@pytest.mark.parametrize(
    "aor", ["20 01", "2001\r\nX: y", "2001@a b", "<2001>", "", "2001@a;x", "ä", "2" * 200]
)
def test_no_aor_of_the_table_writes_into_a_request(aor: str) -> None:
    subscriptions = Subscriptions(HERE, "10.77.0.2", "t0ken")
    assert subscriptions.want((aor, "2001", "2002@other.example"), 0) == 1
    assert [re.split(rb"[ ;]", request)[1] for request in subscriptions.due(0)] == [
        AOR.encode(),
        b"sip:2002@other.example",
    ]


@pytest.mark.parametrize("where", ["<sip:a b>", "<sip:a\t@b>", "<mailto:a@b>", "x", ""])
def test_no_answer_writes_into_a_request(notifier: Notifier, where: str) -> None:
    notifier.answer(200, f"Contact: {where}", "Expires: 1")
    (data,) = notifier.subscriptions.due(REFRESH_MS)
    assert validate(scanned(data)) == []


def test_there_is_a_limit_and_a_pace() -> None:
    """The AORs of today push out those of yesterday, else they are kept; a storm goes a hundred at a time."""
    subscriptions = subscribed(*(str(number) for number in range(LIMIT)))
    first = subscriptions.due(0)
    assert len(first) == AT_ONCE
    assert subscriptions.next_timer() == T1_MS, "the others wait for answers, and for no clock"
    for data in first:
        Notifier(subscriptions, scanned(data)).answer()
    assert subscriptions.next_timer() == 0
    assert len(subscriptions.due(0)) == AT_ONCE
    assert subscriptions.want([], 0) == 0
    assert subscriptions.want(["a"], 0) == 0  # there was room: nobody else is wanted any more
    assert len([*subscriptions.due(0), *subscriptions.due(0)]) == 1
    assert subscriptions.want([*(str(number) for number in range(LIMIT)), "b"], 0) == 1
