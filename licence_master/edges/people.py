"""Users and their sessions: who may sign in, and the cookie that a browser gets for it."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Depends, FastAPI, Path, Request, Response

from licence_master.edges.doorkeeper import (
    COOKIE,
    SESSION_PATH,
    Access,
    Caller,
    Doorkeeper,
    caller_of,
    rank_of,
    refuse_unknown_site,
)
from licence_master.edges.entrance import address_of
from licence_master.edges.orders import (
    CallerReport,
    Done,
    PasswordOrder,
    SignInOrder,
    UserOrder,
    UserReport,
)
from licence_master.edges.problems import ProblemError
from licence_master.service.installation import Installation
from licence_master.service.people.passwords import Busy, Failures, Passwords
from licence_master.service.people.sessions import LIFETIME_MS, Sessions, csrf_token
from licence_master.store.credentials import Person
from licensing.codes import Code, Refusal
from runtime.clock import Clock
from runtime.logs import logger

log = logger()

UserPath = Annotated[str, Path(max_length=63)]


class SignIn:
    """Names and passwords against sessions, slowly for who guesses."""

    def __init__(
        self,
        installations: Mapping[str, Installation],
        passwords: Passwords,
        sessions: Sessions,
        clock: Clock,
    ) -> None:
        self._installations = installations
        self._passwords = passwords
        self._sessions = sessions
        self._clock = clock
        self._failures = Failures()

    async def begin(self, order: SignInOrder, address: str) -> tuple[str, Caller]:
        """The secret of a new session, and who it is; ProblemError 401, or 429 for who must wait."""
        name = order.installation or (
            next(iter(self._installations)) if len(self._installations) == 1 else ""
        )
        account, source = f"account {name}/{order.name}", f"address {address}"
        now_ms = self._clock.monotonic_ms()
        wait_ms = max(self._failures.wait_ms(who, now_ms) for who in (account, source))
        if wait_ms:
            raise _wait(-(-wait_ms // 1_000))
        for who in (account, source):
            self._failures.count(who, now_ms)
        person = await self._person(self._installations.get(name), order, (account, source))
        if person is None:
            log.warning("person.refused", installation=name, address=address)
            raise ProblemError(Refusal(Code.SIGN_IN_FAILED))
        self._failures.forget(account)
        self._failures.forgive(source)
        log.info("person.signed_in", installation=name, name=person.name, address=address)
        secret = self._sessions.begin(name, person.name, person.changed_ms, self._clock.monotonic_ms())
        rank, site = rank_of(person.role)
        return secret, Caller(f"user:{person.name}", rank, name, site, secret)

    def end(self, secret: str) -> None:
        """End a session."""
        self._sessions.end(secret)

    async def _person(
        self, installation: Installation | None, order: SignInOrder, suspects: tuple[str, ...]
    ) -> Person | None:
        try:
            if installation is None:
                await self._passwords.fits(order.password, None)  # takes as long
                return None
            return await installation.people.sign_in(order.name, order.password, self._passwords)
        except Busy as busy:  # it was not looked at
            for who in suspects:
                self._failures.forgive(who)
            raise _wait(1) from busy


def session_routes(app: FastAPI, door: SignIn, doorkeeper: Doorkeeper) -> None:
    """Sign in, who am I, sign out; by the Unix socket, whose callers are known, nobody signs in."""

    @app.post(SESSION_PATH, summary="Sign in: sets a cookie")
    async def sign_in(request: Request, response: Response, order: SignInOrder) -> CallerReport:
        if hasattr(request.state, "caller"):
            raise ProblemError(Refusal(Code.FORBIDDEN, "by this socket everybody is admin already"))
        if "Origin" in request.headers and not doorkeeper.from_here(request):
            raise ProblemError(Refusal(Code.FORBIDDEN, "this request does not come from a page of ours"))
        secret, caller = await door.begin(order, address_of(request))
        response.set_cookie(
            COOKIE, secret, max_age=LIFETIME_MS // 1_000, secure=True, httponly=True, samesite="strict"
        )
        return _told(caller)

    @app.get(SESSION_PATH, summary="Who am I?")
    async def who_am_i(caller: Annotated[Caller, Depends(caller_of)]) -> CallerReport:
        return _told(caller)

    @app.delete(SESSION_PATH, summary="Sign out")
    async def sign_out(caller: Annotated[Caller, Depends(caller_of)], response: Response) -> Done:
        if caller.session is None:
            raise ProblemError(Refusal(Code.NOT_FOUND, "no session: a token ends with DELETE .../tokens/ID"))
        door.end(caller.session)
        response.delete_cookie(COOKIE, secure=True, httponly=True, samesite="strict")
        return Done()


def user_routes(routes: APIRouter, admin: Access, passwords: Passwords) -> None:
    """Who may sign in at an installation."""

    @routes.get("/users", summary="People who may sign in")
    async def users(access: Annotated[Access, admin]) -> list[UserReport]:
        return [_user(person) for person in access.installation.people.all()]

    @routes.post("/users", summary="Let somebody sign in")
    async def add(access: Annotated[Access, admin], order: UserOrder) -> UserReport:
        refuse_unknown_site(access, order.role)
        people = access.installation.people
        try:
            return _user(await people.add(order.name, order.role, order.password, passwords))
        except Busy as busy:
            raise _wait(1) from busy

    @routes.post("/users/{name}/password", summary="Another password; ends the sessions")
    async def set_password(
        access: Annotated[Access, admin], name: UserPath, order: PasswordOrder
    ) -> UserReport:
        try:
            return _user(await access.installation.people.set_password(name, order.password, passwords))
        except Busy as busy:
            raise _wait(1) from busy

    @routes.delete("/users/{name}", summary="Let somebody in no more; ends the sessions")
    async def remove(access: Annotated[Access, admin], name: UserPath) -> UserReport:
        return _user(await access.installation.people.remove(name))


def _user(person: Person | Refusal) -> UserReport:
    if isinstance(person, Refusal):
        raise ProblemError(person)
    given = asdict(person)
    del given["password"]
    return UserReport(**given)


def _told(caller: Caller) -> CallerReport:
    return CallerReport(
        actor=caller.actor,
        role=caller.rank.name.lower(),
        installation=caller.installation,
        site=caller.site,
        csrf_token=csrf_token(caller.session) if caller.session else None,
    )


def _wait(seconds: int) -> ProblemError:
    return ProblemError(Refusal(Code.RATE_LIMITED), retry_s=seconds)
