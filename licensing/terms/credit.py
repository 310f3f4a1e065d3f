"""Service credits: SSC pay for SSA (8.1), iSC pay rent (8.4); two balances that never mix."""

from typing import Final, Literal

import msgspec

Unit = Literal["ssc", "isc"]

PRINTED: Final[dict[Unit, str]] = {"ssc": "SSC", "isc": "iSC"}
"""The units as they are printed."""


class Booking(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line of the statement: what changed the balance (`amount`, negative: paid) and what it was then."""

    unit: Unit
    day: int
    amount: int
    balance: int
    why: str
    by: str
