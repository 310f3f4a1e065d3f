"""kill -9 of the licence master while 64 agents ask it: nothing lost, nothing made up, nothing lent twice.

The master is the shipped program. After each kill the ledger is compared with what was answered; at the end
each history of 500 operations is searched for an order in which one master can have answered so.
"""

import shutil
from collections.abc import Callable
from statistics import median

import pytest

from tests.acceptance.peers.network import Network
from tests.chaos.conftest import CHAOS
from tests.chaos.siege import OPERATIONS, SLOW_DISK, Siege

SHARDS = 4
HISTORIES = (2_000 if CHAOS else 100) // SHARDS
KILLS = (2_000 if CHAOS else 24) // SHARDS


@pytest.mark.alone
@pytest.mark.skipif(not shutil.which("strace"), reason="NOT RUN: strace is not installed")
async def test_one_kill_in_one_history(network: Network, seed: int) -> None:
    """The short one, on a slow disk: what must find a planted bug in seconds."""
    async with Siege.laid(network, seed, clients=16, prefix=SLOW_DISK) as siege:
        history = await siege.history(kill=True)
    siege.finish([history])
    assert len(siege.recoveries_s) == 1


@pytest.mark.alone
@pytest.mark.timeout(7_200 if CHAOS else 120)
@pytest.mark.parametrize("shard", range(SHARDS))
async def test_kill_9_of_the_master_under_load(
    network: Network, seed: int, shard: int, record_property: Callable[[str, object], None]
) -> None:
    kills = [n * KILLS // HISTORIES < (n + 1) * KILLS // HISTORIES for n in range(HISTORIES)]
    async with Siege.laid(network, seed + shard) as siege:
        histories = [await siege.history(kill=kill) for kill in kills]
    siege.finish(histories)
    acknowledged = sum(asker.acknowledged for asker in siege.askers)
    assert acknowledged == HISTORIES * OPERATIONS
    assert len(siege.recoveries_s) == KILLS
    assert "unbroken" in siege.house.command("audit", "verify")
    recoveries = siege.recoveries_s
    record_property(
        "measured",
        f"master, shard {shard}: {KILLS} kills, {acknowledged} acknowledged, 0 lost, 0 made up, 0 over, "
        f"recovery median {median(recoveries):.2f} s, slowest {max(recoveries):.2f} s; "
        f"{HISTORIES} histories of {OPERATIONS} are linearizable",
    )
