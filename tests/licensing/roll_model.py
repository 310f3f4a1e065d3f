"""Who is licensed, the slow and obvious way: a list of people, a list of units, and a hand-written table.

Written against docs/licence-rules.md (L.r5 to L.r7, L.r23, L.r26 to L.r30), not against the code.
"""

from dataclasses import dataclass, field

PARTS = ["app-phone", "app-softphone", "appsharing", "video", "voicemail-user", "mobility", "fax"]
NEEDS_PHONE = ["app-softphone", "appsharing", "video"]
OTHERS = ["app-chat", "app-conference", "app-switchboard", "reporting", "recording"]
ORDER = ["uc", *(part for part in PARTS if part not in NEEDS_PHONE), *NEEDS_PHONE, *OTHERS]
TYPES = {
    "uc": "UC",
    "app-phone": "App(phone)",
    "app-softphone": "App(softphone)",
    "appsharing": "AppSharing",
    "video": "Video",
    "voicemail-user": "VoicemailUser",
    "mobility": "Mobility",
    "fax": "Fax",
    "app-chat": "App(chat)",
    "app-conference": "App(innovaphone-pbx-conference)",
    "app-switchboard": "App(innovaphone-switchboard)",
    "reporting": "Reporting",
    "recording": "App(innovaphone-recorder)",
}


@dataclass
class Person:
    """One assignment: whose, what, and whether a unit is with it."""

    pbx: str
    object: str
    licence: str
    kind: str
    waived: bool
    holds: bool = False


@dataclass
class Model:
    """Units as one entry each: (licence or any other family, release, place; "" is the master)."""

    software: dict[str, int]
    lenient: bool = False
    units: list[tuple[str, int, str]] = field(default_factory=list)
    people: list[Person] = field(default_factory=list)

    def place(self, pbx: str) -> str:
        return pbx if any(place == pbx for _, _, place in self.units) else ""

    def suffices(self, licence: str, place: str, people: list[Person]) -> bool:
        """Could all of these hold a unit at once?"""
        releases = sorted((r for name, r, p in self.units if (name, p) == (licence, place)), reverse=True)
        needs = sorted((self.software[person.pbx] for person in people), reverse=True)
        if len(needs) > len(releases):
            return False
        if not self.lenient:
            return not needs or max(needs) <= min(releases)
        return all(release >= need for release, need in zip(releases, needs, strict=False))

    def has(self, pbx: str, obj: str, licence: str) -> bool:
        """Whether this user has the licence now, single or in UC."""
        own = {p.licence for p in self.people if (p.pbx, p.object) == (pbx, obj) and p.holds}
        if licence == "voicemail-user" and self.software[pbx] < 10:
            return False
        return licence in own or (licence in PARTS and "uc" in own)

    def unable(self, person: Person) -> str | None:
        """Why this one draws no unit, whatever there is; "uc" and "group" are reasons to have it without."""
        if person.kind not in ("user", "executive") and person.licence != "reporting":
            anyone = any(p.holds and p.licence == person.licence for p in self.people)
            return "group" if anyone else "requires_licence"
        if person.licence == "voicemail-user" and self.software[person.pbx] < 10:
            return "min_software"
        owner = [p for p in self.people if (p.pbx, p.object) == (person.pbx, person.object) and p.holds]
        if person.licence in PARTS and any(p.licence == "uc" for p in owner):
            return "uc"
        needs = person.licence in NEEDS_PHONE and not person.waived
        if needs and not self.has(person.pbx, person.object, "app-phone"):
            return "requires_licence"
        return None

    def settle(self) -> None:
        """Give every unit to whom it belongs; people are in order of assignment."""
        for licence in ORDER:
            mine = [person for person in self.people if person.licence == licence]
            able = [person for person in mine if self.unable(person) is None]
            row = [p for p in able if p.holds] + [p for p in able if not p.holds]
            for person in mine:
                person.holds = False
            for person in row:
                place = self.place(person.pbx)
                here = [p for p in mine if p.holds and self.place(p.pbx) == place]
                person.holds = self.suffices(licence, place, [*here, person])

    def answer(self, person: Person) -> str | None:
        """None when a unit is held, "uc" or "group" when the right comes without one, else the code."""
        unable = self.unable(person)
        if unable is not None:
            return unable
        if person.holds:
            return None
        place, licence = self.place(person.pbx), person.licence
        releases = [r for name, r, p in self.units if (name, p) == (licence, place)]
        held = [p for p in self.people if p.holds and (p.licence, self.place(p.pbx)) == (licence, place)]
        alone = self.suffices(licence, place, [person])
        if releases and (not alone or len(held) < len(releases)):
            return "licence_version_too_low"
        return "not_licensed"
