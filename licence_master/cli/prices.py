"""The price file of `usage --prices`: what a unit of each licence type costs, in YAML or CSV."""

import re
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Annotated

from pydantic import Field, StringConstraints, model_validator

from licence_master.catalogue import read_catalogue
from licensing.catalogue import Catalogue, Row
from licensing.codes import Refusal
from licensing.licence_type import LicenceType
from runtime.config import ConfigError, ConfigErrors, ConfigModel, FieldError, parse, text_of

MAX_BYTES = 1_048_576
COLUMNS = ["type", "price"]
TWICE = "this type stands here twice; a type has one price"

_MONEY = re.compile(r"[0-9]{1,9}(\.[0-9]{1,2})?")


class Price(ConfigModel):
    """The price of one unit, as text so that no cent is lost: "45.00"."""

    type: str
    price: str

    @model_validator(mode="after")
    def _is_right(self) -> "Price":
        for at, wrong in _faults(self.type, self.price):
            raise FieldError(wrong, at)
        return self

    @property
    def kind(self) -> LicenceType:
        """The type that it names."""
        kind = LicenceType.parse(self.type)
        assert isinstance(kind, LicenceType), "checked when it was read"
        return kind

    @property
    def cents(self) -> int:
        """The price in cents."""
        whole, _, part = self.price.partition(".")
        return int(whole) * 100 + int(part.ljust(2, "0"))


class Prices(ConfigModel):
    """All prices, in one currency."""

    currency: Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")] = "EUR"
    prices: Annotated[tuple[Price, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _types_are_single(self) -> "Prices":
        for number in _repeated(self.prices):
            raise FieldError(TWICE, "prices", number, "type")
        return self

    def of_pool(self, catalogue: Catalogue, pool: str, software: int) -> dict[int, tuple[str, int]]:
        """Type and price of what feeds this pool at this software, by volume tier; the cheapest of each."""
        found: dict[int, tuple[str, int]] = {}
        for price in sorted(self.prices, key=lambda price: -price.cents):
            row = catalogue.row_of(price.kind)
            fits = isinstance(row, Row) and row.pool == pool and not row.cap and not row.converts
            if isinstance(row, Row) and fits and (price.kind.version or software) >= software:
                found[row.tier] = (price.type, price.cents)
        return found


def read(path: Path) -> Prices:
    """The prices in this file; ConfigErrors names every line and column that does not fit."""
    try:
        text = text_of(str(path), path.read_bytes(), MAX_BYTES)
    except OSError as error:
        raise ConfigErrors([ConfigError(str(path), 1, 1, "", f"cannot be read: {error.strerror}")]) from error
    return _csv(str(path), text) if path.suffix.lower() == ".csv" else parse(text, str(path), Prices)


def _faults(type_: str, price: str) -> Iterator[tuple[str, str]]:
    """What is wrong with a row: the field, and what would be right."""
    kind = LicenceType.parse(type_)
    known = kind if isinstance(kind, Refusal) else _catalogue().row_of(kind)
    if isinstance(known, Refusal):
        yield "type", f"{known.detail}. {known.hint}"
    if not _MONEY.fullmatch(price):
        yield "price", f'expected an amount such as "45.00", found "{price}"'


@cache
def _catalogue() -> Catalogue:
    return read_catalogue()


def _repeated(prices: Sequence[Price]) -> list[int]:
    """The rows whose type an earlier one has."""
    kinds = [price.kind for price in prices]
    return [number for number, kind in enumerate(kinds) if kind in kinds[:number]]


def _csv(name: str, text: str) -> Prices:
    """Lines of `type,price` (or `;`): the currency is EUR, and no cell needs quotes."""
    delimiter = ";" if ";" in text.partition("\n")[0] else ","
    lines = [(number, line) for number, line in enumerate(text.splitlines(), start=1) if line.strip()]
    if not lines or [cell.strip() for cell in lines[0][1].split(delimiter)] != COLUMNS:
        raise ConfigErrors([ConfigError(name, 1, 1, "", f"the columns are {','.join(COLUMNS)}")])
    errors: list[ConfigError] = []
    prices: list[Price] = []
    for number, line in lines[1:]:
        type_, _, price = line.partition(delimiter)
        columns = {"type": 1, "price": len(type_) + 2}
        faults = list(_faults(type_.strip(), price.strip()))
        if not faults:
            prices.append(Price(type=type_.strip(), price=price.strip()))
            faults = [("type", TWICE)] if _repeated(prices) else []
        errors += [ConfigError(name, number, columns[at], at, wrong) for at, wrong in faults]
    if errors or not prices:
        raise ConfigErrors(errors or [ConfigError(name, 1, 1, "", "no prices below the head")])
    return Prices(prices=tuple(prices))
