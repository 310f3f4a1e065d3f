"""A dialled number as the one that is priced: emergency, internal, E.164 or a country's short number (B.r15).

Own tables: a number library takes 0 0612345678 for Australia and calls overseas departments invalid (design
billing.md 12). What fits no form is no number, and the call is suspended: nothing is guessed.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple

INTERNAL_PLAN: Final = r"\*{0,2}[2-9][0-9]{1,2}"
"""Extensions of two or three digits; no emergency or short number of FR and IT begins so."""


class Form(StrEnum):
    """What kind of number it is."""

    EMERGENCY = "EMERGENCY"
    INTERNAL = "INTERNAL"
    E164 = "E164"
    SHORT = "SHORT"


class Number(NamedTuple):
    """A number as it is shown, and as it is looked up in a tariff: 3615 is found under FR:3615."""

    form: Form
    text: str
    key: str


class _Country(NamedTuple):
    """One numbering plan; patterns of whole numbers.

    `national` is what is dialled, of which the first `dropped` digits are not part of the E.164 number;
    `significant` is the number behind the country code.
    """

    code: str
    emergency: re.Pattern[str]
    short: re.Pattern[str]
    national: re.Pattern[str]
    dropped: int
    significant: re.Pattern[str]


def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(text, re.ASCII)


# As B.r15 has them; the regulators' plans (ARCEP, AGCOM) are the last word.
_COUNTRIES: Final[Mapping[str, _Country]] = {
    "FR": _Country(
        "33",
        emergency=_pattern(r"15|17|18|112|114|115|116[0-9]{3}|119|191|196|197"),
        short=_pattern(r"10[0-9]{2}|3[0-9]{3}|118[0-9]{3}"),
        national=_pattern(r"0[1-9][0-9]{8}"),
        dropped=1,
        significant=_pattern(r"[1-9][0-9]{8}"),
    ),
    "IT": _Country(
        "39",
        emergency=_pattern(r"11[2-8]|116[0-9]{3}|1515|1522|1530"),
        short=_pattern(r"1[0-9]{2,4}|4[0-9]{2,4}"),
        national=_pattern(r"0[0-9]{5,10}|3[0-9]{8,9}|[178][0-9]{5,9}|55[0-9]{6,9}"),
        dropped=0,
        significant=_pattern(r"0[0-9]{5,10}|3[0-9]{8,9}|[178][0-9]{5,9}|55[0-9]{6,9}"),
    ),
}
COUNTRIES: Final = tuple(_COUNTRIES)

# Overseas departments share France's plan and have country codes of their own (B.r16).
_OVERSEAS: Final[Mapping[str, str]] = {
    **dict.fromkeys(("262", "263", "269", "639", "692", "693"), "262"),
    **dict.fromkeys(("590", "690", "691"), "590"),
    **dict.fromkeys(("594", "694"), "594"),
    **dict.fromkeys(("596", "696", "697"), "596"),
}
_OVERSEAS_E164: Final = re.compile(r"\+(262|590|594|596)([0-9]{9})", re.ASCII)

_SEPARATORS: Final = re.compile(r"[ .\-/\u00a0\u202f]|\(0\)")
_E164: Final = re.compile(r"\+[1-9][0-9]{6,14}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Plan:
    """What a line's PBX makes of digits: `country` is one of COUNTRIES, `internal` a whole-number pattern."""

    country: str = "FR"
    trunk_prefix: str = ""
    internal: re.Pattern[str] = re.compile(INTERNAL_PLAN, re.ASCII)
    dom_as_france: bool = False
    """B.r16: overseas departments count as France."""


def normalise(dialled: str, plan: Plan) -> Number | None:
    """The number that was meant, or None when it fits no form (B.r15)."""
    country = _COUNTRIES[plan.country]
    if country.emergency.fullmatch(dialled):
        return Number(Form.EMERGENCY, dialled, "")
    if plan.internal.fullmatch(dialled):
        return Number(Form.INTERNAL, dialled, "")
    digits = _SEPARATORS.sub("", dialled.strip().removeprefix("tel:"))
    if not digits.startswith("+") and plan.trunk_prefix:
        digits = digits.removeprefix(plan.trunk_prefix)
    if digits.startswith("00"):
        digits = "+" + digits[2:]
    return _international(digits, plan) if digits.startswith("+") else _national(digits, country, plan)


def _national(digits: str, country: _Country, plan: Plan) -> Number | None:
    if country.emergency.fullmatch(digits):
        return Number(Form.EMERGENCY, digits, "")
    if country.short.fullmatch(digits):
        return Number(Form.SHORT, digits, f"{plan.country}:{digits}")
    if country.national.fullmatch(digits):
        return _international(f"+{country.code}{digits[country.dropped :]}", plan)
    if digits.startswith(country.code) and country.significant.fullmatch(digits, len(country.code)):
        return _international("+" + digits, plan)
    return None


def _international(text: str, plan: Plan) -> Number | None:
    if _E164.fullmatch(text) is None:
        return None
    country = _COUNTRIES[plan.country]
    own = "+" + country.code
    if text.startswith(own) and country.significant.fullmatch(text, len(own)) is None:
        return None
    if plan.country == "FR":
        text = _overseas(text, plan)
    return Number(Form.E164, text, text)


def _overseas(text: str, plan: Plan) -> str:
    """Overseas numbers under their own country codes, or, where they count as France, under +33."""
    if plan.dom_as_france:
        found = _OVERSEAS_E164.fullmatch(text)
        return "+33" + found[2] if found else text
    code = _OVERSEAS.get(text[3:6]) if text.startswith("+33") else None
    return f"+{code}{text[3:]}" if code else text
