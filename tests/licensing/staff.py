"""A house with users: licences are assigned in it, by the real ledger."""

from dataclasses import dataclass

from licensing.administration import Change
from licensing.demand import PoolKey
from licensing.named import assigning
from licensing.named.assigning import Wish
from licensing.named.assignment import Subject, moved
from licensing.named.rights import Right, Rights, rights
from licensing.named.standing import Standing, standings, taken
from tests.licensing.house import House


@dataclass
class Staff(House):
    """The master's ledger, its agents, and who is assigned what."""

    def assign(
        self, user: str, *licences: str, pbx: str = "", kind: str = "", uses: str = ""
    ) -> list[str | None]:
        """Assign licences one after the other; for each the code of why it is not there, or None."""
        found: list[str | None] = []
        for licence in licences:
            wish = Wish(user, licence, pbx, kind, tuple(uses.split()))
            change = assigning.assign(self.state, self.catalogue, [wish])
            if not isinstance(change, Change):
                found.append(str(change[0].refusal.code))
                continue
            self.apply(change)
            found.append(self.code(user, licence))
        return found

    def unassign(self, user: str, licence: str | None = None) -> str | None:
        """End assignments; the code of a refusal, or None."""
        change = assigning.unassign(self.state, self.catalogue, user, licence)
        if isinstance(change, Change):
            self.apply(change)
            return None
        return str(change.code)

    def standing(self, user: str, licence: str) -> Standing:
        """How one assignment stands."""
        (found,) = (e for e in standings(self.state) if (e.row.object, e.row.licence) == (user, licence))
        return found

    def code(self, user: str, licence: str) -> str | None:
        """Why an assignment gives no right, or None."""
        reason = self.standing(user, licence).reason
        return None if reason is None else str(reason.code)

    def rights(self, user: str, pbx: str = "hq", kind: str = "user") -> Rights:
        """What a user has."""
        return rights(self.state, self.catalogue, Subject(pbx, user), kind)

    def has(self, user: str, *licences: str) -> list[bool]:
        """For each licence or app whether the user has it."""
        found = self.rights(user)
        return [(found.licences | found.apps)[id_].has for id_ in licences]  # type: ignore[operator]

    def part(self, user: str, app: str, part: str) -> Right:
        """A part of an app."""
        (found,) = (each for each in self.rights(user).apps[app].parts if each.id == part)
        return found

    def taken(self, pool: str) -> int:
        """Units of a pool that assignments hold."""
        return taken(self.state).get(PoolKey.parse(pool), 0)

    def lost(self, change: Change) -> list[tuple[str, str]]:
        """Who loses what by a change, in one list."""
        return [(row.object, row.licence) for _, row in moved(self.state.rolls, change.state.rolls)[1]]
