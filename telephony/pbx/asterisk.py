"""What Asterisk 22 says by its manager interface, as contacts, members and calls.

Registration is what `ContactStatus` and the list of contacts say, and nothing else: `DeviceStateChange` and
`PeerStatus` follow calls and qualification. Every value that a device chose is only ever compared.
"""

from typing import Final

from telephony.pbx.ami import Answer, Message
from telephony.pbx.picture import Call, Change, Contact, Gone, Member, Present

# How Asterisk says "none"; any other error is no empty set.
NOTHING: Final = frozenset(("No Contacts found", "No AORs found", "No active conferences."))
# A module is not loaded: of this there is nothing to list, ever.
UNKNOWN_COMMAND: Final = "Invalid/unknown command"
DENIED: Final = "Permission denied"
# What an event of each kind, and an item of each list, holds when it is whole. Asterisk writes what a caller
# dialled as it is, line breaks too (seen in 22.10, at extensions that match anything), and cuts it at 79
# characters: a whole event has no room in it.
WHOLE: Final = {
    "ContactStatus": ("Privilege", "URI", "ContactStatus", "AOR", "EndpointName", "RoundtripUsec"),
    "ConfbridgeJoin": ("Privilege", "Conference", "BridgeUniqueid", "Channel", "Uniqueid", "Linkedid"),
    "ConfbridgeLeave": ("Privilege", "Conference", "BridgeUniqueid", "Channel", "Uniqueid", "Linkedid"),
    "Newchannel": ("Privilege", "Channel", "ChannelState", "Uniqueid", "Linkedid"),
    "Hangup": ("Privilege", "Channel", "ChannelState", "Uniqueid", "Linkedid", "Cause"),
}
BOOTED: Final = "FullyBooted"
RELOADED: Final = "Reload"
# Channels of chan_pjsip: their SIP dialog can be asked for. Those of chan_sip (until 20) cannot.
SIP_CHANNELS: Final = "PJSIP/"
UNASKABLE_CHANNELS: Final = "SIP/"
CALL_ID: Final = "CHANNEL(pjsip,call-id)"
CALL_ID_LIMIT: Final = 1_000  # a longer one may be cut: Asterisk's answer has 1,023 characters
# Channels that conferences make for themselves: announcements and recordings.
OWN_CHANNELS: Final = ("CBAnn/", "CBRec/")


class UnknownError(Exception):
    """Asterisk did not say what it holds; `denied` when it is a matter of rights."""

    def __init__(self, text: str) -> None:
        super().__init__(text or "an error without a reason")
        self.denied = text == DENIED


class Asterisk:
    """Reads the changes of one Asterisk; it knows which AORs take no registration.

    Their contacts stand in the configuration, such as those of trunks: Asterisk qualifies them and says so
    by the same event as for a phone. They registered nowhere and count for nothing.
    """

    def __init__(self) -> None:
        self._fixed: frozenset[str] = frozenset()

    def aors(self, answer: Answer) -> None:
        """Take in `PJSIPShowAors`; UnknownError."""
        found = listed(answer, "ObjectName") or ()
        fixed = [clean(item["ObjectName"]) for item in found if item.get("MaxContacts") == "0"]
        self._fixed = frozenset(fixed)

    def change(self, event: Message) -> Change | None:
        """What an event changes; None for nearly all of them."""
        kind = event.get("Event", "")
        if any(key not in event for key in WHOLE.get(kind, ())):
            return None
        match kind:
            case "ContactStatus":
                return self._contact(event)
            case "ConfbridgeJoin":
                return Present(_member(event))
            case "ConfbridgeLeave":
                return Gone(_member(event))
            case "Newchannel":
                return Present(_call(event)) if _counts(event) else None
            case "Hangup":
                return Gone(_call(event))
            case _:
                return None

    def _contact(self, event: Message) -> Change | None:
        status = event["ContactStatus"]
        contact = Contact(clean(event["AOR"]), clean(event["URI"]), reachable=status != "Unreachable")
        if contact.aor in self._fixed:
            return None
        return Gone(contact) if status == "Removed" else Present(contact)


def contacts(answer: Answer, pbx_s: float, now_ms: int) -> tuple[Contact, ...] | None:
    """The registered contacts, `PJSIPShowContacts`; at `now_ms` the clock of the PBX stood at `pbx_s`.

    None where Asterisk has no such list; UnknownError.
    """
    found = listed(answer, "ObjectName", "Uri")
    return None if found is None else tuple([_contact(item, pbx_s, now_ms) for item in found])


def rooms(answer: Answer) -> list[str] | None:
    """The rooms of `ConfbridgeListRooms`, as they must be asked for; None: no such list; UnknownError."""
    found = listed(answer, "Conference")
    return None if found is None else [item["Conference"] for item in found]


def members(answer: Answer) -> list[Member]:
    """The members of `ConfbridgeList`: without the announcer, whom counts of channels hold; UnknownError."""
    return [_member(item) for item in listed(answer, "Conference", "Channel", "Uniqueid") or ()]


def calls(answer: Answer) -> tuple[Call, ...] | None:
    """The channels of `CoreShowChannels`; None: no such list; UnknownError."""
    found = listed(answer, "Channel", "Uniqueid")
    return None if found is None else tuple([_call(item) for item in found if _counts(item)])


def call_id(answer: Answer) -> bytes | None:
    """The Call-ID of a channel, as `Getvar` of CALL_ID gives it; None where this is not surely all of it."""
    found = answer.response.get("Value", "").encode("utf-8", "surrogateescape")
    right = answer.ok and answer.response.get("Variable") == CALL_ID
    return found if right and 0 < len(found) < CALL_ID_LIMIT else None


def listed(answer: Answer, *keys: str) -> tuple[Message, ...] | None:
    """The items of a list, which may be empty by an error of a known text; None: no such list.

    UnknownError for any other error, and for an item without one of these keys.
    """
    if answer.ok:
        broken = [key for item in answer.items for key in keys if not item.get(key)]
        if broken:
            raise UnknownError(
                f"an item without {broken[0]}: is there a line break in what somebody dialled?"
            )
        return answer.items
    if answer.text in NOTHING:
        return ()
    if answer.text.startswith(UNKNOWN_COMMAND):
        return None
    raise UnknownError(answer.text)


def clean(text: str) -> str:
    """A text that can be stored and shown: what is no UTF-8, or no character, stands in backslash escapes."""
    shown = text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    if shown.isprintable():
        return shown
    return "".join([each if each.isprintable() else f"\\x{ord(each):02x}" for each in shown])


def _contact(item: Message, pbx_s: float, now_ms: int) -> Contact:
    """`ObjectName` is the AOR, `;@` and a hash."""
    aor = item["ObjectName"].rpartition(";@")[0]
    ends = _ends(item.get("ExpirationTime", ""), pbx_s, now_ms)
    return Contact(clean(aor), clean(item["Uri"]), ends, reachable=item.get("Status") != "Unreachable")


def _member(said: Message) -> Member:
    return Member(clean(said["Conference"]), clean(said["Uniqueid"]), clean(said["Channel"]))


def _call(said: Message) -> Call:
    return Call(clean(said["Uniqueid"]), clean(said["Channel"]))


def _counts(said: Message) -> bool:
    return not said["Channel"].startswith(OWN_CHANNELS)


def _ends(epoch_s: str, pbx_s: float, now_ms: int) -> int | None:
    """When a contact ends, by our own clock."""
    known = epoch_s.isdecimal() and len(epoch_s) < 15
    return now_ms + int(1_000 * (int(epoch_s) - pbx_s)) if known else None
