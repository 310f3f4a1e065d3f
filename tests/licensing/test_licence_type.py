"""Licence types: the grammar, its round trip, and refusals that help."""

import hypothesis.strategies as st
import pytest
from hypothesis import given

from licensing.codes import Code, Refusal
from licensing.licence_type import LicenceType


def parsed(text: str) -> LicenceType:
    found = LicenceType.parse(text)
    assert isinstance(found, LicenceType), found
    return found


def refused(text: str) -> Refusal:
    found = LicenceType.parse(text)
    assert isinstance(found, Refusal), found
    assert found.code is Code.INVALID_TYPE
    return found


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        pytest.param("PBX-Port 13%500", "PBX-Port13%500", id="L.P17 blank"),
        pytest.param("PBX-Port13%500", "PBX-Port13%500", id="L.P17 plain"),
        pytest.param("Port13%500", "PBX-Port13%500", id="L.P17 no component"),
        pytest.param("Port13\\$20", "PBX-Port13$20", id="L.B9"),
        pytest.param("Port13\\$\\$", "PBX-Port13$$", id="upgrade"),
        pytest.param("App(innovaphone-recorder)", "PBX-App(innovaphone-recorder)", id="no version"),
        pytest.param("Service(x-1)12", "PBX-Service(x-1)12", id="service"),
        pytest.param(" Relay-BRIs\t", "Relay-BRIs", id="hardware"),
        pytest.param("PBX-Port13=5", "PBX-Port13=5", id="vendor's limit"),
        pytest.param("Port\N{NO-BREAK SPACE}13", "PBX-Port13", id="no-break space"),
    ],
)
def test_spellings(text: str, canonical: str) -> None:
    assert str(parsed(text)) == canonical


@pytest.mark.parametrize(
    ("text", "named"),
    [
        pytest.param("Relay-PRIs13", "no version", id="L.V9"),
        pytest.param("PBX7#20@3", "release 7", id="legacy base"),
        pytest.param("PBX7#0", "slave", id="legacy slave"),
        pytest.param("Port8*20", "release 8", id="legacy SMB"),
        pytest.param("pbx-port13", "expected", id="case matters"),
        pytest.param("PBX-Port13%", "expected", id="tier without number"),
        pytest.param("PBX-App(phone)13%500", "no %500", id="app with a tier"),
        pytest.param("PBX-Port\N{ARABIC-INDIC DIGIT ONE}3", "expected", id="other digits"),
        pytest.param("PBX-Port13\nPBX-Port13", "expected", id="two lines"),
        pytest.param("", "expected", id="nothing"),
        pytest.param("P" * 100_000, "expected", id="too long"),
    ],
)
def test_refusals_say_what_is_wrong_and_what_is_right(text: str, named: str) -> None:
    refusal = refused(text)
    assert named in refusal.detail
    assert len(refusal.detail) < 400
    assert "for example" in refusal.hint


names = st.from_regex(r"[A-Z][A-Za-z]{0,8}|(App|Service)\([a-z0-9-]{1,8}\)", fullmatch=True)


@given(
    component=st.sampled_from(["PBX-", ""]),
    name=names,
    version=st.none() | st.integers(0, 99),
    modifier=st.sampled_from(["", "%500", "$20", "$$"]),
    noise=st.sampled_from(["", " ", "\\"]),
)
def test_what_is_written_parses_to_the_same(
    component: str, name: str, version: int | None, modifier: str, noise: str
) -> None:
    modifier = "" if "(" in name else modifier
    shown = "" if version is None else str(version)
    found = parsed(f"{component}{noise}{name}{shown}{noise}{modifier}")
    assert (found.name, found.version, found.modifier) == (name, version, modifier)
    assert parsed(str(found)) == found


@given(st.text(max_size=40))
def test_any_text_is_a_type_or_a_refusal(text: str) -> None:
    found = LicenceType.parse(text)
    if isinstance(found, LicenceType):
        assert parsed(str(found)) == found
