"""What a user may use: the licences that he has, single or in a bundle, and the apps that come with them.

Modele de Licence V13r2, 4 to 6; rules L.r27 to L.r30 of docs/licence-rules.md.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from licensing.catalogue import Catalogue, Row
from licensing.codes import Code, Refusal
from licensing.named.assignment import Roll, Subject, bundle_of, new_enough
from licensing.named.kinds import NamedLicence
from licensing.named.standing import Standing, no_user, standings, too_old
from licensing.state import State

WITH_A_UNIT = "assignment"


@dataclass(frozen=True, slots=True)
class Right:
    """A licence, an app or a part of an app; `through` what gives it, `reason` why it is not there."""

    id: str
    name: str
    through: str = ""
    reason: Refusal | None = None
    parts: tuple["Right", ...] = ()

    @property
    def has(self) -> bool:
        """Whether it may be used."""
        return self.reason is None


@dataclass(frozen=True, slots=True)
class Rights:
    """Everything that is assigned to a name, and every app that needs no licence of its own."""

    subject: Subject
    kind: str
    licences: Mapping[str, Right]
    apps: Mapping[str, Right]


def rights(state: State, catalogue: Catalogue, subject: Subject, kind: str = "user") -> Rights:
    """What this user or object has, and what not and why; nothing has to be assigned to ask."""
    own = {each.row.licence: each for each in standings(state) if each.row.subject == subject}
    kind = next((each.row.kind for each in own.values()), kind)
    licences = {
        id_: _licence(state, licence, subject, kind, own.get(id_)) for id_, licence in state.named.items()
    }
    software = state.software_of(subject.pbx)
    apps = {app.id: _app(app, licences, subject, software) for app in catalogue.apps}
    return Rights(subject, kind, licences, apps)


def _licence(state: State, licence: NamedLicence, subject: Subject, kind: str, own: Standing | None) -> Right:
    """4: what a user has in his bundle he need not be assigned; else his assignment decides."""
    bundle = bundle_of(state.named, state.rolls, subject, licence.id)
    if bundle:
        usable = new_enough(state.ground(), licence, subject.pbx)
        return Right(
            licence.id, licence.name, bundle, None if usable else too_old(state, licence, subject.pbx)
        )
    if own is not None:
        through = own.through or (WITH_A_UNIT if own.licensed else "")
        return Right(licence.id, licence.name, through, own.reason)
    if kind in licence.group_kinds:
        roll = state.rolls.get(licence.id, Roll())
        return Right(licence.id, licence.name, "group", None if roll.licensed else no_user(licence, kind))
    detail = f"{licence.name} is not assigned to {subject}"
    advice = f"licence-master assign {subject.object} {licence.id}"
    return Right(licence.id, licence.name, "", Refusal(Code.NOT_LICENSED, detail, advice))


def _app(app: Row, licences: Mapping[str, Right], subject: Subject, software: int) -> Right:
    """5.3 to 6.9, L.r29: an app without a licence of its own comes with the licences that it rests on."""
    reason = _lacking(app.requires, licences) or _lacking_all(app.requires_any, licences)
    if software < app.min_software:
        detail = f"{app.name} needs software {app.min_software}, {subject.pbx} runs {software}"
        reason = Refusal(Code.MIN_SOFTWARE, detail)
    parts = tuple(
        Right(name, name, "", reason or _lacking(needs, licences)) for name, needs in app.parts.items()
    )
    through = "free" if not app.requires and not app.requires_any else ""
    given = [id_ for id_ in (*app.requires, *app.requires_any) if id_ in licences and licences[id_].has]
    return Right(app.id, app.name, through or " ".join(given), reason, parts)


def _lacking(ids: Iterable[str], licences: Mapping[str, Right]) -> Refusal | None:
    """Why the first of these licences that is missing is missing."""
    return next((licences[id_].reason for id_ in ids if id_ in licences and not licences[id_].has), None)


def _lacking_all(ids: Iterable[str], licences: Mapping[str, Right]) -> Refusal | None:
    """Why none of these licences is there, where one would do."""
    ids = [id_ for id_ in ids if id_ in licences]
    if not ids or any(licences[id_].has for id_ in ids):
        return None
    names = " or ".join(licences[id_].name for id_ in ids)
    first = licences[ids[0]].reason
    assert first is not None, "no right without its reason"
    return Refusal(first.code, f"needs {names}; {first.detail}", first.hint)
