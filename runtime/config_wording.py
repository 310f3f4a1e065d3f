"""The words of configuration errors: what was expected, what was found, what to write.

Source: the table and the example of reliability.md section 8.
"""

import difflib
import re
import types
from collections.abc import Callable, Sequence
from dataclasses import fields, is_dataclass
from typing import Annotated, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from runtime.yaml_values import Location, Misread, Place, describe

_SECRET = re.compile(r"secret|password|token|passphrase", re.IGNORECASE)
_EXPECTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "bool_type": "true or false",
    "list_type": "a list",
    "tuple_type": "a list",
    "dict_type": "keys and values",
    "model_type": "keys and values",
    "model_attributes_type": "keys and values",
    "date_type": "a date",
    "path_type": "a path as text",
    "decimal_type": "a decimal in quotes",
    "is_instance_of": "a decimal in quotes",
    "none_required": "nothing",
}
_BOUNDS = {
    "greater_than_equal": ("at least", "ge"),
    "greater_than": ("more than", "gt"),
    "less_than_equal": ("at most", "le"),
    "less_than": ("less than", "lt"),
}


def wording(errors: Sequence[ErrorDetails], place: Place, on_key: bool, names: frozenset[str]) -> str:
    """One message for the errors of one place: several are the members of a union."""
    first = errors[0]
    kind = first["type"]
    if kind == "missing":
        return "missing; add it"
    if kind == "extra_forbidden":
        key = str(first["loc"][-1])
        near = None if key in names else resembling(key, names)  # another member of a union may have it
        return "unknown key" + (f'; did you mean "{near}"?' if near else "")
    if kind in ("value_error", "assertion_error"):
        return str(first.get("ctx", {}).get("error", first["msg"]))
    found = _found(place, first)
    expected = list(dict.fromkeys(filter(None, (_expected(error) for error in errors))))
    if not expected:
        return f"{_lower(first['msg'].replace('Input should', 'should'))}, found {found}"
    role = " as key" if on_key else ""
    return f"expected {' or '.join(expected)}{role}, found {found}{_advice(errors, place)}"


def resembling(name: str, names: frozenset[str]) -> str | None:
    """The name that was probably meant, or None."""
    near = difflib.get_close_matches(name.lower(), sorted(names), n=1, cutoff=0.6)
    return near[0] if near else None


def field_names(annotation: object, location: Location) -> frozenset[str]:
    """The keys that a model, or a dataclass, knows at this location, through lists, dicts and unions."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return field_names(arguments[0], location)
    if origin in (Union, types.UnionType):
        return frozenset().union(*(field_names(member, location) for member in arguments))
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return _model_names(annotation, location)
    if isinstance(annotation, type) and is_dataclass(annotation):
        return frozenset(field.name for field in fields(annotation)) if not location else frozenset()
    if not location or not arguments:
        return frozenset()
    if origin is tuple and Ellipsis not in arguments:
        index = location[0]
        return field_names(arguments[index], location[1:]) if isinstance(index, int) else frozenset()
    return field_names(arguments[1] if origin is dict else arguments[0], location[1:])


def _model_names(model: type[BaseModel], location: Location) -> frozenset[str]:
    by_name = {field.alias or name: field.annotation for name, field in model.model_fields.items()}
    if not location:
        return frozenset(by_name)
    return field_names(by_name.get(str(location[0])), location[1:])


def _expected(error: ErrorDetails) -> str | None:
    kind, context = error["type"], error.get("ctx", {})
    if kind in ("literal_error", "enum"):
        return str(context["expected"]).replace("'", "")
    if kind in _BOUNDS:
        words, key = _BOUNDS[kind]
        return f"{words} {context[key]}"
    return _EXPECTED.get(kind)


def _found(place: Place, error: ErrorDetails) -> str:
    named = any(isinstance(step, str) and _SECRET.search(step) for step in error["loc"])
    if named and isinstance(place.value, str):
        return "a text"
    return describe(place.value, place.raw)


def _advice(errors: Sequence[ErrorDetails], place: Place) -> str:
    """The end of the message: what to write instead."""
    for error in errors:
        rule = _ADVICE.get(error["type"])
        if advice := rule(place, error) if rule else None:
            return f"; {advice}"
    return ""


def _text_advice(place: Place, _error: ErrorDetails) -> str | None:
    if place.value is None and not place.raw:
        return "write it after the colon"
    return f'write "{place.raw}"' if place.raw else None


def _number_advice(place: Place, _error: ErrorDetails) -> str | None:
    raw = place.raw
    if isinstance(place.value, str) and re.fullmatch(r"-?[0-9]{1,30}", raw):
        return f"write {int(raw)} without quotes"
    if not isinstance(place.value, Misread) or place.value.number is None:
        return None
    octal = re.fullmatch(r"[+-]?0[0-9]+", raw)
    number = place.value.number
    return f"write {int(raw)}, or {number} if octal was meant" if octal else f"write {number}"


def _boolean_advice(place: Place, _error: ErrorDetails) -> str | None:
    if isinstance(place.value, str) and place.raw in ("true", "false"):
        return f"write {place.raw} without quotes"
    if isinstance(place.value, Misread) and place.value.reading in ("true", "false"):
        return f"write {place.value.reading}"
    return None


def _choice_advice(place: Place, error: ErrorDetails) -> str | None:
    choices = frozenset(re.findall(r"'([^']*)'", str(error.get("ctx", {}).get("expected", ""))))
    if place.raw in choices:
        return f'write "{place.raw}"'
    near = resembling(place.raw, choices) if isinstance(place.value, str) else None
    return f'did you mean "{near}"?' if near else None


_ADVICE: dict[str, Callable[[Place, ErrorDetails], str | None]] = {
    "string_type": _text_advice,
    "int_type": _number_advice,
    "bool_type": _boolean_advice,
    "literal_error": _choice_advice,
    "enum": _choice_advice,
}


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]
