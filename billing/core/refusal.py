"""A no of billing: an answer with a code, never an exception."""

from dataclasses import dataclass
from enum import StrEnum


class Code(StrEnum):
    """Why something is refused; the rule stands behind each."""

    ENTITY_OPTION_MISSING = "entity_option_missing"
    """B.r24: by_entity, per_entity and mixed belong to the paid entity option."""
    ACCOUNT_WITHOUT_ENTITY = "account_without_entity"
    """B.r24: who pays for it, when every entity has its own invoice?"""
    NO_ENTITY = "no_entity"
    """Something that all entities share, and there is none."""
    ONE_NUMBER_ONLY = "one_number_only"
    """Seed 002: FLAT Business is for lines with a single number."""
    CHANNELS_FIXED = "channels_fixed"
    """Seed 002: the channels of FLAT Business come with the offer."""
    BACK_OFFICE_ONLY = "back_office_only"
    """Seed 002: a line leaves FLAT Business by the back office."""


@dataclass(frozen=True, slots=True)
class Refused:
    """What was refused, and why, for whoever asked."""

    code: Code
    why: str
