"""A catalogue of another day: rows of each mode that no code knows, added to those that are shipped."""

import copy
from typing import Any

from licensing.catalogue import Catalogue
from tests.licensing.house import DOCUMENT

ROWS: list[dict[str, Any]] = [
    {"id": "relay-dsp", "pool": "relay-channel", "type": "Relay-DSPs", "class": "hardware", "mode": "bound",
     "demand": "relay_channel"},
    {"id": "guest-port", "mode": "floating_port"},
    {"id": "port-10000", "pool": "port", "type": "PBX-Port{release}%10000", "mode": "floating_port",
     "tier": 10000, "class": "software_basic"},
    {"id": "announcer", "mode": "floating_call"},
    {"id": "attendant", "mode": "floating_login", "version_compared_with": "attendant client"},
    {"id": "kiosk", "mode": "floating_login", "min_pbx_software": 13},
    {"id": "speech", "mode": "floating_paired", "paired_with": ["kiosk"]},
    {"id": "wallboard", "mode": "per_queue", "version_compared_with": "wallboard client",
     "queues_per_client": 3},
    {"id": "dictation", "mode": "per_user", "requires": ["app-phone"]},
    {"id": "archive", "mode": "per_object"},
]  # fmt: skip
"""Bound, per port (a pool of its own, and a tier), per call, per login (the client or the PBX compared),
paired, per queue, per user, per object."""


def document(*rows: dict[str, Any]) -> dict[str, Any]:
    """The shipped catalogue with these rows, and the pools that they name."""
    found: dict[str, Any] = copy.deepcopy(DOCUMENT)
    found["licences"] += [whole(row) for row in rows]
    pools = [row["pool"] for row in found["licences"] if row["pool"]]
    found["pools"] = list(dict.fromkeys([*found["pools"], *pools]))
    return found


def whole(row: dict[str, Any]) -> dict[str, Any]:
    """A row with what every row has: pool and type follow from its id."""
    name = row["id"]
    usual = {"pool": name, "name": name.title(), "type": f"PBX-{name.title().replace('-', '')}{{release}}"}
    return {**usual, "class": "software_feature", "source": "a later price list", **row}


CATALOGUE = Catalogue.from_rows(document(*ROWS))
