"""An entitlement: installed units of one licence type at one place."""

from typing import Final

import msgspec

from licensing.installation import UNASSIGNED
from licensing.terms.rental import Rental

ANY_SOFTWARE: Final = 999
"""The release of units that are never compared with software: hardware (1.3, L.r4)."""


class Entitlement(msgspec.Struct, frozen=True, omit_defaults=True):
    """Installed units as the ledger keeps them; the catalogue was asked once, when they were installed.

    `number` is the ledger position of their installation, `type` canonical, `spelling` as it was written,
    `pool` None for units that feed no pool (PBX-Port13$$, quarantined ones), `release` None for hardware,
    `tier` N of %N else 0, `cap` N of $N else 0, `document` the id of the file that brought them, `project`
    as on the vendor's portal, for people (1.1), `rental` what rented units cost (8.4).
    """

    number: int
    type: str
    count: int
    spelling: str = ""
    place: str = ""
    mac: str = ""
    pool: str | None = None
    release: int | None = None
    tier: int = 0
    cap: int = 0
    document: str = ""
    project: str = ""
    rental: Rental | None = None

    @property
    def hardware(self) -> bool:
        """A Relay licence: bound to its box, without a version (1.4)."""
        return self.type.startswith("Relay-")

    @property
    def unassigned(self) -> bool:
        """They lie at no PBX yet, so they count for nothing (8.2)."""
        return self.place == UNASSIGNED

    @property
    def quarantined(self) -> bool:
        """Software without a version counts for nothing (L.r2)."""
        return not self.hardware and self.release is None

    @property
    def serves(self) -> int:
        """The highest software release these units serve."""
        return ANY_SOFTWARE if self.release is None else self.release

    def without(self, units: int) -> "Entitlement | None":
        """What is left when so many units leave; None: nothing."""
        return msgspec.structs.replace(self, count=self.count - units) if units < self.count else None
