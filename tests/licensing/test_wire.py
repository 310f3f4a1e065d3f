"""The wire takes whole numbers that a store can take, and nothing else."""

import msgspec
import pytest

from licensing import wire

SYNC = (
    b'{"v":1,"agent":"hq","installation":"acme","epoch":1,"instance":"i","term":%d,"seq":%d,"prev":"","boot":"",'
    b'"sent_at_ms":0,"software":{"release":%d},"classes":{}}'
)


def test_numbers_in_range_are_read() -> None:
    assert msgspec.json.decode(SYNC % (1, 2**53, 13), type=wire.Sync).seq == 2**53


@pytest.mark.parametrize("numbers", [(2**63 - 1, 1, 13), (1, 2**63, 13), (1, 1, 2**70), (1, -1, 13)])
def test_an_agent_cannot_send_what_no_store_can_hold(numbers: tuple[int, int, int]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(SYNC % numbers, type=wire.Sync)
