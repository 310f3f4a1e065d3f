"""What a file is to grant, as typed: `200 PBX-Port13`, `4 Relay-Channels at lyon mac 00-90-33-0a-0b-0c`."""

import re
from collections.abc import Iterable
from importlib import resources
from typing import Final

import yaml

from licensing.catalogue import Catalogue
from licensing.codes import Code, Refusal
from licensing.files.licence_file import Row
from licensing.installation import normal_mac, printed_mac
from licensing.licence_type import LicenceType

_GRAMMAR: Final = re.compile(
    r"(?P<count>[0-9]{1,7})\s+(?P<type>\S.*?)(?:\s+at\s+(?P<place>\S+))?(?:\s+mac\s+(?P<mac>\S+))?"
)


def rows(texts: Iterable[str]) -> tuple[Row, ...] | Refusal:
    """The rows of these texts, with types as the catalogue writes them; the first that does not fit."""
    document = resources.files("licensing").joinpath("catalogue.yaml").read_text(encoding="utf-8")
    catalogue = Catalogue.from_rows(yaml.safe_load(document))
    found = []
    for text in texts:
        row = _row(text, catalogue)
        if isinstance(row, Refusal):
            return row
        found.append(row)
    return tuple(found)


def macs(texts: Iterable[str]) -> tuple[str, ...] | Refusal:
    """These MAC addresses in one spelling; the first that is none."""
    found = []
    for text in texts:
        mac = normal_mac(text)
        if mac is None:
            return Refusal(Code.INVALID_REQUEST, f'"{text}" is no MAC address')
        found.append(printed_mac(mac))
    return tuple(found)


def _row(text: str, catalogue: Catalogue) -> Row | Refusal:
    match = _GRAMMAR.fullmatch(text.strip())
    if match is None or not int(match["count"]):
        return Refusal(Code.INVALID_REQUEST, f'"{text}": write it like "200 PBX-Port13 at lyon"')
    type_ = LicenceType.parse(match["type"])
    if isinstance(type_, Refusal):
        return type_
    known = catalogue.row_of(type_)
    if isinstance(known, Refusal):
        return known
    mac = macs([match["mac"]] if match["mac"] else ())
    if isinstance(mac, Refusal):
        return mac
    return Row(str(type_), int(match["count"]), match["place"], mac[0] if mac else None)
