"""Secrets that are shown once: `<id>.<secret>`, 160 random bits, kept only as SHA-256."""

import base64
import hashlib
import hmac
from dataclasses import dataclass

from runtime.entropy import SYSTEM, Entropy


@dataclass(frozen=True, slots=True)
class Secret:
    """A new secret: `text` is for its owner, `hash` for the store."""

    id: str
    text: str
    hash: bytes


def new_secret(entropy: Entropy = SYSTEM) -> Secret:
    """Draw one."""
    id_ = entropy(5).hex()
    word = base64.b32encode(entropy(20)).decode().lower()
    return Secret(id_, f"{id_}.{word}", hash_of(f"{id_}.{word}"))


def id_of(text: str) -> str:
    """The public half of a secret."""
    return text.partition(".")[0]


def hash_of(text: str) -> bytes:
    """What is stored of a secret."""
    return hashlib.sha256(text.encode()).digest()


def fits(text: str, stored: bytes) -> bool:
    """Is this the secret of that hash? Takes the same time whatever the answer."""
    return hmac.compare_digest(hash_of(text), stored)
