"""Emergency numbers: the table of countries, and every way to dial one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telephony.countries import COUNTRIES
from telephony.emergency import dialled, emergency_openings, is_emergency

EEA = (
    "AT", "BE", "BG", "CY", "CZ", "DE", "DK", "EE", "ES", "FI", "FR", "GR", "HR", "HU", "IE", "IS", "IT",
    "LI", "LT", "LU", "LV", "MT", "NL", "NO", "PL", "PT", "RO", "SE", "SI", "SK",
)  # fmt: skip
OTHERS = ("CH", "GB", "US", "CA", "AU", "NZ", "JP")


@pytest.mark.parametrize("name", [*EEA, *OTHERS])
def test_these_countries_are_known(name: str) -> None:
    assert {"112", "911", *COUNTRIES[name].numbers} <= dialled(name, "", ())


def test_rows_are_numbers_each_once() -> None:
    for name, (code, numbers) in COUNTRIES.items():
        assert (len(name), name.isascii(), name.isupper()) == (2, True, True)
        assert code.isdigit()
        assert 1 <= len(code) <= 3
        assert len(set(numbers)) == len(numbers), name
        assert all(number.isdigit() and 2 <= len(number) <= 6 for number in numbers), name
        assert not {"112", "911"} & set(numbers), f"{name}: those are everywhere"


@pytest.mark.parametrize(
    ("name", "numbers"),
    [
        ("FR", "15 17 18 112 114 115 119 191 196 197 116000 116117"),
        ("DE", "110 112"),
        ("IT", "112 113 115 118"),
        ("CH", "112 117 118 144"),
        ("GB", "112 999"),
        ("US", "911"),
        ("CA", "911"),
        ("AU", "000 106 112"),
        ("NZ", "111"),
        ("JP", "110 118 119"),
        ("NO", "110 112 113"),
        ("SE", "112"),
        ("PL", "112 997 998 999"),
        ("AT", "112 122 128 133 140 141 142 144 147"),
        ("ES", "061 062 080 085 088 091 092 112 1006"),
    ],
)
def test_what_must_be_in_a_row(name: str, numbers: str) -> None:
    assert set(numbers.split()) <= dialled(name, "", ())


FRENCH = dialled("FR", "0", ["1234"])


@pytest.mark.parametrize(
    ("uri", "passes"),
    [
        ("sip:15@pbx.example.com", True),
        ("sip:015@pbx.example.com", True),
        ("sips:112@pbx.example.com", True),
        ("sip:0112@pbx.example.com;user=phone", True),
        ("sip:112;phone-context=+33@pbx.example.com;user=phone", True),
        ("sip:0-1.1(2)@pbx.example.com", True),
        ("sip:%30%31%31%32@pbx.example.com", True),
        ("sip:+33112@pbx.example.com;user=phone", True),
        ("tel:112", True),
        ("tel:+33-15", True),
        ("tel:17;phone-context=pbx.example.com", True),
        ("TEL:1-1-2", True),
        ("sip:1234@pbx.example.com", True),
        ("sip:01234@pbx.example.com", True),
        ("sip:112:password@pbx.example.com", True),
        ("urn:service:sos", True),
        ("urn:service:sos.ambulance", True),
        ("URN:Service:SOS.fire", True),
        ("sip:113@pbx.example.com", False),
        ("sip:0113@pbx.example.com", False),
        ("sip:00112@pbx.example.com", False),  # the prefix twice is the beginning of a number abroad
        ("sip:+49112@pbx.example.com", False),
        ("sip:33112@pbx.example.com", False),
        ("sip:+0112@pbx.example.com", False),
        ("sip:1122@pbx.example.com", False),
        ("sip:x112@pbx.example.com", False),
        ("sip:112.example.com", False),
        ("sip:0@pbx.example.com", False),
        ("sip:+33@pbx.example.com", False),
        ("urn:service:sosx", False),
        ("urn:service:counseling", False),
    ],
)
def test_ways_of_dialling_in_france_with_a_prefix(uri: str, passes: bool) -> None:
    assert is_emergency(uri.encode(), FRENCH) == passes


def test_without_a_country_the_old_list_stays() -> None:
    old = {"112", "911", "999", "000", "15", "17", "18", "114", "118"}
    assert dialled(None, "", ()) == old
    assert dialled(None, "9", ["110"]) == {prefix + each for prefix in ("", "9") for each in {*old, "110"}}


@given(
    name=st.sampled_from(sorted(COUNTRIES)),
    prefix=st.from_regex(r"[0-9*]{0,3}", fullmatch=True),
    separator=st.sampled_from(["", "-", ".", " ", "("]),
    data=st.data(),
)
def test_every_number_of_every_country_passes_in_every_way(
    name: str, prefix: str, separator: str, data: st.DataObject
) -> None:
    numbers = dialled(name, prefix, ())
    number = data.draw(st.sampled_from(["112", "911", *COUNTRIES[name].numbers]))
    way = data.draw(st.sampled_from(["", prefix, f"+{COUNTRIES[name].code}"]))
    spelled = separator.join(way + number).replace(" ", "%20")
    for uri in (f"sip:{spelled}@pbx", f"sips:{spelled}@pbx:5061;user=phone", f"tel:{spelled};x=y"):
        assert is_emergency(uri.encode(), numbers)
    assert is_emergency(f"sip:{spelled}x@pbx".encode(), numbers) is False


@pytest.mark.parametrize("name", sorted(COUNTRIES))
def test_the_kernel_filter_gets_the_plain_numbers_first(name: str) -> None:
    """It has room for forty beginnings: what is dialled plainly must be among them."""
    ways = emergency_openings(dialled(name, "0", ()))[b"INVITE sip:"][:40]
    for number in ("112", "911", *COUNTRIES[name].numbers):
        assert any(number.encode().startswith(way) for way in ways), number
