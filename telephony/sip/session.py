"""What headers say about dialogs: which one an INVITE replaces, and for how long a session lasts.

RFC 3891 (Replaces), RFC 3515 (Refer-To), RFC 4028 (Session-Expires).
"""

from typing import Final, NamedTuple

from telephony.address import read_aor
from telephony.sip import grammar
from telephony.sip import message as sip
from telephony.sip.message import Message

_BLANKS: Final = b" \t\r\n"


class DialogId(NamedTuple):
    """A dialog as who replaces it names it: its Call-ID and the tags of both sides."""

    call_id: bytes
    to_tag: bytes
    from_tag: bytes


def read_session_expires(message: Message) -> int | None:
    """The seconds until the session ends without a refresh; None when it has no timer."""
    if sip.SESSION_EXPIRES not in message:
        return None
    return grammar.read_number(message.value(sip.SESSION_EXPIRES).partition(b";")[0], 2**32)


def read_replaces(request: Message) -> DialogId | None:
    """The dialog that this INVITE replaces; None when it names none."""
    call_id, semicolon, params = request.value(sip.REPLACES).partition(b";")
    tags = grammar.read_params(semicolon + params)
    if b"to-tag" not in tags or b"from-tag" not in tags:
        return None
    return DialogId(call_id.strip(_BLANKS), tags[b"to-tag"], tags[b"from-tag"])


def read_refer_to(request: Message) -> str:
    """The AOR that the other side is told to call; "" when there is none."""
    address = grammar.read_address(request.value(sip.REFER_TO))
    aor = None if address is None else read_aor(address.uri.partition(b"?")[0])
    return "" if aor is None else str(aor)
