"""What the ledger remembers of the files that brought licences, and of those that must not any more."""

from typing import Literal

import msgspec

Source = Literal["signed", "vendor", "statement"]
"""Our signed file; the vendor's XML, unchecked; CSV or YAML, which is the administrator's word."""


class Document(msgspec.Struct, frozen=True, omit_defaults=True):
    """A file that was installed; `id` is that of `licence_file.file_id`, of unsigned ones the SHA-256 (hex).

    `issuer` to `until_ms` are those of a signed file: `root` and `key` are key ids, `issue_no` counts up for
    each issuer and project, `macs` are the boxes that its licences may lie at (none: any).
    """

    id: str
    source: Source = "statement"
    name: str = ""
    issuer: str = ""
    root: str = ""
    key: str = ""
    project: str = ""
    issue_no: int = 0
    until_ms: int | None = None
    macs: tuple[str, ...] = ()


class Revocations(msgspec.Struct, frozen=True, omit_defaults=True):
    """What one root has revoked, up to its list of this number: key ids of issuers, ids of files."""

    number: int = 0
    keys: frozenset[str] = frozenset()
    files: frozenset[str] = frozenset()


NOTHING_REVOKED = Revocations()
