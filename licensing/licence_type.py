"""The name of a licence type: `PBX-Port13%500`, `Port13\\$20`, `App(phone)13`, `Relay-BRIs`.

Modele de Licence V13r2, 1.4: the prefix Relay names hardware, PBX software. Blanks and backslashes are
noise of print, and the component may be left out (L.r1, decisions 2 and 3).
"""

import re
from dataclasses import dataclass
from typing import Final, Literal

from licensing.codes import Code, Refusal

Component = Literal["PBX", "Relay"]

_COMPONENT = r"(?:(?P<component>PBX|Relay)-)?"
_APP = r"(?P<app>(?:App|Service)\([a-z0-9-]+\))"
_FAMILY = r"(?P<family>[A-Z][A-Za-z]*)"
_VERSION = r"(?P<version>[0-9]{1,2})?"
_MODIFIER = r"(?:%(?P<tier>[0-9]{1,7})|\$(?P<cap>[0-9]{1,7})|(?P<upgrade>\$\$))?"
_LIMIT = r"(?P<limit>=[0-9]+)?"
_GRAMMAR: Final = re.compile(f"{_COMPONENT}(?:{_APP}|{_FAMILY}){_VERSION}{_MODIFIER}{_LIMIT}")

# Recognised only to be named in the refusal; vendor wiki, unverified.
_LEGACY: Final = (
    (re.compile(r"(?:PBX)?[0-9]*#0"), "the slave licence of release 7"),
    (re.compile(r"(?:PBX)?[0-9]*#[0-9]+(?:@[0-9]+)?"), "the base licence of release 7"),
    (re.compile(r"(?:PBX-)?Port8\*[0-9]+"), "SMB-Port as release 8 wrote it"),
)
_MAX_LENGTH = 200


@dataclass(frozen=True, slots=True)
class LicenceType:
    """A licence type taken apart; `str()` is canonical and parses to the same value.

    `name` is the family (`Port`) or the application (`App(phone)`), `version` a software release or None,
    `modifier` one of `%N` (units above N), `$N` (at most N ports), `$$` (upgrade of SMB-Port) or empty,
    `limit` the vendor's `=N`, kept without a meaning.
    """

    component: Component
    name: str
    version: int | None = None
    modifier: str = ""
    limit: str = ""

    def __str__(self) -> str:
        version = "" if self.version is None else str(self.version)
        return f"{self.component}-{self.name}{version}{self.modifier}{self.limit}"

    @classmethod
    def parse(cls, text: str) -> "LicenceType | Refusal":
        """The type that this text names, or the refusal `invalid_type` with what would be right."""
        plain = "".join(text.replace("\\", "").split())
        match = _GRAMMAR.fullmatch(plain) if len(plain) <= _MAX_LENGTH else None
        if match is None:
            return _refused(text, plain)
        component: Component = "Relay" if match["component"] == "Relay" else "PBX"
        version = None if match["version"] is None else int(match["version"])
        modifier = _modifier(match)
        if match["app"] and modifier:
            return _invalid(text, f"an app has no {modifier}", f"{component}-{match['app']}13")
        if component == "Relay" and (version is not None or modifier):
            example = f"Relay-{match['app'] or match['family']}"
            return _invalid(text, "hardware carries no version (1.3)", example)
        return cls(component, match["app"] or match["family"], version, modifier, match["limit"] or "")


def _modifier(match: re.Match[str]) -> str:
    if match["tier"] is not None:
        return f"%{int(match['tier'])}"
    if match["cap"] is not None:
        return f"${int(match['cap'])}"
    return match["upgrade"] or ""


def _refused(text: str, plain: str) -> Refusal:
    for form, meaning in _LEGACY:
        if len(plain) <= _MAX_LENGTH and form.fullmatch(plain):
            return _invalid(text, f"this is {meaning}, which this model does not know", "PBX-Port13")
    return _invalid(text, "expected [PBX-|Relay-] name [version] [%N, $N or $$]", "PBX-Port13")


def _invalid(text: str, found: str, example: str) -> Refusal:
    shown = text if len(text) <= _MAX_LENGTH else text[:_MAX_LENGTH] + "…"
    advice = f"Write it as on the licence, for example {example}."
    return Refusal(Code.INVALID_TYPE, f'"{shown}": {found}', advice)
