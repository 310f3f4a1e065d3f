"""Object names and rows, as tables."""

import pytest

from telephony.address import Identity, read_aor
from telephony.directory import Directory, Row, Subject, Unknown

ROWS = [
    Row("trunk", ("carrier", "+33*"), "carrier"),
    Row("user", ("201@lyon.example.com",), "boss"),
    Row("group", ("1?",)),
    Row("user", ("2??", "anna")),
]


@pytest.mark.parametrize(
    ("uri", "user", "host"),
    [
        (b"sip:201@Example.COM:5070;transport=tcp?h=v", "201", "example.com"),
        (b"SIPS:%61nna:secret@[2001:DB8::1]:5061", "anna", "[2001:db8::1]"),
        (b"sip:example.com;lr", "", "example.com"),
        (b"tel:+33142000001;phone-context=x", "+33142000001", ""),
        (b"sip:+3314;ext=1@gw", "+3314;ext=1", "gw"),
        (b"sip:null-%00-null@example.com", "null-\0-null", "example.com"),
        (b"sip:%ff@h", "\\xff", "h"),
        (b"isbn:2983792873", "2983792873", ""),
    ],
)
def test_aor(uri: bytes, user: str, host: str) -> None:
    assert read_aor(uri) == (user, host)


def test_no_aor() -> None:
    assert read_aor(b"anna") is None
    assert read_aor(b"sip:a@b@c") is None


@pytest.mark.parametrize(
    ("uri", "subject"),
    [
        (b"sip:carrier@x", Subject("carrier@x", "carrier", "trunk")),
        (b"sip:+33142@x", Subject("+33142@x", "carrier", "trunk")),
        (b"sip:201@lyon.example.com", Subject("201@lyon.example.com", "boss", "user")),
        (b"sip:201@other", Subject("201@other", "201", "user")),
        (b"sip:201@another", Subject("201@another", "201", "user")),
        (b"sip:11@x", Subject("11@x", "11", "group")),
        (b"sip:111@x", Subject("111@x", "111", "user", refused=True)),
        (b"sip:x@anna", Subject("x@anna", "x", "user", refused=True)),
    ],
)
def test_first_row_that_fits(uri: bytes, subject: Subject) -> None:
    directory = Directory(ROWS, Unknown.REFUSE)
    assert directory.find(uri) == subject
    assert directory.find(uri) == subject, "from the cache"


def test_user_at_host_keeps_domains_apart() -> None:
    directory = Directory(ROWS, Unknown.PASS, Identity.USER_AT_HOST)
    assert directory.find(b"sip:202@A") == Subject("202@a", "202@a", "user")
    assert directory.find(b"sip:anna@b;x=y") == Subject("anna@b", "anna@b", "user")
    assert directory.find(b"sip:other@b") == Subject("other@b", "other@b", "pass")
