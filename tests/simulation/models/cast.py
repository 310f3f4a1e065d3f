"""Who plays in a model: the masters and agents of a scenario, under the rules that are in force."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from licensing import administration
from licensing.administration import Change
from licensing.demand import STANDBY_CLASSES, PoolKey
from licensing.files import inventory
from licensing.files.inventory import Item
from licensing.installation import Settings
from licensing.named import assigning
from licensing.pool import Pool
from licensing.state import State
from tests.licensing.house import CATALOGUE
from tests.simulation.models.borrower import SOFTWARE, Borrower, Effect, Post
from tests.simulation.models.lender import Lender, Store
from tests.simulation.models.rules import ALL_RULES, Rule
from tests.simulation.models.scenario import Said, Scenario
from tests.simulation.models.world import Site, World

POOLS = {"PBX-Port13": "port", "PBX-IPVA13": "ipva", "PBX-Standby13": "standby"}


@dataclass(slots=True)
class Cast:
    """The real cores of one model, and what never changes in it."""

    scenario: Scenario
    rules: frozenset[Rule] = ALL_RULES
    post: Post = field(default_factory=Post)
    lender: Lender = field(init=False)
    borrower: Borrower = field(init=False)
    names: tuple[str, ...] = field(init=False)
    pools: tuple[PoolKey, ...] = field(init=False)
    draws: tuple[tuple[bool, ...], ...] = field(init=False)
    """By agent and pool: whether a unit of the agent's class draws from it."""
    standby: tuple[bool, ...] = field(init=False)
    told: dict[tuple[Site, int], Site] = field(default_factory=dict)
    """What a reply makes of a site, worked out once."""
    _done: dict[tuple[str | int, ...], int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.names = tuple(pbx.name for pbx in self.scenario.pbxs)
        classes = dict(zip(self.names, self.scenario.classes, strict=True))
        self.standby = tuple(class_ in STANDBY_CLASSES for class_ in self.scenario.classes)
        self.lender = Lender(self.post, classes, self.rules)
        self.borrower = Borrower(self.post, classes, self.rules)

    def beginning(self) -> World:
        """Everyone is enrolled and has said what the scenario begins with."""
        store = Store(self.founded("one", recovery=False), {}, {}, {}, 1)
        self._survey(store.state)
        master, sites = self.lender.number(store), []
        for index, name in enumerate(self.names):
            master, told = self.lender.enrol(master, name)
            row = self.borrower.enrolled(told)
            sites.append(Site(index, row, row, index, sends=self.scenario.sends[index]))
        owned = self.owned(master)
        world = World(
            tuple(sites), (master,), (master,), owned, owned, self.scenario.budget, boots=len(sites)
        )
        for said in self.scenario.said:
            world = self._exchanged(world, said)
        return world

    def founded(self, instance: str, *, recovery: bool, owned: tuple[int, ...] = ()) -> State:
        """A new store with its licences installed."""
        state = administration.found(
            instance, 1, recovery=recovery, settings=Settings(), pbxs=self.scenario.pbxs
        ).state
        state = assigning.learn(state, CATALOGUE).state
        stock = zip(self.scenario.stock, owned or self.scenario.stock.values(), strict=True)
        items = [Item(type_, units) for type_, units in stock if units]
        change = inventory.install(state, CATALOGUE, items)
        assert isinstance(change, Change), change
        return change.state

    def _survey(self, state: State) -> None:
        found = {key.pool: key for key in state.pools}
        self.pools = tuple(found[POOLS[type_]] for type_ in self.scenario.stock)
        self.draws = tuple(
            tuple(any(key in slot for slot in state.bundle(name, class_) or ()) for key in self.pools)
            for name, class_ in zip(self.names, self.scenario.classes, strict=True)
        )
        self.lender.pools = self.pools
        self.lender.plenty = self._plenty(state.pools)

    def _plenty(self, pools: Mapping[PoolKey, Pool]) -> Mapping[PoolKey, Pool]:
        """The pools as a master sees them that lacks a rule of theirs."""
        if Rule.WHOLE_BUNDLE not in self.rules:
            return {key: Pool(key, 9, ((0, 9),), SOFTWARE) for key in pools if key.pool == "ipva"}
        if Rule.STANDBY_WHOLE not in self.rules:
            return {key: pool for key, pool in pools.items() if key.pool == "standby"}
        return pools if Rule.SURPLUS_FALLS not in self.rules else {}

    def _exchanged(self, world: World, said: Said) -> World:
        site = world.sites[said.agent]
        row, request = self.borrower.prepare(site.row, said.phones, said.want, 0, f"b{site.boot}", False)
        master, reply = self.lender.receive(world.masters[0], request)
        row, effect = self.borrower.answered(row, reply)
        assert effect is Effect.APPLIED
        after = site._replace(row=row, disk=row, registered=said.phones, known=said.phones)
        return world.with_site(said.agent, after).with_master(0, master, master)

    # what everyone asks

    def owned(self, master: int) -> tuple[int, ...]:
        """Usable units of each pool at this master."""
        return self.lender.installed[master]

    def called(self, world: World, index: int) -> str:
        """What a trail calls this site."""
        name = self.names[world.sites[index].agent]
        return name if index < len(self.names) else f"the copy of {name}"

    def kept(self, site: Site, row: int) -> int:
        """What is on disk once this record is used."""
        return row if Rule.AGENT_DURABLE in self.rules else site.disk

    def once(self, key: tuple[str | int, ...], work: Callable[[], int]) -> int:
        """The store that this work makes, worked out once."""
        done = self._done.get(key)
        if done is None:
            done = self._done[key] = work()
        return done
