"""Subscriptions to the reg event package of many AORs, over UDP and sans-IO (RFC 6665, RFC 3680).

`due` gives the SUBSCRIBEs that must leave, `receive` takes what Kamailio sends. Documents are the only thing
that comes of it: whatever is lost, refused or late here is put right by the next list of the location table.
There is no digest: who lets the agent ask does so by its address.
"""

import re
from collections.abc import Collection, Iterable
from typing import Final, NamedTuple

from telephony.address import Flow, read_aor
from telephony.pbx.kamailio import Held
from telephony.pbx.reginfo import ReginfoError, read
from telephony.sip import grammar
from telephony.sip import message as sip
from telephony.sip.answer import build_answer
from telephony.sip.contact import read_contacts, read_expires
from telephony.sip.message import Message, scan
from telephony.sip.syntax import is_request_uri

LIMIT: Final = 2_000  # AORs
AT_ONCE: Final = 100  # SUBSCRIBEs without an answer
EXPIRES_S: Final = 300
SHORTEST_S: Final = 10
T1_MS: Final = 500
T2_MS: Final = 4_000
GIVE_UP_MS: Final = 32_000  # Timer F (RFC 3261 17.1.2.2)
AGAIN_MS: Final = 5_000  # after Kamailio ended a subscription
REFUSED_MS: Final = 60_000
SUBSCRIBE: Final = b"SUBSCRIBE"
NOTIFY: Final = b"NOTIFY"
# What may stand in a Request-URI as it is; any other AOR is not asked for.
_AOR: Final = re.compile(r"[A-Za-z0-9\-_.!~*'()&=+$,;?/%]{1,128}(@[A-Za-z0-9\-_.\[\]:]{1,255})?")
_HEADER: Final = re.compile(rb"(?i)(event|o|subscription-state)[ \t]*:[ \t]*([^;\s]*)")


class Received(NamedTuple):
    """What came of a datagram: an answer to send, and the contacts of an AOR."""

    answer: bytes | None = None
    held: Held | None = None


NOTHING: Final = Received()


class _Subscription:
    """One AOR; `next_ms` is when a SUBSCRIBE is due, `asked_ms` when the open one left first, or -1."""

    def __init__(self, aor: str, uri: str, call_id: str, now_ms: int) -> None:
        self.aor = aor
        self.uri = uri
        self.begin(call_id, now_ms)

    def begin(self, call_id: str, next_ms: int) -> None:
        """A new dialog."""
        self.call_id = call_id
        self.target = self.uri
        self.to_tag = b""
        self.cseq = 0
        self.heard = -1
        self.asked_ms = -1
        self.pause_ms = T1_MS
        self.next_ms = next_ms


class Subscriptions:
    """All of them at one Kamailio."""

    def __init__(self, here: tuple[str, int], domain: str, token: str) -> None:
        """`here` is where NOTIFY is to come; `token` is what nobody else can know: dialogs are told by it."""
        self._here = f"[{here[0]}]:{here[1]}" if ":" in here[0] else f"{here[0]}:{here[1]}"
        self._domain = domain
        self._token = token
        self._begun = 0
        self._of_aor: dict[str, _Subscription] = {}
        self._of_call_id: dict[bytes, _Subscription] = {}
        self._troubles: dict[str, str] = {}

    @property
    def trouble(self) -> str:
        """Why there is an AOR of which nothing is heard; "" where all is well."""
        return next(iter(self._troubles.values()), "")

    def stands(self, aor: str) -> bool:
        """Whether the subscription to this AOR was granted."""
        return aor in self._of_aor and bool(self._of_aor[aor].to_tag)

    def want(self, aors: Collection[str], now_ms: int) -> int:
        """Subscribe to these AORs too; how many are not: too many, or no AOR that a request may name.

        An AOR that is not wanted any more is kept while there is room: its phone may come back.
        """
        wanted = {aor: None for aor in aors if _AOR.fullmatch(aor)}
        new = [aor for aor in wanted if aor not in self._of_aor]
        if len(self._of_aor) + len(new) > LIMIT:
            for aor in [aor for aor in self._of_aor if aor not in wanted]:
                del self._of_call_id[self._of_aor.pop(aor).call_id.encode()]
                self._troubles.pop(aor, None)
        for aor in new[: LIMIT - len(self._of_aor)]:
            uri = f"sip:{aor if '@' in aor else f'{aor}@{self._domain}'}"
            subscription = _Subscription(aor, uri, self._call_id(), now_ms)
            self._of_aor[aor] = subscription
            self._of_call_id[subscription.call_id.encode()] = subscription
        return len(aors) - sum(aor in self._of_aor for aor in wanted)

    def due(self, now_ms: int) -> list[bytes]:
        """The requests that must leave now; those without an answer are sent again, in the end given up."""
        open_ = sum(each.asked_ms >= 0 for each in self._of_aor.values())
        requests: list[bytes] = []
        for aor, each in self._of_aor.items():
            if each.next_ms > now_ms or (each.asked_ms < 0 and open_ >= AT_ONCE):
                continue
            if each.asked_ms < 0:
                open_ += 1
                each.cseq += 1
                each.asked_ms, each.pause_ms = now_ms, T1_MS
            elif now_ms - each.asked_ms >= GIVE_UP_MS:
                self._troubles[aor] = f"reg event of {aor}: no answer to SUBSCRIBE"
                self._anew(each, now_ms + REFUSED_MS)
                continue
            requests.append(self._subscribe(each))
            each.next_ms = now_ms + each.pause_ms
            each.pause_ms = min(2 * each.pause_ms, T2_MS)
        return requests

    def next_timer(self) -> int | None:
        """When `due` may have work, in monotonic ms; who waits for the pace waits for an answer to others."""
        open_ = [each.next_ms for each in self._of_aor.values() if each.asked_ms >= 0]
        if len(open_) >= AT_ONCE:
            return min(open_)
        return min((each.next_ms for each in self._of_aor.values()), default=None)

    def receive(self, data: bytes, source: Flow, now_ms: int) -> Received:
        """A datagram of Kamailio; of anybody else there must come none here."""
        message = scan(data)
        if message is None or message.via is None or message.cseq_number < 0:
            return NOTHING
        known = self._of_call_id.get(message.call_id)
        if not message.is_request:
            if known is not None and message.cseq_method == SUBSCRIBE:
                self._answered(known, message, now_ms)
            return NOTHING
        if message.method != NOTIFY:
            return NOTHING
        if (
            known is None or message.tag(sip.TO) != known.call_id.encode()
        ):  # one of our last life ends by this
            return Received(build_answer(message, source, 481, "Subscription Does Not Exist", b"none"))
        held = self._notified(known, message, now_ms)
        return Received(build_answer(message, source, 200, "OK", b""), held)

    def _answered(self, known: _Subscription, response: Message, now_ms: int) -> None:
        if response.status < 200 or known.asked_ms < 0 or response.cseq_number != known.cseq:
            return
        aor, known.asked_ms = known.aor, -1
        if response.status < 300:
            self._troubles.pop(aor, None)
            tag = response.tag(sip.TO)
            known.to_tag = tag if grammar.is_token(tag) else b""
            known.target = _target(response, known.target)
            granted_s = min(max(read_expires(response), SHORTEST_S), EXPIRES_S)
            known.next_ms = now_ms + 500 * granted_s
        elif response.status == 481 and known.to_tag:  # Kamailio was started anew
            self._anew(known, now_ms)
        else:
            self._troubles[aor] = f"reg event of {aor}: Kamailio answers {response.status} to SUBSCRIBE"
            self._anew(known, now_ms + REFUSED_MS)

    def _notified(self, known: _Subscription, notify: Message, now_ms: int) -> Held | None:
        """Nothing, when this is no news: a repeat, one that was overtaken, the empty first one."""
        says = dict(_says(notify))
        if notify.cseq_number <= known.heard or says.get(b"event", says.get(b"o")) != b"reg":
            return None
        known.heard = notify.cseq_number
        if says.get(b"subscription-state") == b"terminated":
            self._anew(known, now_ms + AGAIN_MS)
        if not notify.body.strip():
            return None
        try:
            held = read(notify.body)
        except ReginfoError as error:
            self._troubles[known.aor] = f"reg event of {known.aor}: {error}"
            return None
        self._troubles.pop(known.aor, None)
        return held if _same(held.aor, known.uri) else None

    def _anew(self, known: _Subscription, next_ms: int) -> None:
        del self._of_call_id[known.call_id.encode()]
        known.begin(self._call_id(), next_ms)
        self._of_call_id[known.call_id.encode()] = known

    def _call_id(self) -> str:
        self._begun += 1
        return f"{self._token}-{self._begun}"

    def _subscribe(self, known: _Subscription) -> bytes:
        tag = f";tag={known.to_tag.decode()}" if known.to_tag else ""
        lines = (
            f"SUBSCRIBE {known.target} SIP/2.0",
            f"Via: SIP/2.0/UDP {self._here};rport;branch=z9hG4bK{known.call_id}-{known.cseq}",
            "Max-Forwards: 70",
            f"From: <sip:pbx-agent@{self._here}>;tag={known.call_id}",
            f"To: <{known.uri}>{tag}",
            f"Call-ID: {known.call_id}",
            f"CSeq: {known.cseq} SUBSCRIBE",
            f"Contact: <sip:pbx-agent@{self._here}>",
            "Event: reg",
            "Accept: application/reginfo+xml",
            f"Expires: {EXPIRES_S}",
            "Content-Length: 0",
        )
        return "".join([f"{line}\r\n" for line in lines]).encode() + b"\r\n"


def _says(message: Message) -> Iterable[tuple[bytes, bytes]]:
    for line in message.lines[1:]:
        if (match := _HEADER.match(line)) is not None:
            yield match[1].lower(), match[2].lower()


def _target(response: Message, known: str) -> str:
    """Where the dialog goes on: the contact of the answer, where it has one that a request line may hold."""
    contacts = read_contacts(response)
    uri = contacts[0].uri if contacts else ""
    return uri if uri.isascii() and is_request_uri(uri.encode()) else known


def _same(one: str, other: str) -> bool:
    aor = read_aor(one.encode())
    return aor is not None and aor == read_aor(other.encode())
