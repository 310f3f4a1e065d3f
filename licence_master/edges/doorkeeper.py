"""Who asks at the admin API, by token, cookie or Unix socket (whose openers are admin), and who may do what.

`identify` runs before anything of a request is read; each route says by `at_least` who may come in.
"""

import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum

from starlette.requests import Request

from licence_master.edges.limits import RateLimit
from licence_master.edges.problems import ProblemError
from licence_master.service.installation import Installation
from licence_master.service.people.secret import fits, hash_of
from licence_master.service.people.sessions import Sessions, csrf_token
from licence_master.store.directory import DataDirectory
from licensing.codes import Code, Refusal
from runtime.clock import Clock

SESSION_PATH = "/api/v1/session"
OPEN_PATHS = (("GET", "/healthz"), ("GET", "/readyz"), ("POST", SESSION_PATH))
COOKIE = "__Host-licence-master"
CSRF_HEADER = "X-CSRF-Token"
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")


class Rank(IntEnum):
    """Each may do what those before it may; a site sees itself alone."""

    SITE = 0
    AUDITOR = 1
    OPERATOR = 2
    ADMIN = 3


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: `installation` None means all of them, `site` the one PBX of a site's token.

    `session` is the secret of a cookie.
    """

    actor: str
    rank: Rank
    installation: str | None = None
    site: str | None = None
    session: str | None = None


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
    """Knows callers by their token or cookie, and how often each may ask."""

    def __init__(
        self,
        installations: Mapping[str, Installation],
        directory: DataDirectory,
        sessions: Sessions,
        clock: Clock,
        per_s: int,
        origins: tuple[str, ...] = (),
    ) -> None:
        self._installations = installations
        self._directory = directory
        self._sessions = sessions
        self._clock = clock
        self._limit = RateLimit(per_s)
        self._origins = origins

    def identify(self, request: Request) -> Caller:
        """Who asks; ProblemError 401 for nobody, 403 for a page of another site, 429 for too often."""
        caller = self._of_token(request) if "Authorization" in request.headers else self._of_cookie(request)
        if caller is None:
            sent = "Authorization" in request.headers or COOKIE in request.cookies
            raise ProblemError(Refusal(Code.TOKEN_INVALID, "" if sent else "none was sent"))
        if not self._limit.allows(f"{caller.installation}/{caller.actor}", self._clock.monotonic_ms()):
            raise ProblemError(Refusal(Code.RATE_LIMITED))
        return caller

    def from_here(self, request: Request) -> bool:
        """Whether the page that sends this request is one of ours (header Origin)."""
        origin = request.headers.get("Origin")
        return origin in (f"https://{request.headers.get('Host', '')}", *self._origins)

    def _of_token(self, request: Request) -> Caller | None:
        scheme, _, token = request.headers["Authorization"].partition(" ")
        if scheme.lower() != "bearer" or not token:
            return None
        if self._is_first_token(token):
            return Caller("token:admin", Rank.ADMIN)
        for installation in self._installations.values():
            found = installation.enrolment.authenticate(token)
            if found is not None:
                rank, site = rank_of(found.role)
                return Caller(f"token:{found.id}", rank, installation.name, site)
        return None

    def _of_cookie(self, request: Request) -> Caller | None:
        """The person of a session, who is there still and has the password of then."""
        secret = request.cookies.get(COOKIE, "")
        session = self._sessions.find(secret, self._clock.monotonic_ms())
        if session is None:
            return None
        person = self._installations[session.installation].people.find(session.name)
        if person is None or person.changed_ms != session.changed_ms:
            self._sessions.end(secret)
            return None
        if request.method not in SAFE_METHODS and not self._meant(request, secret):
            raise ProblemError(Refusal(Code.FORBIDDEN, "this request does not come from a page of ours"))
        rank, site = rank_of(person.role)
        return Caller(f"user:{person.name}", rank, session.installation, site, secret)

    def _meant(self, request: Request, secret: str) -> bool:
        """A browser sends cookies along whoever asks it to; only a page of ours knows the token."""
        given = request.headers.get(CSRF_HEADER, "").encode()
        return self.from_here(request) and hmac.compare_digest(given, csrf_token(secret).encode())

    def _is_first_token(self, token: str) -> bool:
        """The token in keys/admin.token; who removes or replaces the file ends it at once."""
        try:
            return fits(token, hash_of(self._directory.admin_token.read_text().strip()))
        except OSError:
            return False


def rank_of(role: str) -> tuple[Rank, str | None]:
    """The rank of a role, and the PBX of site:NAME."""
    name, _, site = role.partition(":")
    return Rank[name.upper()], site or None


def refuse_unknown_site(access: Access, role: str) -> None:
    """ProblemError for site:NAME of a PBX that is not there: it would see nothing, and nobody knew why."""
    _, site = rank_of(role)
    pbxs = access.installation.writer.state.pbxs
    if site is not None and site not in pbxs:
        there = ", ".join(pbxs)
        raise ProblemError(
            Refusal(Code.NOT_FOUND, f'no PBX "{site}" in the configuration; there are {there}')
        )


def caller_of(request: Request) -> Caller:
    """Who was let in with this request."""
    caller: Caller = request.state.caller
    return caller


def at_least(installations: Mapping[str, Installation], rank: Rank) -> Callable[..., object]:
    """A dependency: the caller at the installation of the path, 403 below this rank.

    A scoped caller learns nothing about other installations, not even whether they exist.
    """

    async def access(request: Request, installation: str) -> Access:
        caller = caller_of(request)
        foreign = caller.installation not in (None, installation)
        if foreign or caller.rank < rank:
            raise ProblemError(Refusal(Code.FORBIDDEN))
        found = installations.get(installation)
        if found is None:
            raise ProblemError(Refusal(Code.UNKNOWN_INSTALLATION))
        return Access(caller, found)

    return access
