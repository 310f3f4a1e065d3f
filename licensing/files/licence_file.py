"""Our licence files: Ed25519 over exact bytes, in armour, under a chain root -> issuer key -> file.

Every block of a file is `<key id>;<base64 of the signature>`, a line feed, and the signed text; the
signature covers the DSSE encoding of the block's type and that text, byte for byte. Format, chain and codes:
docs/licence-files.md. Signing and checking a signature are passed in: this package holds no key.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Final, TypeVar

import msgspec

from licensing.codes import Code, Refusal
from licensing.files import armour, exact_json
from licensing.files.armour import Block
from licensing.installation import normal_mac

ISSUER: Final = "PBX LICENCE ISSUER"
LICENCE: Final = "PBX LICENCE"
REVOCATIONS: Final = "PBX LICENCE REVOCATIONS"
TYPES: Final = {
    ISSUER: "pbx.licence-issuer.v1",
    LICENCE: "pbx.licence.v1",
    REVOCATIONS: "pbx.licence-revocations.v1",
}
"""What the signature of each kind of block covers besides its text: one kind never passes for another."""

ALGORITHM: Final = "ed25519"
DAMAGED: Final = frozenset(
    {
        Code.TOO_LARGE,
        Code.FILE_MALFORMED,
        Code.FILE_CHANGED,
        Code.DUPLICATE_KEY,
        Code.NUMBER_NOT_WHOLE,
        Code.UNKNOWN_CRITICAL,
        Code.ALGORITHM_MISMATCH,
    }
)
"""The codes that are about the file alone; all others are about where it is installed."""

_KEY_BYTES = 32
_SIGNATURE_BYTES = 64

Sign = Callable[[str, bytes], str]
"""(type, text) -> `<key id>;<base64>`, as `runtime.signing.SigningKey.sign`."""
Verify = Callable[[bytes, str, bytes, str], bool]
"""(raw public key, type, text, header) -> whether it fits, as `runtime.signing.verify`."""

Word = Annotated[str, msgspec.Meta(pattern=r"\A[^\x00-\x1f\x7f]{1,100}\Z")]
KeyId = Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{16}\Z")]
FileId = Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{64}\Z")]
Instant = Annotated[int, msgspec.Meta(ge=0)]
Number = Annotated[int, msgspec.Meta(ge=1)]


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A key to check signatures with, written `ed25519:<base64 of 32 bytes>`."""

    algorithm: str
    raw: bytes

    @property
    def id(self) -> str:
        """First 16 hex digits of the SHA-256 of the raw key."""
        return hashlib.sha256(self.raw).hexdigest()[:16]

    def __str__(self) -> str:
        return f"{self.algorithm}:{armour.encoded(self.raw)}"

    @classmethod
    def parse(cls, text: str) -> "PublicKey | Refusal":
        """The key of this text; `algorithm_mismatch` when it is of another kind, else `file_malformed`."""
        algorithm, separator, encoded = text.partition(":")
        if separator and algorithm != ALGORITHM:
            return Refusal(Code.ALGORITHM_MISMATCH, f'"{algorithm[:20]}" is no kind of key known here')
        raw = armour.exact_base64(encoded.encode()) if separator else None
        if raw is None or len(raw) != _KEY_BYTES:
            return Refusal(
                Code.FILE_MALFORMED, f'"{text[:80]}" is no key; it looks like {ALGORITHM}:<base64>'
            )
        return cls(algorithm, raw)


class Row(msgspec.Struct, frozen=True, omit_defaults=True):
    """`count` units of a licence type, for a place (none: the master; `-`: not assigned yet) and a MAC."""

    type: Word
    count: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]
    place: Word | None = None
    mac: Word | None = None


class Issuer(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A root's word that this key signs licence files in this name."""

    alg: str
    issuer: Word
    key: Word
    critical: tuple[Word, ...] = ()


class Licence(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What a file grants. `issue_no` counts up for each issuer and project.

    `master` is the key id of the one master, `macs` the boxes that all rows lie at; both empty: any.
    `supersedes` names the files whose licences leave as these come; instants are UTC epoch milliseconds.
    """

    alg: str
    project: Word
    issue_no: Number
    issued_ms: Instant
    licences: Annotated[tuple[Row, ...], msgspec.Meta(min_length=1, max_length=1_000)]
    supersedes: tuple[FileId, ...] = ()
    from_ms: Instant | None = None
    until_ms: Instant | None = None
    master: KeyId | None = None
    macs: tuple[Word, ...] = ()
    critical: tuple[Word, ...] = ()


class RevocationList(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What a root takes back: issuers by key id, files by id. A higher `number` is newer."""

    alg: str
    number: Number
    issued_ms: Instant
    keys: tuple[KeyId, ...] = ()
    files: tuple[FileId, ...] = ()
    critical: tuple[Word, ...] = ()


AnyBody = Issuer | Licence | RevocationList
_Body = TypeVar("_Body", Issuer, Licence, RevocationList)

_KNOWN: Final = {field for kind in (Issuer, Licence, RevocationList) for field in kind.__struct_fields__} | {
    f"licences.{field}" for field in Row.__struct_fields__
}


@dataclass(frozen=True, slots=True)
class SignedFile:
    """A licence file whose every signature fits; `id` is that of `file_id`."""

    id: str
    root: str
    key: str
    issuer: str
    licence: Licence


@dataclass(frozen=True, slots=True)
class SignedList:
    """A revocation list whose signature fits, and the key id of the root that signed it."""

    root: str
    list: RevocationList


def seal(label: str, body: AnyBody, sign: Sign) -> Block:
    """The block of this body, signed."""
    text = msgspec.json.encode(body)
    return Block(label, sign(TYPES[label], text).encode() + b"\n" + text)


def text_of(block: Block) -> bytes:
    """The signed text of a block, whatever its signature is worth."""
    return block.content.partition(b"\n")[2]


def file_id(block: Block) -> str:
    """The id of a licence block: the SHA-256 (hex) of all it carries, so that two keys never sign one id."""
    return hashlib.sha256(block.content).hexdigest()


def read(text: bytes, roots: Sequence[PublicKey], verify: Verify) -> SignedFile | SignedList | Refusal:
    """What this file says, once everything it says is signed by a key that hangs on one of these roots.

    Codes: those of `DAMAGED`, and `key_untrusted`.
    """
    blocks = armour.unwrap(text)
    if isinstance(blocks, Refusal):
        return blocks
    match [(block.label, block) for block in blocks]:
        case [("PBX LICENCE ISSUER", issuer), ("PBX LICENCE", licence)]:
            return _file(issuer, licence, roots, verify)
        case [("PBX LICENCE REVOCATIONS", listed)]:
            return _list(listed, roots, verify)
        case found:
            labels = ", ".join(label for label, _ in found[:5])
            detail = f"it holds {labels}; a licence file holds {ISSUER}, then {LICENCE}"
            return Refusal(Code.FILE_MALFORMED, detail)


def read_issuer(text: bytes, roots: Sequence[PublicKey], verify: Verify) -> tuple[Block, Issuer] | Refusal:
    """The block with which a root vouches for an issuer's key, alone in its file."""
    blocks = armour.unwrap(text)
    if isinstance(blocks, Refusal):
        return blocks
    if [block.label for block in blocks] != [ISSUER]:
        return Refusal(Code.FILE_MALFORMED, f"it holds no {ISSUER}")
    opened = _open(blocks[0], roots, verify, Issuer)
    return opened if isinstance(opened, Refusal) else (blocks[0], opened[1])


def _file(issuer: Block, licence: Block, roots: Sequence[PublicKey], verify: Verify) -> SignedFile | Refusal:
    vouched = _open(issuer, roots, verify, Issuer)
    if isinstance(vouched, Refusal):
        return vouched
    root, said = vouched
    key = PublicKey.parse(said.key)
    if isinstance(key, Refusal):
        return key
    opened = _open(licence, (key,), verify, Licence)
    if isinstance(opened, Refusal):
        return opened
    wrong = next((mac for mac in opened[1].macs if normal_mac(mac) is None), None)
    if wrong is not None:
        return Refusal(Code.FILE_MALFORMED, f'"{wrong}" is no MAC address')
    return SignedFile(file_id(licence), root.id, key.id, said.issuer, opened[1])


def _list(block: Block, roots: Sequence[PublicKey], verify: Verify) -> SignedList | Refusal:
    opened = _open(block, roots, verify, RevocationList)
    return opened if isinstance(opened, Refusal) else SignedList(opened[0].id, opened[1])


def _open(
    block: Block, keys: Sequence[PublicKey], verify: Verify, type_: type[_Body]
) -> tuple[PublicKey, _Body] | Refusal:
    """The key that signed a block, and what it says; nothing unsigned is read further than its signature."""
    header, separator, text = block.content.partition(b"\n")
    name, _, signature = header.partition(b";")
    raw = armour.exact_base64(signature)
    if not separator or raw is None or len(raw) != _SIGNATURE_BYTES:
        return Refusal(Code.FILE_MALFORMED, f"{block.label}: no signature")
    key = next((key for key in keys if key.id.encode() == name), None)
    if key is None:
        shown = name[:16].decode("ascii", "replace")
        return Refusal(Code.KEY_UNTRUSTED, f"{block.label}: key {shown}")
    if not verify(key.raw, TYPES[block.label], text, header.decode("ascii")):
        return Refusal(Code.FILE_CHANGED, block.label)
    body = exact_json.decode(text, type_)
    if isinstance(body, Refusal):
        return body
    return _refused(body, key) or (key, body)


def _refused(body: AnyBody, key: PublicKey) -> Refusal | None:
    unknown = [name for name in body.critical if name not in _KNOWN]
    if unknown:
        return Refusal(Code.UNKNOWN_CRITICAL, ", ".join(unknown[:5]))
    if body.alg != key.algorithm:
        return Refusal(Code.ALGORITHM_MISMATCH, f'"{body.alg[:20]}", the key is {key.algorithm}')
    return None
