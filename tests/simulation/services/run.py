"""Run seeds one after the other: what they simulated, and how to see a failing one again."""

import gc
import time
from collections.abc import Iterable
from dataclasses import dataclass

import structlog

from tests.simulation.services.seals import sealed
from tests.simulation.services.world import World

SHOWN = 60
FILE = "tests/simulation/test_services.py"


class SeedFailedError(AssertionError):
    """A seed broke an invariant; the text says which, and how to replay it."""


@dataclass(slots=True)
class Simulated:
    """How much was simulated."""

    seeds: int = 0
    steps: int = 0
    ticks: int = 0
    virtual_s: float = 0.0
    cpu_s: float = 0.0

    def __str__(self) -> str:
        return f"{self.seeds:,} seeds, {self.virtual_s / 3_600:.1f} virtual hours, {self.cpu_s:.0f} CPU s"


def quiet() -> None:
    """The services' log lines cost more than the services: only a crash is worth one."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))


def run(seeds: Iterable[int]) -> Simulated:
    """Run all of them; SeedFailedError at the first that fails."""
    gc.freeze()  # worlds leave garbage: what was there before them is not looked through for it
    try:
        with sealed():
            return _run(seeds)
    finally:
        gc.unfreeze()


def _run(seeds: Iterable[int]) -> Simulated:
    done = Simulated()
    began = time.process_time()
    for seed in seeds:
        world = World(seed)
        try:
            world.run()
        except Exception as error:
            raise SeedFailedError(explain(seed, error)) from error
        done.seeds += 1
        done.steps += world.loop.steps
        done.ticks += world.watch.ticks
        done.virtual_s += world.loop.time()
    done.cpu_s = time.process_time() - began
    return done


def explain(seed: int, error: BaseException) -> str:
    """What went wrong, what the seed is, its last steps, and the command that shows it again."""
    world = World(seed)
    again: BaseException | None = None
    try:
        world.run()
    except Exception as found:  # noqa: BLE001 - it is what is looked for
        again = found
    same = "" if repr(again) == repr(error) else f"\nTHE SECOND RUN WAS DIFFERENT: {again!r}"
    trace = "\n".join(world.loop.trace[-SHOWN:])
    return (
        f"seed {seed}: {type(error).__name__}: {error}{same}\n{trace}\n{world.mix}\n"
        f"happened: {'; '.join(world.troubles.happened) or 'nothing'}\n"
        f"replay: SEED={seed} .venv/bin/python -m pytest {FILE} -k replay"
    )


def digest(seed: int) -> str:
    """The hash of a seed's whole run."""
    world = World(seed)
    world.run()
    return world.loop.digest
