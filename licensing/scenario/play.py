"""Playing a scenario: its licences are installed, then its steps are tried one after the other."""

from collections.abc import Callable, Iterable, Iterator
from typing import assert_never

import msgspec

from licensing.catalogue import Catalogue
from licensing.codes import Refusal
from licensing.files import conversion
from licensing.files.inventory import Item
from licensing.lender import takeover
from licensing.named.assignment import moved
from licensing.scenario import answer, naming
from licensing.scenario.answer import Answer, RefusedLicence, StepAnswer
from licensing.scenario.house import House
from licensing.scenario.scenario import (
    Assign,
    Call,
    Convert,
    Expire,
    Fail,
    Hangup,
    Install,
    Join,
    Leave,
    Login,
    Logout,
    Monitor,
    Move,
    OfCall,
    OfClient,
    OfLicences,
    OfPhone,
    OfSite,
    Recover,
    Register,
    Remove,
    Scenario,
    SetTime,
    Step,
    Unassign,
    Units,
    Unmonitor,
    Unregister,
    Upgrade,
)

Progress = Callable[[Iterable[Step]], Iterable[Step]]


def play(scenario: Scenario, catalogue: Catalogue, progress: Progress = iter) -> Answer:
    """What the installation of a scenario answers; `progress` sees the steps go by."""
    house = House.of(scenario, catalogue)
    refused = tuple(_stocked(house, scenario.licences))
    steps = tuple(_played(house, progress(scenario.steps)))
    return Answer(
        steps=steps,
        pools=answer.pools(house),
        warnings=tuple(answer.warnings(house.state)),
        refused=refused,
        surplus=tuple(answer.surplus(house)),
    )


def _stocked(house: House, licences: Iterable[Units]) -> Iterator[RefusedLicence]:
    for number, units in enumerate(licences, start=1):
        refusal = house.install(units)
        if refusal is not None:
            type_, why = units.item.type, refusal.sentence
            yield RefusedLicence(number, type_, refusal.code, why, refusal.hint)


def _played(house: House, steps: Iterable[Step]) -> Iterator[StepAnswer]:
    used = house.used()
    for number, step in enumerate(steps, start=1):
        before, rolls = used, house.state.rolls
        refusal = tried(house, step)
        used = house.used()
        found = answer.step_answer(number, refusal, before, used)
        if house.state.rolls is not rolls:
            gained, lost = moved(rolls, house.state.rolls)
            found = msgspec.structs.replace(
                found,
                gained=tuple(answer.named(row) for _, row in gained),
                lost=tuple(answer.named(row) for _, row in lost),
            )
        yield found


def tried(house: House, step: Step) -> Refusal | None:
    """Try a step; the refusal, or None when it is done."""
    match step:
        case Register() | Unregister() | Expire():
            return _of_phone(house, step)
        case Call() | Hangup() | Join() | Leave():
            return _of_call(house, step)
        case Login() | Logout() | Monitor() | Unmonitor():
            return _of_client(house, step)
        case Install() | Remove() | Convert() | Move():
            return _of_licences(house, step)
        case Assign(name, licence):
            return naming.assign(house, house.members[name], licence)
        case Unassign(name, licence):
            return naming.unassign(house, house.members[name], licence)
        case Upgrade() | Fail() | Recover() | SetTime():
            return _of_site(house, step)
        case _:
            assert_never(step)


def _of_phone(house: House, step: OfPhone) -> Refusal | None:
    match step:
        case Register(name, device, at):
            return house.register(name, device, at or house.members[name].pbx)
        case Unregister(name, device, at) | Expire(name, device, at):
            house.unregister(name, device, at or house.members[name].pbx)
            return None
        case _:
            assert_never(step)


def _of_call(house: House, step: OfCall) -> Refusal | None:
    """Whoever hangs up or leaves gives back what he had, if anything."""
    match step:
        case Call(gateway, id_, interface):
            at, now_ms = house.members[gateway].pbx, house.now_ms
            return house.use(at, lambda site: site.calls.call(id_, gateway, interface, now_ms))
        case Join(room, call, licence):
            host, now_ms = house.members[room], house.now_ms
            local = host.prefer_local
            return house.use(
                host.pbx,
                lambda site: site.calls.join(room, call, now_ms, prefer_local=local, licence=licence),
            )
        case Hangup(id_):
            for name, site in house.sites.items():
                if site.calls.hangup(id_, house.now_ms):
                    house.hear(name)
        case Leave(room, call, licence):
            pbx = house.members[room].pbx
            house.sites[pbx].calls.leave(room, call, house.now_ms, licence=licence)
            house.hear(pbx)
        case _:
            assert_never(step)
    return None


def _of_client(house: House, step: OfClient) -> Refusal | None:
    now_ms = house.now_ms
    match step:
        case Login(licence, user, software, client):
            at = house.members[user].pbx
            own = software or house.sites[at].software
            return house.use(
                at, lambda site: site.clients.login(user, own, now_ms, client=client, licence=licence)
            )
        case Monitor(queue, client, software, licence):
            at = house.members[queue].pbx
            own = software or house.sites[at].software
            return house.use(
                at, lambda site: site.clients.monitor(queue, client, own, now_ms, licence=licence)
            )
        case Logout(licence, user, client):
            at = house.members[user].pbx
            house.sites[at].clients.logout(user, now_ms, client=client, licence=licence)
        case Unmonitor(queue, client, licence):
            at = house.members[queue].pbx
            house.sites[at].clients.unmonitor(queue, client, now_ms, licence=licence)
        case _:
            assert_never(step)
    house.hear(at)
    return None


def _of_licences(house: House, step: OfLicences) -> Refusal | None:
    house.rest()
    match step:
        case Install(type_, count, place, mac, until):
            return house.install(Units(Item(type_, count, place, mac), until))
        case Remove(type_, count, place, mac):
            return house.remove(Item(type_, count, place, mac))
        case Convert(pool):
            return house.order(conversion.convert(house.state, house.catalogue, pool, demands=house.demands))
        case Move(type_, to, count, place):
            return house.move(Item(type_, count, place), to)
        case _:
            assert_never(step)


def _of_site(house: House, step: OfSite) -> Refusal | None:
    house.rest()
    match step:
        case Upgrade(software, pbx):
            house.upgrade(software, pbx)
            return None
        case Fail(pbx):
            return house.order(takeover.fail(house.state, pbx, demands=house.demands))
        case Recover(pbx):
            return house.order(takeover.recover(house.state, pbx, demands=house.demands))
        case SetTime(today):
            return house.turn_to(today)
        case _:
            assert_never(step)
