"""A call over a line as a row of the agent's store: the same facts, its times by the wall clock."""

import msgspec

from telephony.dialog import CallRecord, StoredDialog


class DialogRow(msgspec.Struct, frozen=True, array_like=True):
    """One dialog; `ends_at_ms` is wall time."""

    tag: bytes
    ends_at_ms: int
    lives_ms: int
    timed: bool


class CallRow(msgspec.Struct, frozen=True, array_like=True):
    """One call, as `telephony.dialog.CallRecord` describes it."""

    name: str
    unit: str
    gateway: str
    interface: str
    branch: bytes
    call_id: bytes
    caller_tag: bytes
    outward: bool
    urgent: bool
    replaces: str
    dialogs: tuple[DialogRow, ...]


_DECODER = msgspec.msgpack.Decoder(CallRow)


def encode(record: CallRecord, now_ms: int, at_ms: int) -> bytes:
    """The row for the store, written at this monotonic and wall time."""
    dialogs = tuple(
        DialogRow(one.tag, at_ms + one.ends_ms - now_ms, one.lives_ms, one.timed) for one in record.dialogs
    )
    return msgspec.msgpack.encode(CallRow(*record[:-1], dialogs))


def decode(row: bytes, now_ms: int, at_ms: int) -> CallRecord:
    """The call of a row that is read at this monotonic and wall time; msgspec.ValidationError if it is none.

    However the wall clock went, a dialog has no more time left than a sign of life would give it.
    """
    call = _DECODER.decode(row)
    dialogs = tuple(
        StoredDialog(
            one.tag, now_ms + min(max(one.ends_at_ms - at_ms, 0), one.lives_ms), one.lives_ms, one.timed
        )
        for one in call.dialogs
    )
    return CallRecord(
        call.name,
        call.unit,
        call.gateway,
        call.interface,
        call.branch,
        call.call_id,
        call.caller_tag,
        call.outward,
        call.urgent,
        call.replaces,
        dialogs,
    )
