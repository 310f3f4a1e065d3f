"""What the guard learns about its PBX in passing, counted since its start: for `pbx-agent doctor`."""

import re
from collections.abc import Iterable
from typing import Final

_PLACE: Final = re.compile(r"sips?:(?:([^@;?]*)@)?([^;?]*)", re.IGNORECASE)


class Sightings:
    """Requests outside dialogs, and answers to REGISTERs that changed what is bound."""

    def __init__(self) -> None:
        """Nothing seen yet."""
        self.with_path = 0  # requests of the PBX that came by a Path of ours
        self.without_path = 0  # those that were meant for a phone and named none of our Paths
        self.contacts_kept = 0  # answers with every contact that was asked for
        self.contacts_changed = 0  # those where one of them came back with another user, host or port

    def answered(self, asked: Iterable[str], granted: Iterable[str]) -> None:
        """Note an answer: the URIs that a phone wanted bound, and those that the PBX says are."""
        wanted = {_place(uri) for uri in asked}
        if not wanted:
            return
        if wanted <= {_place(uri) for uri in granted}:
            self.contacts_kept += 1
        else:
            self.contacts_changed += 1


def _place(uri: str) -> tuple[str, str]:
    """User and host:port of a URI; its parameters are the PBX's to reorder."""
    match = _PLACE.match(uri)
    if match is None:
        return uri, ""
    return match[1] or "", match[2].lower().removesuffix(":5060")
