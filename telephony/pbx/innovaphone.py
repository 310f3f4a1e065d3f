"""What an innovaphone PBX says by its AppWebsocket: who is registered with what hardware, its licences.

From the vendor's documentation (sdk.innovaphone.com, appwebsocket: PbxAdminApi, PbxTableUsers, Replication)
and its samples; no PBX was there to try (pbx-integrations, section 5).
"""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from telephony.pbx.picture import Contact

# The columns of PbxTableUsers that we ask for.
COLUMNS: Final = ("guid", "h323", "e164", "cn")


class Listed(NamedTuple):
    """An object of the PBX: what it is asked for by, and its AOR (its name, else its number, else its cn)."""

    guid: str
    aor: str


class Counter(NamedTuple):
    """A row of the PBX's own licences: installed, of them at this PBX and its slaves, and in use."""

    name: str
    version: str
    installed: int
    local: int
    slaves: int
    used: int


def login_digest(app: str, challenge: str, password: str) -> str:
    """What an App shows instead of its password, with no user and no info: `app:::::challenge:password`."""
    return hashlib.sha256(f"{app}:::::{challenge}:{password}".encode()).hexdigest()


def listed(columns: Mapping[str, object]) -> Listed | None:
    """An object of a row; None for one without a guid or any name, which cannot register."""
    guid, *names = (columns.get(name) for name in COLUMNS)
    aor = next((name for name in names if isinstance(name, str) and name), "")
    return Listed(guid, aor) if isinstance(guid, str) and guid and aor else None


def contacts(aor: str, regs: Iterable[Mapping[str, object]]) -> list[Contact]:
    """The registrations of an object: `hw` is a MAC or any configured text, and proves nothing."""
    return [Contact(aor, f"{reg.get('hw', '')}@{reg.get('addr', '')}") for reg in regs]


def counter(row: Mapping[str, object]) -> Counter | None:
    """A row of GetPbxLicenses, whose numbers are text; None for what is none."""
    name, version = row.get("name"), row.get("version", "")
    if not isinstance(name, str) or not name:
        return None
    installed, local, slaves, used = (_number(row.get(key)) for key in ("count", "local", "slaves", "used"))
    return Counter(name, str(version), installed, local, slaves, used)


def _number(text: object) -> int:
    """What the PBX leaves out is 0."""
    return int(text) if isinstance(text, int | str) and str(text).isdecimal() else 0
