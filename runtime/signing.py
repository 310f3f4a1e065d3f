"""One signature for requests, answers and licence files: Ed25519 over the DSSE encoding of exact bytes.

Source: protocol.md "POST /v1/agent/sync" (header X-Signature), decision 0004.
"""

import base64
import binascii
import hashlib
import os
import stat
from pathlib import Path
from typing import Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from runtime.credentials import guarded

REQUEST_TYPE = "pbx.request.v1"
ANSWER_TYPE = "pbx.answer.v1"


class KeyFileError(Exception):
    """The key file cannot be used; the text names the file and what would help."""


class SigningKey:
    """An Ed25519 private key; `public` is its 32 raw bytes, `key_id` its 16 hex digits."""

    def __init__(self, private: Ed25519PrivateKey) -> None:
        self._private = private
        self.public = private.public_key().public_bytes_raw()
        self.key_id = key_id(self.public)

    @classmethod
    def generate(cls) -> Self:
        """A new key from the system's random source."""
        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a PKCS#8 PEM file; KeyFileError if others may read it or it holds no Ed25519 key."""
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & 0o077 and not guarded(path):
            raise KeyFileError(f"{path}: others may read this key (mode {mode:04o}); chmod 600 {path}")
        try:
            private = load_pem_private_key(path.read_bytes(), password=None)
        except (ValueError, TypeError) as error:
            raise KeyFileError(f"{path}: not a private key in PEM form") from error
        if not isinstance(private, Ed25519PrivateKey):
            raise KeyFileError(f"{path}: not an Ed25519 key")
        return cls(private)

    def save(self, path: Path) -> None:
        """Write the key durably to a new file of mode 0600; FileExistsError rather than replace one."""
        pem = self._private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        write_new_file(path, pem, 0o600)

    def sign(self, type_: str, body: bytes) -> str:
        """The header value `<key id>;<base64>` for these exact bytes."""
        signature = self._private.sign(pre_authentication_encoding(type_, body))
        return f"{self.key_id};{base64.b64encode(signature).decode()}"


def verify(public: bytes, type_: str, body: bytes, header: str) -> bool:
    """Does this header value sign exactly this type and body with this raw public key?"""
    name, separator, encoded = header.partition(";")
    if not separator or name != key_id(public):
        return False
    try:
        signature = base64.b64decode(encoded, validate=True)
        Ed25519PublicKey.from_public_bytes(public).verify(signature, pre_authentication_encoding(type_, body))
    except (binascii.Error, ValueError, InvalidSignature):
        return False
    return True


def key_id(public: bytes) -> str:
    """First 16 hex digits of the SHA-256 of the raw public key."""
    return hashlib.sha256(public).hexdigest()[:16]


def header_key_id(header: str) -> str:
    """The key id that a header value claims; empty when it has none."""
    name, separator, _ = header.partition(";")
    return name if separator else ""


def request_type(method: str, path_with_query: str) -> str:
    """What the signature of a request covers besides its body."""
    return f"{REQUEST_TYPE} {method} {path_with_query}"


def answer_type(status: int, request_signature: str) -> str:
    """What the signature of an answer covers, so that it fits one request only."""
    return f"{ANSWER_TYPE} {status} {request_signature}"


def pre_authentication_encoding(type_: str, body: bytes) -> bytes:
    """DSSE v1: `DSSEv1 SP len(type) SP type SP len(body) SP body`, lengths in bytes."""
    type_bytes = type_.encode()
    return b"DSSEv1 %d %b %d %b" % (len(type_bytes), type_bytes, len(body), body)


def write_new_file(path: Path, content: bytes, mode: int) -> None:
    """Create a file durably with this mode; FileExistsError rather than replace one."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
