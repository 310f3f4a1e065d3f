"""Everything that is not REGISTER: forwarded without state, between the PBX and flows the guard made (16.11).

Where calls over lines are counted, each message of one is shown to `Calls` on its way. A destination is the
configured PBX or a flow whose token carries our sum: never what a message names.
"""

from typing import Final

from telephony.address import Flow
from telephony.calls import Calls
from telephony.directory import Directory
from telephony.emergency import is_emergency
from telephony.hop import Hop
from telephony.output import Output, Reason, Rejected, Send
from telephony.passage import Passage
from telephony.settings import Settings
from telephony.sightings import Sightings
from telephony.sip import message as sip
from telephony.sip.message import Message
from telephony.sip.validate import check_routing, describe
from telephony.token import Tokens
from telephony.verdict import Refused, Verdict

DIALOG_FORMING: Final = frozenset((b"INVITE", b"SUBSCRIBE", b"REFER", b"NOTIFY"))


class Router:
    """The stateless half of the guard of one PBX."""

    def __init__(
        self,
        settings: Settings,
        directory: Directory,
        verdict: Verdict,
        tokens: Tokens,
        hop: Hop,
        sightings: Sightings,
        calls: Calls | None,
    ) -> None:
        self._calls = calls
        self._settings = settings
        self._directory = directory
        self._verdict = verdict
        self._tokens = tokens
        self._hop = hop
        self._sightings = sightings
        self.connections: set[Flow] = set()

    def request(self, request: Message, source: Flow, now_ms: int, *, stored: bool) -> list[Output] | None:
        """Forward one request, answer it, or say why it went nowhere; an ACK is never answered.

        None: with it a call must be stored, and with `stored` false it cannot; the same for `response`.
        """
        problems = check_routing(request)
        if problems:
            return [Rejected(Reason.MALFORMED, describe(problems), source)]
        if request.method == b"ACK" and self._hop.answered_here(request):
            return []
        if self._hop.spent(request):
            return self._answer(request, source, 483, Reason.TOO_MANY_HOPS, "Too Many Hops")
        if self._settings.is_pbx(source):
            return self._from_pbx(request, source, now_ms, stored=stored)
        return self._from_phone(request, source, now_ms, stored=stored)

    def response(self, response: Message, source: Flow, now_ms: int, *, stored: bool) -> list[Output] | None:
        """Send a response back by the flow sealed in our Via, which is taken off."""
        target = self._hop.way_back(response)
        if target is None:
            return [Rejected(Reason.FORGED_VIA, "the top Via is not ours", source)]
        send = Send(target, self._hop.build(response, response.without_top(sip.VIA), target))
        if self._calls is None:
            return [send]
        outward = not self._settings.is_pbx(source)
        phone = source if outward else target
        return self._calls.response(
            response, Passage(send, source, phone, now_ms, outward=outward, stored=stored)
        )

    def _from_phone(
        self, request: Message, source: Flow, now_ms: int, *, stored: bool
    ) -> list[Output] | None:
        refused = self._may_call(request)
        if refused is not None:
            rejected = Rejected(Reason.REFUSED, f"{refused.code}: {refused.sentence}", source)
            return [rejected, Send(source, self._hop.refusal(request, source, refused))]
        own = self._hop.own_routes(request)
        flows = [self._tokens.open(user) for user in own if user]
        if None in flows:
            return [
                Rejected(Reason.FORGED_ROUTE, "a Route with our address and a token we did not make", source)
            ]
        target = self._settings.pbx
        # More of ours in a row than one passage leaves: the PBX did not record-route, and in a dialog the
        # other phone is the next hop.
        if flows and flows[0] is not None and flows[-1] is not None and request.tag(sip.TO):
            passage = 1 if flows[0].listener == target.listener else 2
            if len(own) > passage:
                target = flows[-1]
        if self._gone(target):
            return self._answer(request, source, 430, Reason.FLOW_GONE, "Flow Failed")
        send = self._forward(request, source, target, source, len(own))
        if self._calls is None:
            return [send]
        return self._calls.request(
            request, Passage(send, source, source, now_ms, outward=False, stored=stored)
        )

    def _from_pbx(self, request: Message, source: Flow, now_ms: int, *, stored: bool) -> list[Output] | None:
        own = self._hop.own_routes(request)
        users = [user for user in own if user] or [self._hop.own_user(request.uri) or b""]
        target = self._tokens.open(users[-1])
        if not request.tag(sip.TO):
            self._sighted(request, target)
        if target is not None:
            if self._gone(target):
                return self._answer(request, source, 430, Reason.FLOW_GONE, "Flow Failed")
            send = self._forward(request, source, target, target, len(own))
            if self._calls is None:
                return [send]
            return self._calls.request(
                request, Passage(send, source, target, now_ms, outward=True, stored=stored)
            )
        if users[-1]:
            return [Rejected(Reason.FORGED_ROUTE, "a Route or Path token we did not make", source)]
        return self._answer(request, source, 404, Reason.NO_ROUTE, "No Route of this guard")

    def _sighted(self, request: Message, target: Flow | None) -> None:
        """Note whether the PBX knows the Path of the phone it means; what is meant for us has no user."""
        if target is not None:
            self._sightings.with_path += 1
        elif request.method == b"INVITE" or self._hop.own_user(request.uri):
            self._sightings.without_path += 1

    def _forward(self, request: Message, source: Flow, target: Flow, phone: Flow, own: int) -> Send:
        hop = self._hop
        forming = request.method in DIALOG_FORMING and not request.tag(sip.TO)
        mark = hop.record_route(phone, source, target) if forming else b""
        edits = request.without_top(sip.ROUTE, own) if own else {}
        edits |= hop.forward(request, source, target, mark, sip.RECORD_ROUTE, hop.branch(request, source))
        return Send(target, hop.build(request, edits, target))

    def _gone(self, target: Flow) -> bool:
        """Whether the way to a phone has ended: nobody else may get what was meant for it.

        A connection is closed, or the listener is none of the configured ones any more, or of another kind:
        tokens outlive a restart with another list.
        """
        if target == self._settings.pbx:
            return False
        listeners = self._settings.listeners
        if target.listener >= len(listeners):
            return True
        if listeners[target.listener].reliable:
            return target not in self.connections
        return target.connection != 0

    def _may_call(self, request: Message) -> Refused | None:
        """Ask about a call that begins here; emergency calls and everything in a dialog pass."""
        if request.method != b"INVITE" or request.tag(sip.TO):
            return None
        if is_emergency(request.uri, self._settings.emergency):
            return None
        caller = request.address(sip.FROM)
        subject = None if caller is None else self._directory.find(caller.uri)
        return None if subject is None else self._verdict.may_call(subject.name)

    def _answer(
        self, request: Message, source: Flow, status: int, reason: Reason, sentence: str
    ) -> list[Output]:
        rejected = Rejected(reason, sentence, source)
        if request.method == b"ACK":
            return [rejected]
        return [rejected, Send(source, self._hop.answer(request, source, status, sentence))]
