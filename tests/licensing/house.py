"""An installation to ask questions of: the real ledger and allocator, with the simplest agent there is.

Each PBX's agent holds one unit for each object and syncs at every step, without spare or linger.
"""

from dataclasses import dataclass, field
from pathlib import Path

import yaml

import licensing
from licensing import administration
from licensing.administration import Change
from licensing.catalogue import Catalogue
from licensing.codes import Refusal
from licensing.demand import ANY_KIND, PoolKey, kinds
from licensing.files import conversion, inventory, transfer
from licensing.files.inventory import Item
from licensing.installation import MASTER, Pbx, Settings
from licensing.ledger import AnyEvent, replay
from licensing.lender import allocator, takeover
from licensing.named import assigning
from licensing.state import State
from licensing.wire import ClassDemand, Denial, ShareGrant, Software, Sync

CATALOGUE_FILE = Path(licensing.__path__[0]) / "catalogue.yaml"
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
DOCUMENT = yaml.load(CATALOGUE_FILE.read_text(encoding="utf-8"), LOADER)
CATALOGUE = Catalogue.from_rows(DOCUMENT)


def request(
    agent: str,
    classes: dict[str, ClassDemand],
    *,
    software: int = 13,
    seq: int = 1,
    prev: str = "",
    boot: str = "b1",
    epoch: int = 1,
    instance: str = "one",
    term: int = 1,
) -> Sync:
    """A sync with what a test cares about."""
    return Sync(
        v=1,
        agent=agent,
        installation="acme",
        epoch=epoch,
        instance=instance,
        term=term,
        seq=seq,
        prev=prev,
        boot=boot,
        sent_at_ms=0,
        software=Software(software),
        classes=classes,
    )


@dataclass
class House:
    """The master's ledger of one installation and what its agents hold."""

    pbxs: tuple[Pbx, ...] = (Pbx("hq", role="master"),)
    settings: Settings = field(default_factory=Settings)
    software: dict[str, int] = field(default_factory=dict)
    catalogue: Catalogue = CATALOGUE
    state: State = field(default_factory=State)
    events: list[AnyEvent] = field(default_factory=list)
    demands: dict[str, dict[str, ClassDemand]] = field(default_factory=dict)
    holding: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    shares: dict[str, dict[str, ShareGrant]] = field(default_factory=dict)
    denials: dict[str, dict[str, Denial]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.apply(administration.found("one", 1, recovery=False, settings=self.settings, pbxs=self.pbxs))
        self.apply(assigning.learn(self.state, self.catalogue))
        for pbx in self.pbxs:
            self.apply(administration.enrol(self.state, pbx.name, f"key of {pbx.name}"))

    def apply(self, change: Change | Refusal | tuple[Refusal, ...]) -> Change:
        """Commit a change that must not be refused."""
        assert isinstance(change, Change), change
        self.events += change.events
        self.state = change.state
        assert replay(self.events) == self.state
        return change

    def install(self, *rows: str, place: str | None = None, mac: str | None = None) -> str | None:
        """Install rows written as `10 PBX-Port13`; the code of the first refusal, or None."""
        items = [_item(row, place, mac) for row in rows]
        done = inventory.install(self.state, self.catalogue, items)
        if isinstance(done, tuple):
            return str(done[0].code)
        self.apply(done)
        return None

    def remove(self, *rows: str, place: str | None = None) -> str | None:
        """Remove rows written as `10 PBX-Port13`; the code of the first refusal, or None."""
        done = inventory.remove(self.state, self.catalogue, [_item(row, place, None) for row in rows])
        if isinstance(done, tuple):
            return str(done[0].code)
        self.apply(done)
        return None

    def convert(self, pool: str = "smb-port") -> str | None:
        """Convert the units of a pool; the code of the refusal, or None."""
        return self._ordered(conversion.convert(self.state, self.catalogue, pool, demands=self.demands))

    def transfer(self, row: str, to: str | None, place: str | None = None) -> str | None:
        """Move a row written as `4 PBX-Port13`; the code of the refusal, or None."""
        item = _item(row, place, None)
        return self._ordered(transfer.transfer(self.state, self.catalogue, item, to, demands=self.demands))

    def fail(self, pbx: str) -> str | None:
        """An operator calls a PBX failed."""
        return self._ordered(takeover.fail(self.state, pbx, demands=self.demands))

    def recover(self, pbx: str) -> str | None:
        """It is in service again."""
        return self._ordered(takeover.recover(self.state, pbx, demands=self.demands))

    def _ordered(self, done: Change | Refusal) -> str | None:
        if isinstance(done, Refusal):
            return str(done.code)
        self.apply(done)
        return None

    def usable(self, name: str) -> int:
        """Units of a pool for the software of its place."""
        key = PoolKey.parse(name)
        software = self.state.master_software if key.place == MASTER else self.state.software_of(key.place)
        return self.state.pool(key).usable(software)

    def used(self, name: str) -> int:
        """Units of a pool that are lent; this agent asks for nothing it does not use."""
        return self.state.lent_from(PoolKey.parse(name))

    def register(self, obj: str, pbx: str, kind: str = "user") -> str | None:
        """An object's first device registers; None when it is admitted, else the code."""
        by_kind = kinds(self.state.pbxs[pbx], self.state.failed)
        class_ = by_kind.get(kind, by_kind[ANY_KIND])
        return None if class_ is None else self.draw(obj, pbx, class_)

    def draw(self, obj: str, pbx: str, class_: str) -> str | None:
        """Take one unit of a class for an object that may hold one already (L.r9)."""
        held = self.holding.setdefault((pbx, class_), [])
        if obj in held:
            return None
        denied = self.sync(pbx, waiting={class_: 1})
        grant = self.shares[pbx][class_]
        limit = grant.granted if grant.recall_to is None else max(grant.recall_to, len(held))
        if grant.max_software >= self.state.software_of(pbx) and limit > len(held):
            held.append(obj)
        self.sync(pbx)
        return None if obj in held else denied[class_].code

    def release(self, obj: str, pbx: str) -> None:
        """The object's last device is gone."""
        for (name, _), held in self.holding.items():
            if name == pbx and obj in held:
                held.remove(obj)
        self.sync(pbx)

    def sync(self, pbx: str, waiting: dict[str, int] | None = None) -> dict[str, Denial]:
        """Say what this PBX uses, and what waits; the denials."""
        waiting = waiting or {}
        classes = {
            class_: ClassDemand(used=len(held), want=len(held) + waiting.get(class_, 0))
            for (name, class_), held in self.holding.items()
            if name == pbx
        }
        software = self.software.get(pbx, self.state.pbxs[pbx].software or self.settings.software)
        before = self.state
        outcome = allocator.sync(before, self.demands, request(pbx, classes, software=software))
        assert replay(outcome.events, before) == outcome.state
        self.events += outcome.events
        self.state = outcome.state
        self.demands[pbx] = dict(outcome.demand)
        self.shares[pbx] = dict(outcome.shares)
        self.denials[pbx] = dict(outcome.denials)
        return dict(outcome.denials)


def _item(row: str, place: str | None, mac: str | None) -> Item:
    count, _, type_ = row.partition(" ")
    return Item(type_, int(count), place, mac)
