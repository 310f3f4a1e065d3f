"""Which call over a line is no further one: it shares the unit of a call that it replaces, or that it is.

RFC 3891 (Replaces), RFC 3515 (REFER), and a call that comes back from a gateway which passed it on.
"""

from telephony.address import read_aor
from telephony.dialog import REPEATS_MS, Call, within
from telephony.sip import grammar
from telephony.sip import message as sip
from telephony.sip.message import Message
from telephony.sip.session import read_refer_to, read_replaces
from telephony.tally import Tally


class Partners:
    """Finds the partner of a call that begins, among the calls of `tally`."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        # Gateway and whom it was told to call: the call that it has now, and until when the other may come.
        self._referred: dict[tuple[str, str], tuple[Call, int]] = {}

    def find(self, call: Call, invite: Message, now_ms: int) -> Call | None:
        """The call whose unit this new one shares; `replaces` tells where it takes that one's place."""
        partner = self._replaced(call, invite) or self._referring(call, invite, now_ms)
        if partner is None:
            return self._turned_back(call, invite)
        call.replaces = partner.name
        return partner

    def _replaced(self, call: Call, invite: Message) -> Call | None:
        """The one whose dialog its Replaces names, at the same gateway."""
        named = read_replaces(invite)
        if named is None:
            return None
        known = self._tally.of_call_id(named.call_id)
        found = [other for other, tag in within(known, named.to_tag, named.from_tag) if tag in other.dialogs]
        return next((other for other in found if other.line.gateway == call.line.gateway), None)

    def _referring(self, call: Call, invite: Message, now_ms: int) -> Call | None:
        """The one whose gateway was told to make this call: its ISDN side stays the same."""
        if call.outward:
            return None
        wanted = (call.line.gateway, str(read_aor(invite.uri)))
        referring, until_ms = self._referred.pop(wanted, (None, 0))
        return referring if now_ms < until_ms else None

    def _turned_back(self, call: Call, invite: Message) -> Call | None:
        """The same call, which went to this gateway and was passed on instead of using a line: our Via tells.

        One that came from the gateway and goes back to it uses two channels.
        """
        for element in invite.elements(sip.VIA):
            via = grammar.read_via(element)
            other = None if via is None else self._tally.get(via.branch)
            if other is not None and other.live and other.outward and other.line.gateway == call.line.gateway:
                return other
        return None

    def refer(self, known: list[Call], refer: Message, now_ms: int) -> None:
        """The gateway of a dialog is told to call somebody."""
        wanted = read_refer_to(refer)
        if not wanted:
            return
        for call, tag in within(known, refer.tag(sip.FROM), refer.tag(sip.TO)):
            if tag in call.dialogs:
                self.forget(call)
                call.refers = wanted
                self._referred[call.line.gateway, wanted] = call, now_ms + REPEATS_MS

    def forget(self, call: Call) -> None:
        """What its gateway was told to call is a call of its own from now on."""
        place = (call.line.gateway, call.refers)
        if call.refers and self._referred.get(place, (None, 0))[0] is call:
            del self._referred[place]
        call.refers = ""
