"""An installation: its PBXs, the settings that decide how licences count, and the places licences lie at.

Pbx and Settings are part of ledger events and therefore plain structs.
"""

import re
from typing import Final, Literal

import msgspec

from licensing.box.sighting import TOLERATED

MASTER: Final = ""
"""The place of the master's own pools; every other place is the name of a PBX in local mode."""

UNASSIGNED: Final = "-"
"""The place of licences that are bought and assigned to no PBX yet (8.2); no PBX can have this name."""

_MAC = re.compile(r"[0-9a-f]{12}")

MixedVersions = Literal["strict", "lenient"]


class Pbx(msgspec.Struct, frozen=True, omit_defaults=True):
    """One PBX of the configuration; `mac` in normal form, `software` until its agent has reported.

    `reserve` are units of the master's pools, by name, that are kept for it (L.r35). In the states of its MAC
    that it `tolerates` licences bound to it count all the same (L.r36).
    """

    name: str
    role: Literal["master", "slave", "standby"] = "slave"
    platform: Literal["gateway", "ipva"] = "gateway"
    model: str = ""
    mac: str = ""
    software: int | None = None
    standby_for: tuple[str, ...] = ()
    cloud: bool = False
    interfaces: tuple[str, ...] = ()
    reserve: tuple[tuple[str, int], ...] = ()
    tolerates: tuple[str, ...] = TOLERATED

    @property
    def virtual(self) -> bool:
        """Modele de Licence V13r2, 3.3: an IPVA is a PBX on VMware or Hyper-V."""
        return self.platform == "ipva"


class Settings(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the administrator decided for the whole installation (L.r5, L.r6, L.r13)."""

    software: int = 13
    mixed_versions: MixedVersions = "strict"
    ipva_binding: Literal["holder", "consumer"] = "holder"


def normal_mac(text: str) -> str | None:
    """Twelve lower-case hex digits, or None: `00-90-33-01-02-AB` is `0090330102ab` (L.r14)."""
    digits = text.replace(":", "").replace("-", "").replace(".", "").strip().lower()
    return digits if _MAC.fullmatch(digits) else None


def printed_mac(mac: str) -> str:
    """A MAC as people write it: `00-90-33-01-02-ab`."""
    return "-".join(mac[i : i + 2] for i in range(0, len(mac), 2))
