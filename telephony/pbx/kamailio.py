"""What Kamailio says of registrations: frames of its route file by evapi, and the list of its location table.

The frames are those of config/kamailio/pbx-agent.cfg. What a phone chose stands at the end of its line, or
after the last of them, and is never looked into for words of Kamailio's own: no phone writes a frame
(pbx-integrations, section 4.1, "Injection").
"""

import re
from collections.abc import Iterable
from typing import Final, NamedTuple

from telephony.address import read_aor
from telephony.pbx.picture import Change, Contact, Gone, Present

FRAME_LIMIT: Final = 999_999  # by TCP a phone may send more than a SIP message of ours may have
_LENGTH: Final = re.compile(rb"(0|[1-9][0-9]{0,5}):")
_BEGUN: Final = re.compile(rb"0?|[1-9][0-9]{0,5}")
_ASK: Final = re.compile(rb"ask ([0-9]+:[0-9]+) ([^ ]+) ([0-9]{1,5})")
_SET: Final = re.compile(rb"set ([0-9]+:[0-9]+|-) (-?[0-9]+) ([0-9]+)")
_HELD: Final = re.compile(rb"([0-9]+) (.+)", re.DOTALL)
# Expires of a contact that stands in the table and is over.
OVER: Final = ("expired", "deleted")
PERMANENT: Final = "permanent"


class FramesError(Exception):
    """What comes is no stream of netstrings; the text says what was found."""


class Ask(NamedTuple):
    """May this REGISTER be saved? `question` names Kamailio's transaction, host and port its phone."""

    question: str
    host: str
    port: int
    message: bytes


class Held(NamedTuple):
    """All contacts of an AOR (URI, seconds left, None: for ever) after a REGISTER, and whether it was saved.

    `question` is "-" where nobody was asked.
    """

    question: str
    saved: bool
    aor: str
    contacts: tuple[tuple[str, int | None], ...]


class Expired(NamedTuple):
    """A contact whose time was over; Kamailio notices up to its timer_interval late."""

    aor: str
    uri: str


Told = Ask | Held | Expired


class Netstrings:
    """Cuts a stream into netstrings: `5:hello,`."""

    def __init__(self) -> None:
        self._data = b""

    def receive(self, data: bytes) -> list[bytes]:
        """The frames that are complete; FramesError for what is no netstring or too long."""
        self._data += data
        found: list[bytes] = []
        start = 0
        while (match := _LENGTH.match(self._data, start)) is not None:
            end = match.end() + int(match[1])
            if int(match[1]) > FRAME_LIMIT:
                raise FramesError(f"a frame of {int(match[1])} bytes; at most {FRAME_LIMIT}")
            if end >= len(self._data):
                break
            if self._data[end : end + 1] != b",":
                raise FramesError("a frame that does not end where it says")
            found.append(self._data[match.end() : end])
            start = end + 1
        self._data = self._data[start:]
        if match is None and _BEGUN.fullmatch(self._data) is None:
            raise FramesError('no netstring; set modparam("evapi", "netstring_format", 1)')
        return found


def netstring(frame: bytes) -> bytes:
    """A frame as it travels."""
    return b"%d:%s," % (len(frame), frame)


def read(frame: bytes) -> Told | None:
    """What a frame says; None for frames of others, and for what is not just as the route file writes it."""
    line, _, rest = frame.partition(b"\n")
    if (match := _ASK.fullmatch(line)) is not None:
        host = match[2].decode("ascii", "replace").strip("[]")
        return Ask(match[1].decode(), host, int(match[3]), rest)
    if (match := _SET.fullmatch(line)) is not None:
        return _held(match[1].decode(), int(match[2]), int(match[3]), rest)
    words = rest.split(b"\n")
    if line == b"gone" and len(words) == 2 and all(words):
        return Expired(_text(words[0]), _text(words[1]))
    return None


def _held(question: str, saved: int, now_s: int, rest: bytes) -> Held | None:
    aor, *lines = rest.split(b"\n")
    if not aor or not lines or lines.pop():  # every line has an end
        return None
    contacts: list[tuple[str, int | None]] = []
    for line in lines:
        match = _HELD.fullmatch(line)
        if match is None:
            return None
        until_s = int(match[1])
        if until_s == 0:
            contacts.append((_text(match[2]), None))
        elif until_s > now_s:  # else it only waits to be taken out
            contacts.append((_text(match[2]), until_s - now_s))
    return Held(question, saved > 0, _text(aor), tuple(contacts))


class Location:
    """The contacts of one Kamailio: which changes follow from what it tells, AOR by AOR.

    With `use_domain` (of its usrloc module) an AOR has its domain, else it is the user part alone, whatever
    the domain that a phone wrote.
    """

    def __init__(self, *, use_domain: bool) -> None:
        self._use_domain = use_domain
        self._known: dict[str, set[str]] = {}
        self._since: dict[str, set[str]] = {}

    def told(self, told: Held | Expired, now_ms: int) -> list[Change]:
        """What is there now, and what no more."""
        aor = self._name(told.aor)
        if isinstance(told, Expired):
            self._known.get(aor, set()).discard(told.uri)
            return [Gone(Contact(aor, told.uri))]
        if not told.saved:
            return []
        contacts = [Contact(aor, uri, _until(now_ms, left_s)) for uri, left_s in told.contacts]
        uris = {contact.uri for contact in contacts}
        gone = sorted(self._known.get(aor, set()) - uris)
        self._known[aor] = uris
        self._since.setdefault(aor, set()).update(uris)
        changes: list[Change] = [Present(contact) for contact in contacts]
        return changes + [Gone(Contact(aor, uri)) for uri in gone]

    def ask(self) -> None:
        """The whole list is asked for: what is told from here on may be newer."""
        self._since = {}

    def listed(self, rows: Iterable[tuple[str, str, int | str]], now_ms: int) -> tuple[Contact, ...]:
        """The whole list as contacts; its rows are AOR, URI, and seconds left or a word of Kamailio's."""
        contacts: list[Contact] = []
        known: dict[str, set[str]] = {}
        for aor, uri, left in rows:
            if left in OVER:
                continue
            until_ms = _until(now_ms, left) if isinstance(left, int) else None
            contacts.append(Contact(self._name(aor), uri, until_ms))
            known.setdefault(self._name(aor), set()).add(uri)
        for aor, uris in self._since.items():
            known.setdefault(aor, set()).update(uris)
        self._known = known
        return tuple(contacts)

    def _name(self, aor: str) -> str:
        """The AOR as the table has it: `sip:2001@example.com` of a REGISTER is `2001` there."""
        found = read_aor(aor.encode()) if aor.startswith(("sip:", "sips:")) else None
        name = aor if found is None else str(found)
        return name if self._use_domain else name.partition("@")[0]


def _until(now_ms: int, left_s: int | None) -> int | None:
    return None if left_s is None else now_ms + 1_000 * left_s


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "backslashreplace")
