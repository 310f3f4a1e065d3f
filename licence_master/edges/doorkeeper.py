"""Who may do what at the admin API: bearer tokens, roles, and the Unix socket whose openers are admin."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum

from fastapi import Request

from licence_master.edges.problems import ProblemError
from licence_master.service.installation import Installation
from licence_master.service.secret import fits, hash_of
from licence_master.store.directory import DataDirectory
from licensing.codes import Code, Refusal


class Rank(IntEnum):
    """Each may do what those before it may; a site sees itself alone."""

    SITE = 0
    AUDITOR = 1
    OPERATOR = 2
    ADMIN = 3


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: `installation` None means all of them, `site` the one PBX of a site token."""

    actor: str
    rank: Rank
    installation: str | None = None
    site: str | None = None


@dataclass(frozen=True, slots=True)
class Access:
    """A caller at an installation, allowed to do what was asked."""

    caller: Caller
    installation: Installation

    @property
    def site(self) -> str | None:
        """The only PBX this caller may see, or None for all."""
        return self.caller.site

    def sees(self, pbx: str) -> bool:
        """May this caller see what belongs to this PBX?"""
        return self.caller.site in (None, pbx)


class Doorkeeper:
    """Knows callers by their token; without a data directory every caller came through the Unix socket."""

    def __init__(self, installations: Mapping[str, Installation], directory: DataDirectory | None) -> None:
        self._installations = installations
        self._directory = directory

    def caller(self, request: Request) -> Caller:
        """Who asks; ProblemError 401 for no token or a bad one."""
        if self._directory is None:
            return Caller("socket", Rank.ADMIN)
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "bearer" and token:
            if self._is_first_token(self._directory, token):
                return Caller("token:admin", Rank.ADMIN)
            for installation in self._installations.values():
                found = installation.enrolment.authenticate(token)
                if found is not None:
                    role, _, site = found.role.partition(":")
                    rank = Rank[role.upper()]
                    return Caller(f"token:{found.id}", rank, installation.name, site or None)
        raise ProblemError(Refusal(Code.TOKEN_INVALID))

    def at_least(self, rank: Rank) -> Callable[..., Access]:
        """A dependency: the caller at the installation of the path, 403 below this rank.

        A scoped token learns nothing about other installations, not even whether they exist.
        """

        def access(request: Request, installation: str) -> Access:
            caller = self.caller(request)
            foreign = caller.installation not in (None, installation)
            if foreign or caller.rank < rank:
                raise ProblemError(Refusal(Code.FORBIDDEN))
            found = self._installations.get(installation)
            if found is None:
                raise ProblemError(Refusal(Code.UNKNOWN_INSTALLATION))
            return Access(caller, found)

        return access

    def _is_first_token(self, directory: DataDirectory, token: str) -> bool:
        """The token in keys/admin.token; who removes or replaces the file ends it at once."""
        try:
            return fits(token, hash_of(directory.admin_token.read_text().strip()))
        except OSError:
            return False
