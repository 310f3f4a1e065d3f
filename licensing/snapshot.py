"""A state as bytes, so that a start need not replay the whole ledger; the ledger stays the truth.

The bytes hold every field of the State, derived ones too, and keep the order of its mappings, so that
decisions on a state that was read back are those on the state that was written.
"""

import hashlib
from collections.abc import Mapping, Set
from dataclasses import fields, is_dataclass, replace

import msgspec

from licensing.state import State

_DECODER = msgspec.msgpack.Decoder(State)


def encode(state: State) -> bytes:
    """The whole state as MessagePack; `decode` gives an equal one."""
    return msgspec.msgpack.encode(_bare(state))


def decode(body: bytes) -> State:
    """The state in these bytes; `msgspec.MsgspecError` when there is none."""
    return _DECODER.decode(body)


def digest(state: State, head: bytes) -> bytes:
    """SHA-256 in 32 bytes of the state and of the hash of the ledger row that led to it.

    Equal states have equal digests, whichever process made them: sets and mappings are sorted for it.
    """
    return hashlib.sha256(head + msgspec.msgpack.encode(_sorted(_bare(state)))).digest()


def _bare(state: State) -> State:
    """Without the answers that it remembers for speed: they depend on what was asked."""
    return replace(state, _software={}, _bundles={}, _reach={}, _reserved={})


def _sorted(value: object) -> object:
    if isinstance(value, Mapping):
        return [(key, _sorted(value[key])) for key in sorted(value)]
    if isinstance(value, Set):
        return sorted(value)
    if is_dataclass(value):
        return [_sorted(getattr(value, each.name)) for each in fields(value)]
    return value
