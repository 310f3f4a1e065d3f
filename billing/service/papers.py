"""What the ledger asks of whoever writes artefacts: files of documents, and a place for them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from billing.core.detail import Detail
from billing.core.document import Document
from billing.service.house import Contract


@dataclass(frozen=True, slots=True)
class Paper:
    """A document with the calls that it bills."""

    document: Document
    details: tuple[Detail, ...] = ()


@dataclass(frozen=True, slots=True)
class Finding:
    """Why a document must not be issued."""

    number: str
    text: str


class Printer(Protocol):
    """Makes the files of one customer's documents of a period, the same bytes for the same documents."""

    def print(
        self, contract: Contract, period: int, papers: Sequence[Paper]
    ) -> Mapping[str, bytes] | Sequence[Finding]:
        """Files by plain name; or everything that a validator finds."""
        ...

    def statements(
        self, contract: Contract, period: int, details: Sequence[Detail]
    ) -> Mapping[str, Mapping[str, bytes]]:
        """Files by plain name for each level but the customer's."""
        ...


class Shelf(Protocol):
    """Directories of artefacts: first beside their place, then, once they are issued, in it."""

    def stage(self, name: str, folder: str, files: Mapping[str, bytes]) -> Mapping[str, str]:
        """Put a folder of `name` on the disk beside its place; SHA-256 of each file by folder/name."""
        ...

    def clear(self, name: str) -> None:
        """Forget what was staged and never issued."""
        ...

    def publish(self, name: str, expected: Mapping[str, str]) -> None:
        """Move what was staged to its place, or see that it is there; it must be what was expected."""
        ...
