"""The values of a case file: amounts, days, instants, and those that change on a day.

Each is a field type: what is wrong is told at its place, with what would be right.
"""

import datetime
import re
from itertools import pairwise
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, StringConstraints, Tag

from billing.core import money
from billing.core.offer import Actor
from billing.edges import instants
from runtime.config import ConfigModel
from runtime.yaml_values import Misread

_NUMBER: Final = re.compile(r"\+[1-9][0-9]{3,14}", re.ASCII)
_MONTH: Final = re.compile("20[0-9]{2}-(0[1-9]|1[0-2])", re.ASCII)


def _shown(value: object) -> str:
    """What was found, as it stands in the file."""
    if isinstance(value, Misread):
        return f"{value.raw} without quotes"
    return f'"{value}"' if isinstance(value, str) else str(value)


def _hundredths(value: object) -> int | None:
    if not isinstance(value, str | int) or isinstance(value, bool):
        return None
    found = money.read(str(value), money.CENT_PLACES)
    return found if found is not None and found >= 0 else None


def _cents(value: object) -> object:
    found = _hundredths(value)
    if found is None:
        right = 'an amount in quotes with at most 2 places, such as "12.00"'
        raise ValueError(f"expected {right}, found {_shown(value)}")
    return found


def _rate(value: object) -> object:
    found = _hundredths(value)
    if found is None or found > 10_000:
        raise ValueError(f'expected a VAT rate in percent, such as 20 or "5.5", found {_shown(value)}')
    return found


def _seconds(value: object) -> object:
    """Whole seconds; a fraction rounds up (B.r6)."""
    found = money.read(str(value), money.MICRO_PLACES) if isinstance(value, str | int) else None
    if found is None or isinstance(value, bool) or found < 0:
        raise ValueError(f'expected seconds, such as 125 or "124.2", found {_shown(value)}')
    return -(-found // 10**money.MICRO_PLACES)


def _day(value: object) -> object:
    try:
        return datetime.date.fromisoformat(str(value))
    except ValueError:
        raise ValueError(f"expected a day such as 2026-10-16, found {_shown(value)}") from None


def _instant(value: object) -> object:
    found = instants.read(value) if isinstance(value, str) else None
    if found is None:
        right = 'an instant in quotes with its offset, such as "2026-10-21T10:00:00Z"'
        raise ValueError(f"expected {right}, found {_shown(value)}")
    return found


def _day_or_instant(value: object) -> object:
    return _instant(value) if isinstance(value, str) and "T" in value else _day(value)


def _period(value: object) -> object:
    if not isinstance(value, str) or not _MONTH.fullmatch(value):
        raise ValueError(f'expected a month in quotes such as "2026-10", found {_shown(value)}')
    return int(value.replace("-", ""))


def _zone(value: str) -> str:
    if instants.zone(value) is None:
        raise ValueError(f'"{value}" is no time zone of this system; expected one such as Europe/Paris')
    return value


def _number(value: str) -> str:
    if not _NUMBER.fullmatch(value):
        raise ValueError(f'expected a number in full such as "+33142000001", found "{value}"')
    return value


def _pattern(value: str) -> str:
    try:
        re.compile(value, re.ASCII)
    except re.error as error:
        raise ValueError(f"no regular expression: {error}") from None
    return value


Cents = Annotated[int, BeforeValidator(_cents, json_schema_input_type=str | int)]
Rate = Annotated[int, BeforeValidator(_rate, json_schema_input_type=str | int)]
Seconds = Annotated[int, BeforeValidator(_seconds, json_schema_input_type=str | int)]
Day = Annotated[datetime.date, BeforeValidator(_day, json_schema_input_type=datetime.date)]
Instant = Annotated[int, BeforeValidator(_instant, json_schema_input_type=datetime.datetime)]
Moment = Annotated[
    datetime.date | int,
    BeforeValidator(_day_or_instant, json_schema_input_type=datetime.date | datetime.datetime),
]
Month = Annotated[int, BeforeValidator(_period, json_schema_input_type=str)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=200)]
PhoneNumber = Annotated[str, AfterValidator(_number)]
Zone = Annotated[str, AfterValidator(_zone)]
Pattern = Annotated[str, AfterValidator(_pattern)]
Weight = Annotated[int, Field(ge=0, le=1_000_000)]


class PriceChange(ConfigModel):
    """A price, and the day from which it counts; the first has none."""

    from_: Annotated[Day | None, Field(alias="from")] = None
    value: Cents


class EntityChange(ConfigModel):
    """An entity, and the day from which an account belongs to it."""

    from_: Annotated[Day | None, Field(alias="from")] = None
    value: str


class OfferChange(ConfigModel):
    """An offer, the day from which a line has it, and who changed it."""

    from_: Annotated[Day | None, Field(alias="from")] = None
    value: Name
    by: Literal["partner", "back_office"] = Actor.BACK_OFFICE.value


def _in_order(value: object) -> object:
    """The first change counts from ever, each other one from a later day."""
    if isinstance(value, tuple):
        days = [change.from_ for change in value]
        if not days or days[0] is not None or None in days[1:]:
            raise ValueError("the first entry has no `from`, every other one has")
        if any(one >= other for one, other in pairwise(days[1:])):
            raise ValueError("the days are not in order, each later than the one before")
    return value


ONE_OR_LIST = Discriminator(lambda value: "list" if isinstance(value, list | tuple) else "one")
"""Which of two forms is meant, so that only its errors are told."""

Price = Annotated[
    Annotated[Cents, Tag("one")] | Annotated[tuple[PriceChange, ...], Tag("list")],
    ONE_OR_LIST,
    AfterValidator(_in_order),
]
Entity = Annotated[
    Annotated[str, Tag("one")] | Annotated[tuple[EntityChange, ...], Tag("list")],
    ONE_OR_LIST,
    AfterValidator(_in_order),
]
OfferName = Annotated[
    Annotated[Name, Tag("one")] | Annotated[tuple[OfferChange, ...], Tag("list")],
    ONE_OR_LIST,
    AfterValidator(_in_order),
]
