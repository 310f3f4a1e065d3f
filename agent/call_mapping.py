"""The file of a mapping for call records of a PBX that we do not know (docs/call-records.md)."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, ValidationError, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from runtime import zones
from runtime.config import ConfigModel, load
from telephony.cdr import time_format
from telephony.cdr.mapping import Fault, Form, Mapping, faults
from telephony.cdr.tables import MAX_COLUMNS
from telephony.cdr.times import Zone


def _zone(name: str) -> str:
    if zones.named(name) is None:
        raise ValueError(
            f'no time zone "{name}" here; expected a name such as Europe/Paris or UTC (Debian: tzdata)'
        )
    return name


def _time(text: str) -> str:
    read = time_format.parse(text)
    if not isinstance(read, time_format.TimeFormat):
        raise ValueError(read)  # noqa: TRY004 - what pydantic shows
    return text


ZoneName = Annotated[str, AfterValidator(_zone)]
"""The name of a time zone that the system knows."""


def _detail(fault: Fault) -> InitErrorDetails:
    error = PydanticCustomError("value_error", "{error}", {"error": fault.message})
    return InitErrorDetails(type=error, loc=fault.at, input=None)


Text = Annotated[str, Field(min_length=1, max_length=200)]


class CallMapping(ConfigModel):
    """Columns of a CSV or keys of a JSON record, and which of them is which field of a call record."""

    format: Literal["csv", "json"]
    separator: Annotated[str, Field(min_length=1, max_length=1)] = ","
    columns: tuple[Text, ...] | None = Field(default=None, min_length=1, max_length=MAX_COLUMNS)
    zone: ZoneName = "UTC"
    time: Annotated[str, AfterValidator(_time)]
    fields: dict[str, Text]
    values: dict[str, dict[str, str]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _is_whole(self) -> "CallMapping":
        if found := faults(self.mapping):
            raise ValidationError.from_exception_data("mapping", [_detail(fault) for fault in found])
        return self

    @property
    def mapping(self) -> Mapping:
        """The same for the parser."""
        read = time_format.parse(self.time)
        assert not isinstance(read, str)
        return Mapping(Form(self.format), self.fields, read, self.columns, self.separator, self.values)

    @property
    def local(self) -> Zone:
        """The zone of times that name none."""
        zone = zones.named(self.zone)
        assert zone is not None
        return zone


def read(path: Path) -> CallMapping:
    """The mapping of this file; ConfigErrors with file, line and what would be right."""
    return load(path, CallMapping)
