"""A release of the PBXs' software."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Release:
    """When it was published, and the types that are new in it, each to be licensed."""

    release: int
    day: int
    new: tuple[str, ...] = ()
