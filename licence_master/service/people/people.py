"""Who may sign in at an installation: names, roles and password hashes."""

from dataclasses import replace

from licence_master.service.people.passwords import Passwords, outdated
from licence_master.service.writer import Writer
from licence_master.store import credentials
from licence_master.store.credentials import Person
from licensing.codes import Code, Refusal
from runtime.logs import logger

MAX_PEOPLE = 1_000

log = logger()


class People:
    """The people of one installation."""

    def __init__(self, writer: Writer, people: dict[str, Person]) -> None:
        self._writer = writer
        self._people = people

    def all(self) -> list[Person]:
        """Everybody, by name."""
        return sorted(self._people.values(), key=lambda person: person.name)

    def find(self, name: str) -> Person | None:
        """The person of this name."""
        return self._people.get(name)

    async def add(self, name: str, role: str, password: str, passwords: Passwords) -> Person | Refusal:
        """Let somebody sign in; `role` is admin, operator, auditor or site:NAME. Busy."""
        stored = await passwords.hash(password)
        if name in self._people:
            return Refusal(Code.NAME_TAKEN, name)
        if len(self._people) >= MAX_PEOPLE:
            return Refusal(Code.INVALID_REQUEST, f"there are {MAX_PEOPLE} users already")
        now = self._writer.clock.wall_ms()
        return await self._keep(Person(name, role, stored, now, now), "person.added")

    async def set_password(self, name: str, password: str, passwords: Passwords) -> Person | Refusal:
        """Another password; Busy."""
        stored = await passwords.hash(password)
        person = self._people.get(name)
        if person is None:
            return _nobody(name)
        changed_ms = max(self._writer.clock.wall_ms(), person.changed_ms + 1)
        person = replace(person, password=stored, changed_ms=changed_ms)
        return await self._keep(person, "person.password_changed")

    async def remove(self, name: str) -> Person | Refusal:
        """Let somebody in no more."""
        person = self._people.pop(name, None)
        if person is None:
            return _nobody(name)
        await self._writer.commit(self._writer.state, (), "master", [credentials.drop_person(name)])
        log.info("person.removed", installation=self._writer.name, name=name)
        return person

    async def sign_in(self, name: str, password: str, passwords: Passwords) -> Person | None:
        """The person, when the password is theirs; hashed anew when its parameters are of yesterday. Busy."""
        person = self._people.get(name)
        fits = await passwords.fits(password, person.password if person else None)
        if not fits or person is None:
            return None
        stored = await passwords.hash(password) if outdated(person.password) else person.password
        if self._people.get(name) != person:  # removed or changed while we looked
            return None
        return await self._keep(replace(person, password=stored, seen_ms=self._writer.clock.wall_ms()), "")

    async def _keep(self, person: Person, event: str) -> Person:
        self._people[person.name] = person
        await self._writer.commit(self._writer.state, (), "master", [credentials.keep_person(person)])
        if event:
            log.info(event, installation=self._writer.name, name=person.name, role=person.role)
        return person


def _nobody(name: str) -> Refusal:
    return Refusal(Code.NOT_FOUND, f"no user {name}")
