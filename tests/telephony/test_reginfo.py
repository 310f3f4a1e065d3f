"""Documents of the reg event package: every trap of the recordings, and what is no document of ours."""

import re
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from telephony.pbx.kamailio import Held, Location
from telephony.pbx.picture import Gone, Picture, Present
from telephony.pbx.reginfo import SIZE_LIMIT, ReginfoError, read

RECORDED = Path(__file__).parent / "recorded" / "kamailio"
AOR = "sip:2001@10.77.0.2"
ANNA, DESK = "sip:2001@10.77.0.3:5090", "sip:2001@10.77.0.3:5092"
DOCUMENT = re.compile(r'<\?xml version="1\.0"\?>\n<reginfo.*?</reginfo>\n', re.DOTALL)


def documents(name: str) -> list[bytes]:
    """The bodies of the recorded NOTIFYs, in order."""
    return [found.encode() for found in DOCUMENT.findall((RECORDED / name).read_text())]


def document(inside: str, aor: str = AOR, state: str = "active") -> bytes:
    """A document of one registration."""
    return (
        '<?xml version="1.0"?><reginfo xmlns="urn:ietf:params:xml:ns:reginfo" version="0" state="full">'
        f'<registration aor="{aor}" id="0x1" state="{state}">{inside}</registration></reginfo>'
    ).encode()


def contact(uri: str = ANNA, state: str = "active", more: str = 'expires="60"') -> str:
    """A contact as Kamailio writes it."""
    return f'<contact id="0x2" state="{state}" event="registered" {more}><uri>{uri}</uri></contact>'


def test_each_recorded_document_is_the_whole_set_of_its_aor() -> None:
    """Versions 0, always full; a contact whose time was over is missing; a terminated one is not there."""
    read_all = [read(body) for body in documents("reg-event-2001.txt")]
    assert {held.aor for held in read_all} == {AOR}
    assert [held.contacts for held in read_all] == [
        ((ANNA, 60),),  # created
        ((ANNA, 60),),  # refreshed
        ((ANNA, 59), (DESK, 6)),
        ((ANNA, 52),),  # the second one has expired
        (),  # unregistered: the contact is there, terminated
        ((ANNA, 60),),  # with other ids than before
        (),  # ul.rm
    ]


def test_the_last_contact_expires_as_a_registration_without_contacts() -> None:
    assert [read(body).contacts for body in documents("reg-event-last-contact-expires.txt")] == [
        ((ANNA, 6),),
        (),
    ]


def test_the_recorded_documents_make_the_picture() -> None:
    """Keyed by URI: a refresh and a new id change nothing, whoever is not named is gone."""
    location, picture = Location(use_domain=False), Picture()
    effects = [
        [effect for change in location.told(read(body), 0) for effect in picture.change(change)]
        for body in documents("reg-event-2001.txt")
    ]
    shown = [[(type(effect), effect.item.key[1]) for effect in each] for each in effects]
    assert shown == [
        [(Present, ANNA)],
        [],
        [(Present, DESK)],
        [(Gone, DESK)],
        [(Gone, ANNA)],
        [(Present, ANNA)],
        [(Gone, ANNA)],
    ]


def test_what_ends_never_and_what_a_phone_chose() -> None:
    """A contact for ever is over since the epoch (seen: ul.add with expires 0)."""
    assert read(document(contact(more='expires="-1795999603"'))).contacts == ((ANNA, None),)
    assert read(document(contact(more=""))).contacts == ((ANNA, None),)
    for over in ("0", "-1"):  # it only waits to be taken out
        assert read(document(contact(more=f'expires="{over}"'))).contacts == ()
    hostile = contact(more='expires="60" user_agent="x&quot; state=&quot;terminated&lt;/contact&gt;"')
    assert read(document(hostile)).contacts == ((ANNA, 60),)
    assert read(document(contact() + contact(more='expires="9"'))).contacts == ((ANNA, 9),)
    assert read(document(contact("sip:a@b;x=1&amp;y"))).contacts == (("sip:a@b;x=1&y", 60),)


BOMB = b'<!DOCTYPE reginfo [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>'


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "expected <reginfo>"),
        (BOMB + document(contact("&b;")), "a declaration"),
        (document(contact("<![CDATA[sip:a]]>")), "a declaration"),
        (document(contact("&b;")), "not XML: undefined entity"),
        (document(contact()) + b" " * SIZE_LIMIT, "at most 65535"),
        (document(contact())[:-5], "not XML"),
        (document(contact()).replace(b'"full"', b'"partial"'), "not the full state"),
        (document("").replace(b"<registration", b"<other").replace(b"/registration", b"/other"), "0 registr"),
        (document(contact(), aor=""), "without aor"),
        (document("<contact state='active'/>"), "without uri"),
        (document(contact(state="asleep")), "neither active nor terminated"),
        (document(contact(), state="terminated"), "terminated with 1 active"),
        (document(contact(), state=""), "a registration that is"),
        (document(contact(more='expires="soon"')), "no number"),
        (document("<x>" * 20 + "</x>" * 20), "nested deeper"),
    ],
)
def test_what_is_not_the_whole_set_of_one_aor_is_refused(body: bytes, why: str) -> None:
    with pytest.raises(ReginfoError, match=re.escape(why)):
        read(body)


@given(st.binary(max_size=200), st.integers(0, 500), st.integers(0, 40))
@example(b"", 0, 0)
def test_a_broken_document_is_read_or_refused(junk: bytes, at: int, cut: int) -> None:
    """Nothing else comes out, and no contact that the document does not name."""
    whole = document(contact())
    try:
        held = read(whole[:at] + junk + whole[at + cut :])
    except ReginfoError:
        return
    assert isinstance(held, Held)
    assert len(held.contacts) <= 1
