"""Who has units of a pool, as it is told, and kept with every denial."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class UnitsView:
    """How many units of a pool a PBX has on record."""

    pbx: str
    pool: str
    units: int
