"""What an agent sees of the box that licences are bound to: the words of the wire and of the ledger."""

from typing import Annotated, Final, Literal

import msgspec

from licensing.codes import Code

MacState = Literal["proven", "stated", "unseen", "unprovable", "changed", "spoofed", "moved", "cloned"]
"""What is known of a MAC (docs/hardware.md); an agent alone never says `moved`, which takes two boxes."""

Proof = Literal["", "permanent", "neighbour", "certificate", "statement"]
"""What it is known by, the strongest first; empty where it is not known."""

GOOD: Final = frozenset(("proven", "stated"))
"""The states in which bound licences count whatever the policy."""

TOLERATED: Final = ("unseen", "unprovable")
"""Where nothing speaks against a MAC its licences count with an alarm, unless the policy says otherwise."""

DOUBTS: Final = ("unseen", "unprovable", "changed", "spoofed", "moved", "cloned")
"""All other states."""

CODES: Final[dict[MacState, Code]] = {
    "unseen": Code.MAC_UNPROVABLE,
    "unprovable": Code.MAC_UNPROVABLE,
    "changed": Code.MAC_MISMATCH,
    "spoofed": Code.MAC_SPOOFED,
    "moved": Code.MAC_MOVED,
    "cloned": Code.MAC_CLONED,
}
"""The code of each state that is not good."""


MAX_MACS: Final = 32
MAX_WHY: Final = 400

Mac = Annotated[str, msgspec.Meta(max_length=12)]
Macs = Annotated[tuple[Mac, ...], msgspec.Meta(max_length=MAX_MACS)]


class Sighting(msgspec.Struct, frozen=True, omit_defaults=True):
    """The box of one PBX as its agent sees it; MACs in normal form.

    `mac` is the one that was looked for (empty: none is configured), `seen` are those found in its place,
    `shown` others that the box shows when it is the agent's own host, which only tell copies; `place` tells
    one place from another, also between agents; `why` is one sentence for people.
    """

    mac: Mac
    state: MacState
    proof: Proof = ""
    seen: Macs = ()
    shown: Macs = ()
    place: Annotated[str, msgspec.Meta(max_length=64)] = ""
    why: Annotated[str, msgspec.Meta(max_length=MAX_WHY)] = ""

    def shows(self, mac: str) -> bool:
        """Whether this MAC is in its place, proven or not."""
        return mac in self.seen or mac in self.shown
