"""The real services of agents and master on a virtual clock, with bad networks, bad disks and crashes.

Nothing is lent twice, nobody registered is dropped, what was answered stays, and everything converges.

`make test` runs 2,000 seeds, `make chaos` 200,000. A failing seed prints the command that replays it.
"""

import dataclasses
import os
import subprocess
import sys
from collections.abc import Callable

import pytest

from tests.simulation.services.mix import draw
from tests.simulation.services.run import digest, explain, run
from tests.simulation.services.seals import sealed
from tests.simulation.services.world import World

CHAOS = bool(os.environ.get("CHAOS"))
SHARD = 1_000 if CHAOS else 100
SHARDS = 200 if CHAOS else 20
TRUSTING = 80
REPLAYED = int(os.environ.get("SEED", "0"))
PRINT_DIGESTS = """
from tests.simulation.services.run import digest, quiet
quiet()
print(*[digest(seed) for seed in range({}, {})])
"""


@pytest.mark.timeout(1_800 if CHAOS else 900)
@pytest.mark.parametrize("shard", range(SHARDS))
def test_every_seed_holds(shard: int, record_property: Callable[[str, object], None]) -> None:
    done = run(range(shard * SHARD, (shard + 1) * SHARD))
    record_property("simulated", dataclasses.asdict(done))
    record_property("progress", f"shard {shard + 1} of {SHARDS}: {done}")


def test_a_pbx_that_trusts_makes_no_history_before_its_bindings() -> None:
    """Who is challenged by nobody is bound without a reservation, and counted when the PBX says so."""
    with sealed():
        for seed in range(TRUSTING):
            world = World(seed, mix=dataclasses.replace(draw(seed), faults=()))
            for site in world.sites:
                site.pbx.trusting = True
            world.run()


def test_replay_of_one_seed() -> None:
    """`SEED=123 … -k replay`: this seed alone, with its last steps when it fails."""
    world = World(REPLAYED)
    try:
        world.run()
    except Exception as error:
        raise AssertionError(explain(REPLAYED, error)) from error
    assert world.loop.trace


def test_a_seed_is_the_same_run_every_time_and_everywhere() -> None:
    """The hash of all steps does not depend on what ran before, the process, the order of sets, or seals."""
    seeds = range(16)
    here = [digest(seed) for seed in seeds]
    with sealed():
        assert [digest(seed) for seed in reversed(seeds)] == here[::-1]
    assert len(set(here)) == len(here)
    for hash_seed in ("1", "2"):
        there = subprocess.run(
            [sys.executable, "-c", PRINT_DIGESTS.format(seeds.start, seeds.stop)],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            check=True,
            capture_output=True,
            text=True,
        )
        assert there.stdout.split() == here
