"""What one seed brings: sizes, how bad the network and the disks are, and what goes wrong when."""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

KINDS = (
    "kill agent",
    "kill agent",
    "kill master",
    "kill master",
    "stop agent",
    "stop master",
    "reboot agent",
    "clock",
    "full agent",
    "full master",
    "short master",
    "fail agent",
    "fail master",
    "cut",
    "cut",
    "pbx silent",
    "install",
    "remove",
)
RARE = ("restore", "lost", "release")
WINDOW_S = 5.0


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that happens at `at_s`; a kill waits `steps` more steps, after a commit when `commit`."""

    at_s: float
    kind: str
    victim: int
    for_s: float
    steps: int
    commit: bool


@dataclass(frozen=True, slots=True)
class Mix:
    """One seed's draw; shares of a whole are probabilities."""

    agents: int
    phones: int
    ports: int
    ipva: int
    virtual: int
    linger_s: int
    granted_s: int
    sync_s: int
    loss: float
    repeats: float
    late_s: float
    lan_loss: float
    disk_ms: float
    moody: float
    restless: float
    calm_after_s: float
    patient: bool
    faults: Sequence[Fault]


def draw(seed: int) -> Mix:
    """The mix of a seed."""
    dice = Random(f"{seed}/mix")
    agents = dice.choice((1, 2, 2, 3, 3, 4))
    phones = dice.randint(1, 4)
    patient = dice.random() < 0.01
    bad = dice.random() < 0.6
    virtual = dice.randrange(agents) if dice.random() < 0.25 else 0
    ports = max(1, round(agents * phones * dice.choice((0.4, 0.6, 0.8, 1.0, 1.5))))
    calm_after_s = dice.uniform(8, 22)
    return Mix(
        agents=agents,
        phones=phones,
        ports=ports,
        ipva=dice.randint(0, ports) if virtual else 0,
        virtual=virtual,
        linger_s=dice.choice((0, 0, 2, 5, 20)),
        granted_s=600 if patient else dice.choice((6, 10, 15, 30)),
        sync_s=30 if patient else dice.choice((2, 4, 8)),
        loss=dice.choice((0.05, 0.15, 0.3)) if bad else 0.0,
        repeats=dice.choice((0.0, 0.1, 0.25)) if bad else 0.0,
        late_s=dice.choice((0.02, 0.2, 1.5)) if bad else 0.02,
        lan_loss=dice.choice((0.0, 0.0, 0.05, 0.15)),
        disk_ms=dice.choice((0.2, 2.0, 2.0, 20.0, 300.0)),
        moody=dice.choice((0.0, 0.0, 0.1)),
        restless=dice.choice((0.1, 0.3, 0.6)),
        calm_after_s=calm_after_s,
        patient=patient,
        faults=_faults(dice, agents, calm_after_s),
    )


def _faults(dice: Random, agents: int, until_s: float) -> Sequence[Fault]:
    count = dice.choice((0, 1, 2, 3, 4, 6))
    kinds = [dice.choice(KINDS) for _ in range(count)]
    if dice.random() < 0.12:
        kinds.append(dice.choice(RARE))
    faults = [
        Fault(
            at_s=dice.uniform(0.5, until_s),
            kind=kind,
            victim=dice.randrange(agents),
            for_s=dice.choice((0.3, 1.0, 3.0, 8.0)),
            steps=dice.randint(0, 40),
            commit=dice.random() < 0.5,
        )
        for kind in kinds
    ]
    return sorted(faults, key=lambda fault: fault.at_s)
