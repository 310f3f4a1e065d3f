"""A scenario as people write it: YAML (or JSON) to the values of licensing.scenario, or all errors at once.

The forms of the steps are made from their classes in licensing.scenario.scenario, so there is no second list.
"""

import datetime
from collections.abc import Mapping
from dataclasses import MISSING, fields
from difflib import get_close_matches
from functools import cached_property, reduce
from operator import or_
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Protocol, TypeVar, Union, get_args, get_origin, get_type_hints

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    Discriminator,
    Field,
    GetCoreSchemaHandler,
    StringConstraints,
    Tag,
    ValidationInfo,
    create_model,
    model_validator,
)
from pydantic_core import CoreSchema, core_schema

from licence_master.catalogue import read_catalogue
from licence_master.config import PbxFields, check_pbxs, refuse_twice
from licence_master.edges.rows import MAX_COUNT
from licence_master.service import configured
from licensing import offers
from licensing.codes import Refusal
from licensing.files.inventory import Item
from licensing.installation import Settings
from licensing.named.kinds import OBJECT_KINDS
from licensing.scenario import scenario as domain
from licensing.scenario.scenario import (
    STEPS,
    Day,
    Join,
    Leave,
    Login,
    Logout,
    Member,
    Monitor,
    ObjectName,
    PbxName,
    Scenario,
    Step,
    Units,
    Unmonitor,
)
from licensing.terms import day
from runtime import config
from runtime.config import ConfigModel, FieldError
from runtime.yaml_values import Misread, describe

EXTERNAL_VIDEOPHONE = "external_videophone"
"""5.1: the use of a video licence that needs no Phone App."""


class _Row(Protocol):
    @property
    def name(self) -> str: ...


R = TypeVar("R", bound=_Row)


def _day(value: object) -> object:
    """A date, plain or quoted, as the day it is."""
    found = day.parse(str(value)) if isinstance(value, str | datetime.date) else None
    if found is None:
        raw = value.raw if isinstance(value, Misread) else str(value)
        raise ValueError(f"expected a date such as 2027-01-31, found {describe(value, raw)}")
    return found


DayField = Annotated[int, BeforeValidator(_day, json_schema_input_type=datetime.date)]
Release = Annotated[int, Field(ge=1, le=99)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=512)]
Kind = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z_]{0,62}$")]

_KINDS: Mapping[object, tuple[str, ...]] = {
    **dict.fromkeys((Join, Leave), ("conference",)),
    **dict.fromkeys((Monitor, Unmonitor), ("waiting_queue", "group")),
}
_HINTS = {step: get_type_hints(step) for step in STEPS.values()}
_FORMS: Mapping[object, object] = {
    Day: DayField,
    domain.Release: Release,
    domain.Licence: str,
    ObjectName: str,
    PbxName: str,
}
_MODES: Mapping[object, str] = {
    **dict.fromkeys((Join, Leave), offers.PER_CALL),
    **dict.fromkeys((Login, Logout), offers.PER_LOGIN),
    **dict.fromkeys((Monitor, Unmonitor), offers.PER_QUEUE),
}


def _form(step: type[Step]) -> type[ConfigModel]:
    """One step as it is written: its fields, strict as all configuration."""
    written: dict[str, Any] = {
        f"{field.name}_": (
            _written(hint),
            Field(... if field.default is MISSING else field.default, alias=field.name),
        )
        for field, hint in zip(fields(step), _HINTS[step].values(), strict=True)
    }
    return create_model(step.__name__, __base__=ConfigModel, __doc__=step.__doc__, **written)


def _written(hint: Any) -> Any:
    if isinstance(hint, UnionType) or get_origin(hint) is Union:
        return _written(next(each for each in get_args(hint) if each is not NoneType)) | None
    return _FORMS.get(hint, hint)


def _verb(value: object) -> str | None:
    """Which step this is: the first name of a step among its keys."""
    return next((name for name in STEPS if name in value), None) if isinstance(value, Mapping) else None


def _one_step(value: object) -> object:
    """FieldError for two steps in one, and for a name that is nearly one of a step."""
    if not isinstance(value, Mapping):
        return value
    first = _verb(value)
    if first is None:
        for key in value:
            for near in get_close_matches(str(key), STEPS, 1):
                raise FieldError(f'unknown step; did you mean "{near}"?', key)
        return value
    own = _HINTS[STEPS[first]]
    for other in STEPS:
        if other in value and other not in own:
            raise FieldError(f"a second step beside {first}; write it as a step of its own", other)
    return value


def _step(written: BaseModel) -> Step:
    """The step that was written: its fields come in the order of the class."""
    values = dict(written)
    return STEPS[next(iter(values)).removesuffix("_")](*values.values())


class _AnyStep:
    """A step as keys and values, one of which names it."""

    def __get_pydantic_core_schema__(self, _source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        forms: list[Any] = [Annotated[_form(step), Tag(name)] for name, step in STEPS.items()]
        which = Discriminator(
            _verb,
            custom_error_type="no_step",
            custom_error_message=f"expected a step: {', '.join(STEPS)}",
        )
        union = handler.generate_schema(Annotated[reduce(or_, forms), which])
        step = core_schema.no_info_after_validator_function(_step, union)
        return core_schema.no_info_before_validator_function(_one_step, step)


class Rows(tuple[R, ...]):
    """Rows that have names."""

    @cached_property
    def names(self) -> Mapping[str, R]:
        """Each by its name."""
        return {row.name: row for row in self}


def _known(step: Step, info: ValidationInfo) -> Step:
    """A step names objects, PBXs and licences that there are."""
    for name, hint in _HINTS[type(step)].items():
        if hint is ObjectName:
            _check_name(info, "objects", getattr(step, name), name)
            _check_kind(info, step, getattr(step, name), name)
        elif hint is PbxName and getattr(step, name):
            _check_name(info, "pbxs", getattr(step, name), name)
        elif hint is domain.Licence:
            _check_licence(_MODES[type(step)], getattr(step, name), name)
    return step


def _check_licence(mode: str, value: str, field: str) -> None:
    """FieldError for a licence that the catalogue has not, or has in another mode."""
    found = offers.chosen(offers.offered(read_catalogue().lent), mode, value)
    if isinstance(found, Refusal):
        raise FieldError(found.detail, field)


def _check_kind(info: ValidationInfo, step: Step, value: str, field: str) -> None:
    """FieldError for a step that its object is not for: legs join rooms, clients watch queues (3.5, 7.2)."""
    wanted = _KINDS.get(type(step))
    if wanted and "objects" in info.data and (kind := info.data["objects"].names[value].kind) not in wanted:
        raise FieldError(f"expected an object of kind {' or '.join(wanted)}, found the {kind} {value}", field)


def _placed(each: "ObjectFields", info: ValidationInfo) -> "ObjectFields":
    """An object belongs to a PBX that there is, and its kind is not nearly one of 3.1."""
    pbxs = info.data.get("pbxs", Rows(())).names
    if each.pbx:
        _check_name(info, "pbxs", each.pbx, "pbx")
    elif len(pbxs) > 1:
        raise FieldError(f"missing; one of {', '.join(pbxs)}", "pbx")
    near = get_close_matches(each.kind, OBJECT_KINDS, 1, 0.8)
    if near and each.kind not in OBJECT_KINDS:
        raise FieldError(f'expected a kind of object, found "{each.kind}"; did you mean {near[0]}?', "kind")
    return each


def _check_name(info: ValidationInfo, rows: str, value: str, field: str) -> None:
    """FieldError at a field for a name that those rows have not; where they are wrong themselves, nothing."""
    if rows in info.data and value not in info.data[rows].names:
        near = get_close_matches(value, info.data[rows].names, 1)
        what = f'"{value}" is none of {rows}' + (f"; did you mean {near[0]}?" if near else "")
        raise FieldError(what, field)


class InstallationFields(ConfigModel):
    """What decides how licences count; `software` is that of every PBX that names none."""

    software: Release = 13
    mixed_versions: Literal["strict", "lenient"] = "strict"
    ipva_binding: Literal["holder", "consumer"] = "holder"


class LicenceFields(ConfigModel):
    """Licences to begin with, on the master or at `place`; rented ones end after the day `until`."""

    type: str
    count: Annotated[int, Field(ge=1, le=MAX_COUNT)]
    place: str | None = None
    mac: str | None = None
    until: DayField | None = None


class ObjectFields(ConfigModel):
    """A PBX object; `pbx` may be left out where there is one PBX only."""

    name: Name
    kind: Kind = "user"
    pbx: str = ""
    external_videophone: bool = False
    prefer: Literal["central", "local"] = "central"


class ScenarioFile(ConfigModel):
    """An installation, its licences and objects, and the steps that are tried on it in order."""

    installation: InstallationFields = InstallationFields()
    pbxs: Annotated[tuple[PbxFields, ...], Field(min_length=1), AfterValidator(Rows)]
    licences: tuple[LicenceFields, ...] = ()
    objects: Annotated[
        tuple[Annotated[ObjectFields, AfterValidator(_placed)], ...], AfterValidator(Rows)
    ] = ()
    steps: tuple[Annotated[Step, _AnyStep(), AfterValidator(_known)], ...] = ()

    @model_validator(mode="after")
    def _names_fit(self) -> "ScenarioFile":
        check_pbxs(self.pbxs)
        refuse_twice("objects", [each.name for each in self.objects])
        return self

    @property
    def scenario(self) -> Scenario:
        """The values that are played."""
        settings = self.installation
        return Scenario(
            settings=Settings(settings.software, settings.mixed_versions, settings.ipva_binding),
            pbxs=tuple(configured.pbx(pbx) for pbx in self.pbxs),
            licences=tuple(
                Units(
                    Item(row.type, row.count, row.place, row.mac),
                    None if row.until is None else Day(row.until),
                )
                for row in self.licences
            ),
            members=tuple(self._member(each) for each in self.objects),
            steps=self.steps,
        )

    def _member(self, each: ObjectFields) -> Member:
        uses = (EXTERNAL_VIDEOPHONE,) if each.external_videophone else ()
        pbx = PbxName(each.pbx or self.pbxs[0].name)
        return Member(ObjectName(each.name), each.kind, pbx, uses, each.prefer == "local")


def read(path: Path) -> Scenario:
    """The scenario of a file; ConfigErrors with everything that is wrong with it."""
    return config.load(path, ScenarioFile).scenario


def told(step: Step) -> str:
    """A step as it stands in the file, without its braces: `register u1, device dect`."""
    values = {each.name: getattr(step, each.name) for each in fields(step)}
    usual = {each.name: each.default for each in fields(step)}
    values |= {
        name: day.shown(values[name]) for name in ("set_time", "until") if values.get(name) is not None
    }
    return ", ".join(f"{name} {value}" for name, value in values.items() if value != usual[name])


def schema() -> dict[str, object]:
    """Its JSON Schema, for editors."""
    return config.schema(ScenarioFile)
