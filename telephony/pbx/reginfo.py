"""Documents of the reg event package (RFC 3680) as Kamailio writes them: each is the whole set of its AOR.

`version` is always 0 and `state` always full there, so that a loss cannot be seen; ids change; a contact
whose time is over is missing. So a contact is told by its URI, and what a document does not name is over.
"""

import re
from typing import Final

from telephony.cdr.reading import UnreadableError
from telephony.cdr.xml_document import Element, read_element
from telephony.pbx.kamailio import Held

SIZE_LIMIT: Final = 65_535
# A contact that was added for ever ends at second 0 of the epoch, so Kamailio 5.6 says that it did by now.
EVER_S: Final = -1_000_000_000
_SECONDS: Final = re.compile(r"-?[0-9]{1,10}")
STATES: Final = ("active", "terminated")


class ReginfoError(Exception):
    """Not the whole set of contacts of one AOR; the text says why."""


def read(body: bytes) -> Held:
    """The AOR as the document names it and its contacts with the seconds left; ReginfoError.

    A declaration (`<!DOCTYPE`, `<!ENTITY`) is refused as such: no document of this package needs one.
    """
    if len(body) > SIZE_LIMIT:
        raise ReginfoError(f"{len(body)} bytes; at most {SIZE_LIMIT}")
    if b"<!" in body:
        raise ReginfoError("a declaration, comment or CDATA section")
    try:
        document = read_element(body, "reginfo")
    except UnreadableError as error:
        raise ReginfoError(str(error)) from error
    if document.attributes.get("state") != "full":
        raise ReginfoError("not the full state")
    registrations = list(document.named("registration"))
    if len(registrations) != 1:
        raise ReginfoError(f"{len(registrations)} registrations")
    aor = registrations[0].attributes.get("aor", "")
    if not aor:
        raise ReginfoError("a registration without aor")
    return Held("-", True, aor, _contacts(registrations[0]))


def _contacts(registration: Element) -> tuple[tuple[str, int | None], ...]:
    """Those that are active; the order of the document, each URI once."""
    state = registration.attributes.get("state")
    found: dict[str, int | None] = {}
    for contact in registration.named("contact"):
        if contact.attributes.get("state") not in STATES:
            raise ReginfoError("a contact that is neither active nor terminated")
        left_s = _left_s(contact)
        if contact.attributes["state"] == "active" and (left_s is None or left_s > 0):
            found[_uri(contact)] = left_s
    if state not in ("active", "init", "terminated") or (found and state != "active"):
        raise ReginfoError(f"a registration that is {state} with {len(found)} active contacts")
    return tuple(found.items())


def _uri(contact: Element) -> str:
    uri = contact.first("uri")
    if uri is None or not uri.text.strip():
        raise ReginfoError("a contact without uri")
    return uri.text.strip()


def _left_s(contact: Element) -> int | None:
    left = contact.attributes.get("expires", "")
    if not left:
        return None
    if _SECONDS.fullmatch(left) is None:
        raise ReginfoError("a contact whose expires is no number")
    return int(left) if int(left) > EVER_S else None
