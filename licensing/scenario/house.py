"""The house of a scenario: a master's ledger and a site for each PBX, which decide as the real ones do.

Nothing is decided here. Orders are the live ones, each PBX has its real share and seats, and every sync goes
through the live allocator, until nobody has anything more to say.
"""

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import msgspec

from licensing import administration
from licensing.administration import Change
from licensing.catalogue import Catalogue
from licensing.codes import Code, Refusal
from licensing.demand import PoolKey, kinds
from licensing.files import delivery, inventory
from licensing.files.delivery import Here
from licensing.files.licence_file import Licence, Row, SignedFile
from licensing.files.transfer import transfer
from licensing.installation import normal_mac
from licensing.lender import allocator, bound, takeover
from licensing.lender.denial import short_pool
from licensing.lender.lending import fall
from licensing.named import assigning
from licensing.named.standing import taken
from licensing.offers import offered
from licensing.scenario.scenario import Member, Scenario, Units
from licensing.scenario.site import Site
from licensing.site.decision import Admitted, Decision, Waiting
from licensing.state import State
from licensing.terms import day
from licensing.wire import VERSION, Answer, ClassDemand, Enrolled, Policy, Roster, Sync

ISSUER = "scenario"
_STAND_BY = "Register it at the PBX that stands by: at: NAME."
_MOST_TURNS = 100  # a site has its say a few times; more would be a fault of the protocol


@dataclass(slots=True)
class House:
    """Everything there is; `day` is the date in the scenario, `now_ms` a clock that waiting objects move."""

    catalogue: Catalogue
    members: Mapping[str, Member]
    state: State = field(default_factory=State)
    sites: dict[str, Site] = field(default_factory=dict)
    demands: dict[str, Mapping[str, ClassDemand]] = field(default_factory=dict)
    day: int = 0
    now_ms: int = 0
    _files: int = 0
    _drawn: dict[str, Mapping[PoolKey, int]] = field(default_factory=dict)
    _touched: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, scenario: Scenario, catalogue: Catalogue) -> "House":
        """The house as a scenario describes it: every agent has joined, and no licence is installed yet."""
        house = cls(catalogue, {member.name: member for member in scenario.members})
        settings, pbxs = scenario.settings, scenario.pbxs
        house.commit(administration.found("scenario", 1, recovery=False, settings=settings, pbxs=pbxs))
        house.commit(assigning.learn(house.state, catalogue))
        for pbx in pbxs:
            house.commit(administration.enrol(house.state, pbx.name, f"key of {pbx.name}"))
            told = Enrolled(
                v=VERSION,
                agent=pbx.name,
                installation="scenario",
                epoch=1,
                instance=house.state.instance,
                term=house.state.term,
                master_key="",
                nonce="",
                policy=house._policy(pbx.name),
                roster=Roster(0, {}),
            )
            house.sites[pbx.name] = Site.enrolled(told, house.state.software_of(pbx.name), 0)
        house.talk(house.sites)
        return house

    # Orders to the master

    def commit(self, change: Change | Refusal) -> None:
        """Make a change true; those whom it wakes talk to the master."""
        assert isinstance(change, Change), change
        self.state = change.state
        self._touched.update(self.sites)
        self.talk(sorted(change.wake & self.sites.keys()))

    def order(self, found: Change | Refusal | tuple[Refusal, ...]) -> Refusal | None:
        """Make a change true unless it is refused."""
        if isinstance(found, Change):
            self.commit(found)
            return None
        return found if isinstance(found, Refusal) else found[0]

    def install(self, units: Units) -> Refusal | None:
        """Install units: as an administrator's statement, or those that end as a file that is signed."""
        if units.until is None:
            found = inventory.install(self.state, self.catalogue, [units.item], demands=self.demands)
        else:
            here = Here(ISSUER, self.day * day.MS)
            found = delivery.install(
                self.state, self.catalogue, self._rental(units), here, demands=self.demands
            )
        return self.order(found)

    def remove(self, item: inventory.Item) -> Refusal | None:
        """Remove units; nobody is cut."""
        return self.order(inventory.remove(self.state, self.catalogue, [item], demands=self.demands))

    def move(self, item: inventory.Item, to: str) -> Refusal | None:
        """Transfer units to the PBX of this name or MAC."""
        mac = normal_mac(to)
        boxes = {pbx.mac: name for name, pbx in self.state.pbxs.items() if pbx.mac}
        place = to if mac is None or to in self.state.pbxs else boxes.get(mac, to)
        return self.order(transfer(self.state, self.catalogue, item, place, demands=self.demands))

    def turn_to(self, today: int) -> Refusal | None:
        """It is another day: what was rented until then is over. `invalid_request` for a day before."""
        if today < self.day:
            return Refusal(
                Code.INVALID_REQUEST, "time goes on only", "Give a later day than the step before."
            )
        self.day = today
        ended = delivery.expire(self.state, today * day.MS, demands=self.demands)
        if ended is not None:
            self.commit(ended)
        return None

    def upgrade(self, software: int, pbx: str) -> None:
        """A PBX, or all, run this release; their agents say so."""
        names = [pbx] if pbx else list(self.sites)
        for name in names:
            self.sites[name].upgraded(software, self.now_ms)
        self.talk(names)

    def _rental(self, units: Units) -> SignedFile:
        self._files += 1
        item, until_ms = units.item, ((units.until or 0) + 1) * day.MS
        row = Row(item.type, item.count, item.place, item.mac)
        licence = Licence(
            alg="", project=ISSUER, issue_no=self._files, issued_ms=0, licences=(row,), until_ms=until_ms
        )
        return SignedFile(f"scenario {self._files}", ISSUER, ISSUER, ISSUER, licence)

    # Requests of phones

    def register(self, name: str, device: str, pbx: str) -> Refusal | None:
        """A device registers at a PBX; the refusal, or None."""
        if pbx in self.state.failed:
            return Refusal(
                Code.INVALID_REQUEST, f"{pbx} is failed, so that no phone registers there", _STAND_BY
            )
        site, kind = self.sites[pbx], self._kind(name, pbx)
        if name not in site.devices:
            refusal = self._admitted(pbx, name, kind, site.seats.decide(name, kind, self.now_ms))
            if refusal is not None:
                self.hear(pbx)
                return refusal
        site.accept(name, kind, device, self.now_ms)
        self.hear(pbx)
        return None

    def unregister(self, name: str, device: str, pbx: str) -> None:
        """A device is gone from a PBX, or without a device all of them."""
        self.sites[pbx].gone(name, device, self.now_ms)
        self.hear(pbx)

    def _kind(self, name: str, pbx: str) -> str:
        """The kind as an agent of this PBX knows it: `user@lyon` is an object of another one (L.r16)."""
        member = self.members[name]
        return member.kind if member.pbx == pbx else f"{member.kind}@{member.pbx}"

    def use(self, pbx: str, ask: Callable[[Site], Decision]) -> Refusal | None:
        """A call or a client asks for a unit at a PBX; the refusal, or None."""
        site = self.sites[pbx]
        before = site.uses.asked()
        decision = ask(site)
        waits = [key for key in site.uses.asked() if key not in before]
        kind = site.uses.wanted(waits[0]).kind if waits else ""
        refusal = self._admitted(pbx, waits[0] if waits else "", kind, decision)
        self.hear(pbx)
        return refusal

    def _admitted(self, pbx: str, key: str, kind: str, decision: Decision) -> Refusal | None:
        """The end of a request that may have to wait: by what the master lends or denies, or by its patience.

        A refusal is in the master's words, which a phone is not told.
        """
        site = self.sites[pbx]
        while isinstance(decision, Waiting):
            self.hear(pbx)
            decision = site.ended(self.now_ms).get(key, decision)
            due_ms = site.seats.next_expiry()
            if isinstance(decision, Waiting) and due_ms is not None:
                self.now_ms = max(self.now_ms, due_ms)
        if isinstance(decision, Admitted):
            return None
        class_ = site.seats.class_of(kind) if kind else None
        denial = site.denials.get(class_ or "")
        if class_ is None or denial is None or denial.code != decision.code:
            return Refusal(decision.code)
        return Refusal(decision.code, self._how_short(pbx, class_), denial.hint)

    def _how_short(self, pbx: str, class_: str) -> str:
        """The pool that was short, in numbers; nothing where none of its units counts anyway."""
        key = PoolKey.parse(short_pool(self.state, pbx, class_))
        usable = self.state.pool(key).usable(self.state.software_for(pbx, class_))
        return f"{self.used().get(key, 0)} of {usable} {key} are used" if usable else ""

    # Syncs

    def talk(self, names: Iterable[str]) -> None:
        """These sites sync, and all whom that wakes, until nobody has more to say."""
        waking = deque(names)
        turns = 0
        while waking:
            turns += 1
            assert turns <= _MOST_TURNS * len(self.sites), "the sites do not come to rest"
            name = waking.popleft()
            waking.extend(sorted(self._sync(name) - {*waking}))
            if self.sites[name].seats.urgent and name not in waking:
                waking.append(name)

    def hear(self, name: str) -> None:
        """Something happened at a site; it syncs where the master should hear of it at once."""
        self._touched.add(name)
        if self.sites[name].seats.urgent:
            self.talk([name])

    def rest(self) -> None:
        """Nobody keeps anything ready for his next phones: the master says what becomes of what is in use."""
        self.talk([woken for name in self.sites for woken in self._sync(name, ahead=False)])

    def _sync(self, name: str, *, ahead: bool = True) -> frozenset[str]:
        """One sync and its answer; whom it wakes."""
        site = self.sites[name]
        sent = site.ask(self.now_ms, ahead=ahead)
        request = msgspec.json.decode(sent.body, type=Sync)
        outcome = allocator.sync(self.state, self.demands, request)
        self.state, self.demands[name] = outcome.state, outcome.demand
        answer = Answer(
            v=VERSION,
            instance=self.state.instance,
            term=self.state.term,
            epoch=self.state.agents[name].epoch,
            ack_seq=request.seq,
            ack_activity=0,
            nonce=str(request.seq),
            now_ms=self.now_ms,
            next_ms=0,
            shares=dict(outcome.shares),
            denials=dict(outcome.denials),
            policy=self._policy(name),
        )
        site.answered(sent, msgspec.json.encode(answer), self.now_ms)
        self._touched.add(name)
        return outcome.wake

    def _policy(self, name: str) -> Policy:
        """A PBX enforces, and its units come back at once: nothing lingers (L.r9)."""
        pbx = self.state.pbxs[name]
        lingering = {member.kind: 0 for member in self.members.values()}
        policy = Policy(
            etag="", kinds=kinds(pbx), linger_s=lingering, uses=offered(self.state.classes.values())
        )
        return bound.with_lines(self.state, pbx, takeover.with_standby(self.state, pbx, policy))

    # What is in use

    def used(self) -> dict[PoolKey, int]:
        """Units by pool that objects, calls and assignments hold; what is lent and idle is not in use."""
        for name in self._touched:
            self._drawn[name] = self._drawn_by(name)
        self._touched.clear()
        units = dict(taken(self.state))
        for drawn in self._drawn.values():
            for key, count in drawn.items():
                units[key] = units.get(key, 0) + count
        return units

    def _drawn_by(self, name: str) -> Mapping[PoolKey, int]:
        """What would be left on record if the site gave back all that nobody has, by the live rule."""
        state, units = self.state, dict[PoolKey, int]()
        for class_, demand in self.sites[name].seats.demand().items():
            reserved = state.failed.get(name, {}).get(class_, 0)
            held = max(demand.used + demand.surplus, reserved)
            left = fall(state, name, class_, held).share(name, class_)
            for key, count in left.drawn.items():
                units[key] = units.get(key, 0) + count
        return units
