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
    NOT_OVER = "not_over"
    """B.r31: the month, or its days of grace, are not over."""
    NOT_IN_ORDER = "not_in_order"
    """Periods are closed one after the other."""
    SUSPENSE = "suspense"
    """B.r31: calls have no price yet."""
    INVALID_INVOICE = "invalid_invoice"
    """Decision 0045: a validator finds something."""
    CLOSED = "closed"
    """B.r33: a closed period is not rated again."""
    NO_SUCH_LINE = "no_such_line"
    NOTHING_LEFT = "nothing_left"
    """B.r33: credit notes never exceed their invoice."""
    NOT_AN_INVOICE = "not_an_invoice"
    """There is none of that number, or it is a credit note."""


@dataclass(frozen=True, slots=True)
class Refused:
    """What was refused, and why, for whoever asked."""

    code: Code
    why: str
