"""An issuer of licence files for tests: a root, a key that it vouches for, and everything they sign."""

from dataclasses import dataclass, field

from licensing.files import armour
from licensing.files.armour import Block
from licensing.files.licence_file import (
    ALGORITHM,
    ISSUER,
    LICENCE,
    REVOCATIONS,
    TYPES,
    Issuer,
    Licence,
    PublicKey,
    RevocationList,
    Row,
    SignedFile,
    SignedList,
    read,
    seal,
)
from runtime.signing import SigningKey, verify


def public(key: SigningKey) -> PublicKey:
    return PublicKey(ALGORITHM, key.public)


def licence(*rows: str, **more: object) -> Licence:
    """A body with rows written as `10 PBX-Port13` or `10 PBX-Port13 at lyon`."""
    made = []
    for row in rows or ("1 PBX-Port13",):
        count, type_, *place = row.split()
        made.append(Row(type_, int(count), place[1] if place else None))
    given: dict[str, object] = {"alg": ALGORITHM, "project": "main", "issue_no": 1, "issued_ms": 0}
    return Licence(licences=tuple(made), **{**given, **more})  # type: ignore[arg-type] # a test's word


@dataclass
class Office:
    """Root, issuer key and the name in which it signs."""

    name: str = "Example"
    root: SigningKey = field(default_factory=SigningKey.generate)
    key: SigningKey = field(default_factory=SigningKey.generate)

    @property
    def roots(self) -> tuple[PublicKey, ...]:
        return (public(self.root),)

    def voucher(self, **more: object) -> Block:
        given: dict[str, object] = {"alg": ALGORITHM, "issuer": self.name, "key": str(public(self.key))}
        return seal(ISSUER, Issuer(**{**given, **more}), self.root.sign)  # type: ignore[arg-type] # as above

    def text(self, body: Licence) -> bytes:
        """A whole file."""
        return self.armoured(self.voucher(), seal(LICENCE, body, self.key.sign))

    def raw(self, body: bytes) -> bytes:
        """A whole file around any signed text."""
        return self.armoured(self.voucher(), self.block(LICENCE, body, self.key))

    def revocations(self, number: int, keys: tuple[str, ...] = (), files: tuple[str, ...] = ()) -> bytes:
        body = RevocationList(alg=ALGORITHM, number=number, issued_ms=0, keys=keys, files=files)
        return self.armoured(seal(REVOCATIONS, body, self.root.sign))

    def file(self, *rows: str, **more: object) -> SignedFile:
        """A file as the master has it after reading."""
        found = read(self.text(licence(*rows, **more)), self.roots, verify)
        assert isinstance(found, SignedFile), found
        return found

    def list(self, number: int, keys: tuple[str, ...] = (), files: tuple[str, ...] = ()) -> SignedList:
        found = read(self.revocations(number, keys, files), self.roots, verify)
        assert isinstance(found, SignedList), found
        return found

    @staticmethod
    def block(label: str, body: bytes, key: SigningKey, type_: str = "") -> Block:
        return Block(label, key.sign(type_ or TYPES[label], body).encode() + b"\n" + body)

    @staticmethod
    def armoured(*blocks: Block) -> bytes:
        return "".join(map(armour.wrap, blocks)).encode()
