"""Configuration: a YAML file to a frozen model, or every error at once with file, line, column and path.

Source: contract.md "Configuration", reliability.md section 8. The schema decides the type: a plain scalar
is a text only where YAML 1.1 reads a text too.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError, ValidationInfo
from pydantic_core import ErrorDetails

from runtime import credentials
from runtime.config_wording import field_names, resembling, wording
from runtime.yaml_values import Key, Location, Misread, Place, Problem, UnreadableError, read

M = TypeVar("M", bound="ConfigModel")
Trail = tuple[tuple[Key, Place, Place], ...]  # key or index, place of the key, place of the value


class ConfigModel(BaseModel):
    """Base of all configuration: frozen, strict, unknown keys refused. A list is a `tuple[X, ...]`.

    A validator says no by ValueError, whose text is shown as it is at the place of its field; a validator
    of a whole model raises FieldError to name a place below.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, ser_json_inf_nan="strings")


class FieldError(ValueError):
    """A ValueError of a model validator about a place below it: `FieldError(text, "pbxs", 1, "name")`."""

    def __init__(self, message: str, *at: Key) -> None:
        super().__init__(message)
        self.at = at


def _from_file(value: object, info: ValidationInfo) -> object:
    if not isinstance(value, str):
        return value
    secret = credentials.named(value)
    if secret is not None:
        return secret
    directory = (info.context or {}).get("directory", Path())
    return Path(directory) / Path(value).expanduser()


ConfigPath = Annotated[Path, BeforeValidator(_from_file, json_schema_input_type=str)]
"""A path that counts from the directory of the configuration file, or `credential:NAME` of the service."""


@dataclass(frozen=True, slots=True)
class ConfigError:
    """One error; line and column count from 1, `path` is as in `pools[0].total`, empty for the whole file."""

    file: str
    line: int
    column: int
    path: str
    message: str

    def __str__(self) -> str:
        return self.aligned(0)

    def aligned(self, width: int) -> str:
        """The error as one line, its place filled up to this width."""
        place = f"{self.file}:{self.line}:{self.column}:"
        path = f"{self.path}: " if self.path else ""
        return f"{place:<{width}} {path}{self.message}"


class ConfigErrors(Exception):  # noqa: N818 - one exception, many errors
    """All errors of a file in order of line."""

    def __init__(self, errors: list[ConfigError]) -> None:
        self.errors = sorted(errors, key=lambda error: (error.line, error.column))
        super().__init__(self.errors)

    def __str__(self) -> str:
        width = max(len(f"{e.file}:{e.line}:{e.column}:") for e in self.errors)
        return "\n".join(error.aligned(width) for error in self.errors)

    def report(self, outcome: str) -> str:
        """All errors, then their count and what follows, such as "nothing was started"."""
        count = len(self.errors)
        return f"{self}\n{count} error{'s' if count != 1 else ''}; {outcome}"


def checks_files(info: ValidationInfo) -> bool:
    """Whether a validator looks into the files that are named too: a command that needs them not, may not."""
    return bool((info.context or {}).get("files"))


def load(path: Path, model: type[M], *, files: bool = False) -> M:
    """Read the file; ConfigErrors also when it cannot be read, with `files` also of files that it names."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigErrors([_of_file(str(path), 1, 1, f"cannot be read: {error.strerror}")]) from error
    text = text_of(str(path), content)
    return parse(text, str(path), model, files=files)


def parse(text: str, file: str, model: type[M], *, files: bool = False) -> M:
    """The model that the text describes; `file` names it in errors and is what relative paths count from."""
    try:
        root, problems = read(text)
    except UnreadableError as error:
        raise ConfigErrors([_of_file(file, error.line, error.column, error.message)]) from error
    try:
        result = model.model_validate(root.value, context={"directory": Path(file).parent, "files": files})
    except ValidationError as error:
        problems += _problems(root, error.errors(include_url=False), problems, model)
    else:
        problems += _unnoticed(root, (), problems)
        if not problems:
            return result
    raise ConfigErrors(
        [ConfigError(file, p.line, p.column, path_of(p.location), p.message) for p in problems]
    )


def text_of(file: str, content: bytes, most_bytes: int | None = None) -> str:
    """The UTF-8 text of a whole file, with or without a byte order mark; ConfigErrors name the place."""
    if most_bytes is not None and len(content) > most_bytes:
        raise ConfigErrors([_of_file(file, 1, 1, f"larger than {most_bytes} bytes; split the file")])
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = content[: error.start]
        line, column = before.count(b"\n") + 1, error.start - (before.rfind(b"\n") + 1) + 1
        raise ConfigErrors([_of_file(file, line, column, "not UTF-8; save it as UTF-8")]) from error


def schema(model: type[BaseModel]) -> dict[str, object]:
    """The JSON Schema of a model, for editors."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **model.model_json_schema()}


def _of_file(file: str, line: int, column: int, message: str) -> ConfigError:
    return ConfigError(file, line, column, "", message)


def _problems(
    root: Place, details: Iterable[ErrorDetails], known: list[Problem], model: type[BaseModel]
) -> list[Problem]:
    """The model's errors at their places, without those that a known problem explains."""
    explained = [problem.location for problem in known if problem.of_value]
    merged: dict[tuple[Location, bool], list[ErrorDetails]] = {}
    details = list(details)
    for detail in details:
        if detail["type"] == "too_short" and _has_faults_inside(detail, details):
            continue  # pydantic does not count an item with an error
        location, _, on_key = _locate(root, detail)
        if on_key or not any(location[: len(above)] == above for above in explained):
            merged.setdefault((location, on_key), []).append(detail)
    found: list[Problem] = []
    for (location, on_key), group in merged.items():
        _, place, _ = _locate(root, group[0])
        names = field_names(model, location[:-1]) if group[0]["type"] == "extra_forbidden" else frozenset()
        found.append(Problem(place.line, place.column, location, wording(group, place, on_key, names)))
    return [problem for problem in found if not _misspelt(problem, found, root, model)]


def _has_faults_inside(outer: ErrorDetails, details: Iterable[ErrorDetails]) -> bool:
    depth = len(outer["loc"])
    return any(len(inner["loc"]) > depth and inner["loc"][:depth] == outer["loc"] for inner in details)


def _misspelt(problem: Problem, found: list[Problem], root: Place, model: type[BaseModel]) -> bool:
    """Is this a missing key that the "did you mean" of an unknown key beside it explains already?"""
    if not problem.message.startswith("missing"):
        return False
    parent, name = problem.location[:-1], str(problem.location[-1])
    beside = [p for p in found if p.location[:-1] == parent and p.message.startswith("unknown key")]
    names = field_names(model, parent)
    return any(resembling(str(p.location[-1]), names) == name for p in beside)


def _locate(root: Place, detail: ErrorDetails) -> tuple[Location, Place, bool]:
    """The location of an error without pydantic's own labels, its place, and whether the key is meant."""
    steps = detail["loc"]
    trail = max(_trails(root, steps), key=lambda t: (bool(t) and t[-1][2].value is detail["input"], len(t)))
    error = detail.get("ctx", {}).get("error")
    if isinstance(error, FieldError):
        trail += max(_trails(trail[-1][2] if trail else root, error.at), key=len)
    location = tuple(key for key, _, _ in trail)
    _, key_place, place = trail[-1] if trail else ("", root, root)
    if detail["type"] == "extra_forbidden" or (steps and steps[-1] == "[key]"):
        return location, key_place, True
    if detail["type"] == "missing":
        return (*location, steps[-1]), place, False
    return location, place, False


def _trails(place: Place, steps: Location) -> Iterator[Trail]:
    """Every way to read the steps as a path: pydantic mixes labels of union members into its locations."""
    if not steps:
        yield ()
        return
    step, rest = steps[0], steps[1:]
    if step in place.items:
        child = place.items[step]
        for trail in _trails(child, rest):
            yield ((step, place.keys.get(step, child), child), *trail)
    yield from _trails(place, rest)


def _unnoticed(place: Place, location: Location, known: list[Problem]) -> list[Problem]:
    """Misread scalars that a model let through (a field of any type): they are errors everywhere."""
    if isinstance(place.value, Misread):
        if any(problem.location == location for problem in known if problem.of_value):
            return []
        message = f'{place.raw} is {place.value.reading} to YAML; write "{place.raw}"'
        return [Problem(place.line, place.column, location, message)]
    return [p for key, item in place.items.items() for p in _unnoticed(item, (*location, key), known)]


def path_of(location: Location) -> str:
    """`pools[0].total`; a key that is no plain word stands in brackets and quotes."""
    path = ""
    for step in location:
        if isinstance(step, int):
            path += f"[{step}]"
        elif step.replace("_", "").replace("-", "").isalnum():
            path += f".{step}" if path else step
        else:
            path += f'["{step}"]'
    return path
