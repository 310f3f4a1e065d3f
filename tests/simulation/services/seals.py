"""Signatures that cost two microseconds instead of a hundred: nobody forges anything in a simulation.

Who knows the public key could make one. Everything around them is the product's own (`runtime.signing`), and
that a seed is the same run with real ones is a test.
"""

from contextlib import AbstractContextManager
from hashlib import blake2b
from hmac import compare_digest
from typing import Any, Self
from unittest.mock import patch

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from runtime import signing
from runtime.signing import SigningKey

VERIFIES = "Ed25519PublicKey"  # the only name by which `runtime.signing` verifies


class Seal:
    """Stands for both halves of a key: what one seals the other verifies."""

    def __init__(self, public: bytes) -> None:
        self._public = public

    @classmethod
    def from_public_bytes(cls, public: bytes) -> Self:
        """As `Ed25519PublicKey`."""
        return cls(public)

    def public_key(self) -> Self:
        """As `Ed25519PrivateKey`."""
        return self

    def public_bytes_raw(self) -> bytes:
        """32 bytes."""
        return self._public

    def sign(self, data: bytes) -> bytes:
        """64 bytes for exactly these."""
        return blake2b(data, key=self._public, digest_size=64).digest()

    def verify(self, signature: bytes, data: bytes) -> None:
        """Raises InvalidSignature."""
        if not compare_digest(signature, self.sign(data)):
            raise InvalidSignature


def signing_key(name: str) -> SigningKey:
    """The key of this machine, the same in each run; a real one unless `sealed`."""
    secret = blake2b(name.encode(), digest_size=32).digest()
    private: Any = Seal(secret) if vars(signing)[VERIFIES] is Seal else None
    return SigningKey(private or Ed25519PrivateKey.from_private_bytes(secret))


def sealed() -> AbstractContextManager[object]:
    """Seals instead of Ed25519 in here."""
    return patch.object(signing, VERIFIES, Seal)
