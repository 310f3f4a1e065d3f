"""The state of a model: sites, masters, messages, and what may still happen."""

from functools import cache
from typing import NamedTuple

from tests.simulation.explorer import What
from tests.simulation.models.scenario import Budget

COPIED = 99
"""The risk of two copies ends in no epoch."""


class Site(NamedTuple):
    """An agent's process and its PBX: `registered` phones really there, `known` those the agent knows of.

    `row` is its record, `disk` what is stored of it, `saved` a copy of its directory; -1: none.
    `risk`: it may use what is lent to others by now, by an operator's word or from a copied directory, until
    it applies an answer of this epoch.
    `heard` counts answers to what it wrote from seq `since` on: after it was copied, or went back to an older
    directory. `behind`: one so old that the master knows it.
    """

    agent: int
    row: int
    disk: int
    boot: int
    registered: int = 0
    known: int = 0
    doubt: bool = False
    hello: bool = False
    anew: bool = False
    sends: int = 0
    saved: int = -1
    risk: int = 0
    since: int = 0
    heard: int = 0
    behind: bool = False
    serving: bool = False


class World(NamedTuple):
    """Everything there is; `limit` by pool is what is owned, or the surplus on record after a removal."""

    sites: tuple[Site, ...]
    masters: tuple[int, ...]
    disks: tuple[int, ...]
    owned: tuple[int, ...]
    limit: tuple[int, ...]
    budget: Budget
    boots: int
    lives: int = 1
    backup: int = -1
    requests: frozenset[int] = frozenset()
    replies: frozenset[int] = frozenset()

    def with_site(self, index: int, site: Site) -> "World":
        """This world with another site in its place."""
        return World((*self.sites[:index], site, *self.sites[index + 1 :]), *self[1:])

    def with_master(self, number: int, master: int, disk: int) -> "World":
        """This world after a decision of one master."""
        masters, disks = _put(self.masters, number, master), _put(self.disks, number, disk)
        return World(self.sites, masters, disks, *self[3:])

    def posted(self, requests: frozenset[int], replies: frozenset[int]) -> "World":
        """This world with other messages on its network; `_replace` takes twice as long."""
        return World(*self[:-2], requests, replies)

    def served(self, number: int, master: int) -> "World":
        """This world when a new process serves this store."""
        return self.with_master(number, master, master)._replace(lives=self.lives + 1)

    def spent(self, trouble: str) -> "World":
        """This world with one trouble less to come."""
        return World(*self[:5], _less(self.budget, trouble), *self[6:])

    def booted(self) -> "World":
        """This world after one more start of an agent."""
        return World(*self[:6], self.boots + 1, *self[7:])


Step = tuple[What, World]


@cache
def _less(budget: Budget, trouble: str) -> Budget:
    left: int = getattr(budget, trouble) - 1
    return budget._replace(**{trouble: left})


def _put(values: tuple[int, ...], index: int, value: int) -> tuple[int, ...]:
    return (*values[:index], value, *values[index + 1 :])
