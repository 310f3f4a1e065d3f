"""The few messages of etcd's gRPC API that a lease and a transaction need, as protocol buffers on the wire.

Field numbers are those of etcd's API reference (etcdserverpb and mvccpb, v3.4): a message is a list of
(field, value); an int is a varint, bytes are length-delimited, which is all that these messages have.
"""

from collections.abc import Iterator

Value = int | bytes
Fields = dict[int, list[Value]]

TXN = "/etcdserverpb.KV/Txn"
RANGE = "/etcdserverpb.KV/Range"
LEASE_GRANT = "/etcdserverpb.Lease/LeaseGrant"
_EQUAL, _MOD = 0, 2  # Compare.CompareResult, Compare.CompareTarget


def encode(*fields: tuple[int, Value]) -> bytes:
    """Return a message."""
    return b"".join(_field(number, value) for number, value in fields)


def decode(message: bytes) -> Fields:
    """Return the values of each field of a message, in order."""
    found: Fields = {}
    for number, value in _fields(message):
        found.setdefault(number, []).append(value)
    return found


def grant(ttl_s: int) -> bytes:
    """LeaseGrantRequest: etcd chooses the id."""
    return encode((1, ttl_s))


def put(key: bytes, value: bytes, lease: int = 0) -> bytes:
    """RequestOp with a PutRequest."""
    return encode((2, encode((1, key), (2, value), (3, lease))))


def read(key: bytes) -> bytes:
    """RangeRequest of one key."""
    return encode((1, key))


def count(prefix: bytes) -> bytes:
    """RangeRequest that counts the keys with this prefix."""
    return encode((1, prefix), (2, prefix[:-1] + bytes([prefix[-1] + 1])), (9, 1))


def swap(key: bytes, revision: int, changes: list[bytes]) -> bytes:
    """TxnRequest: the changes if the key was last changed at `revision`, else what the key is now."""
    unchanged = encode((1, _EQUAL), (2, _MOD), (3, key), (6, revision))
    return encode((1, unchanged), *((2, change) for change in changes), (3, encode((1, read(key)))))


def number(fields: Fields, field: int) -> int:
    """A number in a message; 0 is never sent."""
    (value,) = fields.get(field, [0])
    assert isinstance(value, int)
    return value


def message(fields: Fields, field: int) -> Fields:
    """The message that stands once in another."""
    (value,) = fields[field]
    assert isinstance(value, bytes)
    return decode(value)


def text(fields: Fields, field: int) -> bytes:
    """The bytes that stand once in a message."""
    (value,) = fields[field]
    assert isinstance(value, bytes)
    return value


def _varint(value: int) -> bytes:
    written = bytearray()
    while value > 0x7F:
        written.append(value & 0x7F | 0x80)
        value >>= 7
    written.append(value)
    return bytes(written)


def _field(number: int, value: Value) -> bytes:
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    return _varint(number << 3 | 2) + _varint(len(value)) + value


def _fields(message: bytes) -> Iterator[tuple[int, Value]]:
    at = 0
    while at < len(message):
        tag, at = _number(message, at)
        value, at = _number(message, at)
        if tag & 7 == 2:
            yield tag >> 3, message[at : at + value]
            at += value
        else:
            assert tag & 7 == 0, "fixed-width fields are in none of these messages"
            yield tag >> 3, value


def _number(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
