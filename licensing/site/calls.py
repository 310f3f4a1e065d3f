"""The calls of one PBX: the channel of each on its line, and its legs in conference rooms.

Rules L.r20 (interfaces, channels), L.r24 (seats in a room), L.r25 (an ISDN caller holds both); seed 2.1 to
2.4 and 3.5. Emergency calls are never refused.
"""

from licensing.codes import Code
from licensing.offers import CHANNELS
from licensing.site import lines
from licensing.site.decision import ADMITTED, Decision
from licensing.site.use import Leg, LineCall
from licensing.site.uses import Uses


class Calls:
    """What calls take: `call` and `hangup` on ISDN interfaces, `join` and `leave` of conference objects."""

    def __init__(self, uses: Uses) -> None:
        self._uses = uses

    def call(
        self, call: str, gateway: str, interface: str, now_ms: int, *, emergency: bool = False
    ) -> Decision:
        """A call over a line begins: its interface is open, and there is a Relay-Channel for it (L.r20).

        Codes: `unknown_object` (no such interface), `relay_missing`, `relay_channels_exhausted`, and why the
        MAC of the box is not believed. Without an `interface` nobody knows over which it goes, and only
        channels are counted. Over a line of a carrier (`CARRIER` and its name) it takes no licence, and is
        refused beyond the channels of its offer: `line_channels_exhausted` (B.E21).
        """
        wanted = LineCall(call, gateway, interface)
        if self._uses.get(wanted.key) is not None:
            return ADMITTED
        if emergency:
            self._uses.found(wanted, now_ms)
            return ADMITTED
        code = self._full(interface) if interface else None
        if code is not None:
            return self._uses.refuse(wanted, code, now_ms)
        return self._uses.take([wanted], now_ms)

    def _full(self, interface: str) -> Code | None:
        return lines.full(self._uses.seats.policy, interface, len(self._uses.group(LineCall, interface)))

    def hangup(self, call: str, now_ms: int) -> bool:
        """The call is over, in every room too; False when nothing was known of it."""
        known = self._uses.end(LineCall(call, "").key, now_ms)
        legs = self._uses.group(Leg, call)
        for leg in legs:
            self._uses.end(leg.key, now_ms)
        return known or bool(legs)

    def join(
        self, room: str, call: str, now_ms: int, *, prefer_local: bool = False, licence: str = CHANNELS
    ) -> Decision:
        """A call joins a conference object that this PBX hosts: one unit until it leaves (3.5, L.r24).

        PBX-Channels first, then Relay-Channels of this box, or the other way round; the code is that of the
        preferred ones. Of another `licence`, which `offers.chosen` knows, it takes a unit and nothing else.
        """
        if licence != CHANNELS:
            return self._uses.take([Leg(room, call, licence=licence)], now_ms)
        ways = [Leg(room, call), Leg(room, call, relay=True)]
        return self._uses.take(ways[::-1] if prefer_local else ways, now_ms)

    def leave(self, room: str, call: str, now_ms: int, *, licence: str = CHANNELS) -> bool:
        """The leg is over and its unit goes back where it came from; False when there was none."""
        return self._uses.end(Leg(room, call, licence=licence).key, now_ms)
