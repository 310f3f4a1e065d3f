"""RFC 4475, all 49 messages: 27 accepted with the right fields, 22 rejected for the right reason."""

from hashlib import sha256

import pytest

from telephony.address import read_aor
from telephony.sip import message as sip
from telephony.sip.contact import read_contacts
from telephony.sip.message import Message, scan
from telephony.sip.validate import validate
from tests.telephony.rfc4475.messages import MESSAGES
from tests.telephony.scene import ANNA, PBX, Scene, sends

# SHA-256, first 8 bytes, of each file of the archive in appendix A: our texts have exactly its bytes.
SUMS = """
badaspec f8f6e2f4247287b0  badbranch  cb049c727f16b5ec  baddate    1208a6e3e0c8a8c3  baddn    9d9428e8017092f1
badinv01 9ee2b88f2e0b5a9e  badvers    037d702d19e934bf  bcast      073637c635971991  bext01   57181987c02c4f57
bigcode  f79450070975da54  clerr      d9da629086a38df4  cparam01   dfa6b5cdb289adc6  cparam02 e93574215bd1d804
dblreq   a6be48426565c2a7  esc01      be3a316d4ce5f69c  esc02      9a9c59449f00327b  escnull  263fe2ecd12a5ccb
escruri  c3cf30af13a9d107  insuf      1e3efd9f3b238c63  intmeth    b957a8292c1c0a98  inv2543  76fac8afe22dee49
invut    9b39e824947df46f  longreq    185739292bc67676  ltgtruri   bcacb2dc17610e8c  lwsdisp  d1b36b6316c12824
lwsruri  3e22ceeca585ad23  lwsstart   f884e5626c6c5b12  mcl01      887191619bf003b7  mpart01  92147c8e24997bac
mismatch01 a2c285636e451e75  mismatch02 01b287f9a9c492f7  multi01  d156ab12105b4bfd  ncl      7ea6538edc1f054f
noreason 07e11e470a69fffa  novelsc    9a50a7343fcf685e  quotbal    e61978a2ea359fc6  regaut01 885ba0488872cfc0
regbadct 575d27530275814c  regescrt   dab4087c133348b0  scalar02   53158177326568e9  scalarlg 0957eca31737e359
sdp01    497c5f1ced6c7b57  semiuri    87bbaed6b4b354db  transports 33b4553a3b941812  trws     64ae20694026e28c
unkscm   81be1a6a566c7ab5  unksm2     f6914409ced613ef  unreason   4f939d6ebf4817ee  wsinv    d6f6cdee99cd0a1f
zeromf   50954ef47acca4f9
"""

# Name; method or code; Vias; CSeq; From host; From tag; To host; contacts; bytes of body. - is none.
ACCEPTED = r"""
wsinv      INVITE        3  9          example.com            98asjd8            chair-dnrc.example.com 1  150
intmeth !interesting-Method0123456789_*+`.%indeed'~ 1 139122385 example.com _token~1'+`*%!-. example.com 0 0
esc01      INVITE        1  234234     example.net            938                example.com            1  150
escnull    REGISTER      1  14398234   example.com            839923423          example.com            2  0
esc02      RE%47IST%45R  1  29344      example.com            f232jadfj23        example.com            2  0
lwsdisp    OPTIONS       1  60         example.com            323                example.com            0  0
longreq    INVITE        34 3882340    example.net            LONG               example.com            1  150
dblreq     REGISTER      1  8          example.com            43251j3j324        example.com            1  0
semiuri    OPTIONS       1  8          example.org            33242              example.com            0  0
transports OPTIONS       5  60         example.com            323                example.com            0  0
mpart01    MESSAGE       1  1          example.com            2fb0dcc9           example.org            1  553
unreason   200           1  35         example.com            11141343           example.edu            1  154
noreason   100           1  35         example.com            39ansfi3           example.edu            1  0
badbranch  OPTIONS       1  8          example.org            33242              example.com            0  0
unkscm     OPTIONS       1  3923423    example.net            384                example.com            0  0
novelsc    OPTIONS       1  3923423    example.net            384                example.com            0  0
unksm2     REGISTER      1  234902     -                      3234233            -                      1  0
bext01     OPTIONS       1  8          example.net            242etr             example.com            0  0
invut      INVITE        1  235448     example.net            8392034            example.com            1  40
regaut01   REGISTER      1  9338       example.com            87321hj23128       example.com            0  0
bcast      200           2  35         example.com            11141343           example.edu            1  154
zeromf     OPTIONS       1  39234321   example.net            3ghsd41            example.com            0  0
cparam01   REGISTER      1  2          example.com            DkfVgjkrtMwaerKKpe example.com            1  0
cparam02   REGISTER      1  3          example.com            838293             example.com            1  0
regescrt   REGISTER      1  14398234   example.com            8                  example.com            1  0
sdp01      INVITE        1  8          example.net            234                example.com            1  150
inv2543    INVITE        1  56         ift.client.example.net -                  ss1.example.net        0  105
"""
ROWS = [line.split() for line in ACCEPTED.strip().splitlines()]

# For each rejected message a repair of the one thing wrong with it, after which it is accepted: so nothing
# else was. Old and new text by turns.
REPAIRS: dict[str, tuple[bytes, ...]] = {
    "badinv01": (b"192.0.2.15;;,;,,", b"192.0.2.15", b"<sip:joe@example.org>;;;;", b"<sip:joe@example.org>"),
    "clerr": (b"9999", b"154"),
    "ncl": (b"-999", b"152"),
    "scalar02": (
        b"36893488147419103232", b"1", b"Max-Forwards: 300", b"Max-Forwards: 255",
        b"Expires: 1" + 100 * b"0", b"Expires: 4294967295",
    ),
    "scalarlg": (
        b"9292394834772304023312", b"1", b"949302838503028349304023988", b"120",
        b"1812 overture", b"181 overture",
    ),
    "quotbal": (b'"Mr. J. User ', b'"Mr. J. User" '),
    "ltgtruri": (b"<sip:user@example.com> SIP", b"sip:user@example.com SIP"),
    "lwsruri": (b"; lr SIP", b";lr SIP"),
    "lwsstart": (b"INVITE  sip:user@example.com  SIP", b"INVITE sip:user@example.com SIP"),
    "trws": (b"SIP/2.0  \r\n", b"SIP/2.0\r\n"),
    "escruri": (b"?Route=%3Csip:example.com%3E", b""),
    "baddate": (b"EST", b"GMT"),
    "regbadct": (
        b"sip:user@example.com?Route=%3Csip:sip.example.com%3E",
        b"<sip:user@example.com?Route=%3Csip:sip.example.com%3E>",
    ),
    "badaspec": (b"< sip:t.watson@example.org >", b"<sip:t.watson@example.org>"),
    "baddn": (
        b"l: 0\r\n", b"l: 0\r\n\r\n",
        b"Bell, Alexander", b'"Bell, Alexander"', b"Watson, Thomas", b'"Watson, Thomas"',
    ),
    "badvers": (b"SIP/7.0", b"SIP/2.0"),
    "mismatch01": (b"8 INVITE", b"8 OPTIONS"),
    "mismatch02": (b"8 INVITE", b"8 NEWMETHOD"),
    "bigcode": (b"4294967301", b"301"),
    "insuf": (b"CSeq", b"Call-ID: a\r\nFrom: <sip:a@h>;tag=1\r\nTo: <sip:b@h>\r\nCSeq"),
    "multi01": (
        b"CSeq: 59 INVITE\r\nCall-ID: multi01.98asdh@192.0.2.2\r\n", b"",
        b"To: sip:other@example.net\r\nFrom: sip:caller@example.net;tag=2923420123\r\n", b"",
        b"\r\nMax-Forwards: 5\r\n", b"\r\n",
    ),
    "mcl01": (b"Content-Length: 5\r\n", b""),
}  # fmt: skip


def problems(data: bytes) -> list[str] | None:
    """What is wrong; None when not even `scan` reads it."""
    message = scan(data)
    return None if message is None else [f"{found.where}: {found.what}" for found in validate(message)]


def host(message: Message, name: bytes) -> str:
    address = message.address(name)
    aor = None if address is None else read_aor(address.uri)
    return (aor and aor.host) or "-"


def read_row(name: str, message: Message) -> list[str]:
    """The fields of a message as a row of the table."""
    contacts = read_contacts(message)
    assert contacts is not None
    return [
        name,
        message.method.decode() or str(message.status),
        str(len(message.elements(sip.VIA))),
        str(message.cseq_number),
        host(message, sip.FROM),
        message.tag(sip.FROM).decode() or "-",
        host(message, sip.TO),
        str(len(contacts)),
        str(len(message.body)),
    ]


def test_the_bytes_are_those_of_the_rfc() -> None:
    words = SUMS.split()
    sums = dict(zip(words[::2], words[1::2], strict=True))
    assert {name: sha256(data).hexdigest()[:16] for name, data in MESSAGES.items()} == sums


def test_27_are_accepted_and_22_rejected() -> None:
    accepted = {name for name, data in MESSAGES.items() if problems(data) == []}
    assert accepted == {row[0] for row in ROWS}
    assert MESSAGES.keys() - accepted == REPAIRS.keys()
    assert (len(accepted), len(REPAIRS)) == (27, 22)


@pytest.mark.parametrize("row", ROWS, ids=[row[0] for row in ROWS])
def test_the_fields_of_the_accepted_are_right(row: list[str]) -> None:
    message = scan(MESSAGES[row[0]])
    assert message is not None
    expected = [("12" + 50 * "982" + "424") if field == "LONG" else field for field in row]
    assert read_row(row[0], message) == expected


@pytest.mark.parametrize("name", REPAIRS)
def test_the_rejected_are_accepted_once_repaired(name: str) -> None:
    """Each repair alone but the last leaves something wrong; all together leave nothing."""
    data, repairs = MESSAGES[name], REPAIRS[name]
    for old, new in zip(repairs[::2], repairs[1::2], strict=True):
        assert problems(data) != [], f"before {old!r} is repaired"
        assert old in data
        data = data.replace(old, new)
    assert problems(data) == []


def test_no_torture_reaches_a_stranger() -> None:
    """Through the guard: accepted or not, from a phone or the PBX, nothing goes to an address they name."""
    for data in MESSAGES.values():
        for source in (ANNA, PBX):
            for send in sends(Scene().receive(data, source)):
                assert send.flow in (source, PBX)
