"""The administrators' HTTP interface: /api/v1, /openapi.json, /metrics, /healthz, /readyz."""

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import PlainTextResponse
from fastapi.security import APIKeyCookie, HTTPBearer
from starlette.exceptions import HTTPException

from licence_master.edges import metrics, problems
from licence_master.edges.call_records import call_routes
from licence_master.edges.changing import changing_routes
from licence_master.edges.description import PROBLEM, describe
from licence_master.edges.doorkeeper import COOKIE, OPEN_PATHS, Caller, Doorkeeper, Rank, caller_of
from licence_master.edges.entrance import address_of
from licence_master.edges.orders import EXPECTED
from licence_master.edges.people import SignIn, session_routes
from licence_master.edges.problems import ProblemError
from licence_master.edges.reading import reading_routes
from licence_master.service.founding import Joining
from licence_master.service.installation import Installation
from licence_master.service.people.passwords import Passwords
from licence_master.service.people.sessions import Sessions
from licence_master.service.told import views
from licence_master.service.told.reports import InstallationView
from licensing.codes import Code, Refusal
from runtime.clock import Clock
from runtime.logs import logger
from runtime.store import StoreBusyError, StoreFailedError

DESCRIPTION = """Installations, licences, shares and who holds what. Authorization: Bearer TOKEN, with a token
of `licence-master token` (roles admin, operator, auditor, site:NAME) or the one in keys/admin.token.
Errors are RFC 9457 problem documents; `code` is one of the table of refusal codes."""

log = logger()


def admin_application(
    installations: Mapping[str, Installation],
    joining: Joining,
    sessions: Sessions,
    doorkeeper: Doorkeeper,
    clock: Clock,
) -> FastAPI:
    """The ASGI application behind both entrances, which say who comes through them."""
    passwords = Passwords()
    app = FastAPI(
        title="licence-master",
        version="1",
        description=DESCRIPTION,
        docs_url=None,  # they load scripts from elsewhere
        redoc_url=None,
        openapi_url=None,
        dependencies=[  # describe what is asked for; the entrance has decided already
            Depends(HTTPBearer(auto_error=False)),
            Depends(APIKeyCookie(name=COOKIE, auto_error=False)),
        ],
        responses={"4XX": PROBLEM, "5XX": PROBLEM},
        exception_handlers={
            ProblemError: _refused,
            RequestValidationError: _invalid,
            HTTPException: _no_route,
            StoreFailedError: _failed,
            StoreBusyError: _busy,
        },
    )
    below = "/api/v1/installations/{installation}"
    app.include_router(reading_routes(installations), prefix=below)
    app.include_router(changing_routes(installations, joining, passwords), prefix=below)
    app.include_router(call_routes(installations), prefix=below)
    session_routes(app, SignIn(installations, passwords, sessions, clock), doorkeeper)
    describe(app, OPEN_PATHS)
    _general_routes(app, installations)
    return app


def _general_routes(app: FastAPI, installations: Mapping[str, Installation]) -> None:
    known = Depends(caller_of)

    @app.get("/api/v1/installations", summary="The installations this caller may see")
    async def all_installations(caller: Annotated[Caller, known]) -> list[InstallationView]:
        seen = [each for each in installations.values() if caller.installation in (None, each.name)]
        return [views.installation(each) for each in seen]

    @app.get("/openapi.json", summary="This document")
    async def description(caller: Annotated[Caller, known]) -> dict[str, object]:
        return app.openapi()

    @app.get("/metrics", summary="For Prometheus", response_class=PlainTextResponse)
    async def measured(caller: Annotated[Caller, known]) -> Response:
        if caller.rank < Rank.AUDITOR or caller.installation is not None:
            raise ProblemError(Refusal(Code.FORBIDDEN))
        return Response(metrics.exposition(installations), media_type=metrics.MEDIA_TYPE)

    @app.get("/healthz", summary="Is it alive?", response_class=PlainTextResponse)
    async def alive() -> PlainTextResponse:
        return PlainTextResponse("ok\n")

    @app.get("/readyz", summary="Does it lend?", response_class=PlainTextResponse)
    async def ready() -> PlainTextResponse:
        """200 while every installation lends, 503 while one recovers."""
        waiting = sum(each.writer.state.recovering for each in installations.values())
        return PlainTextResponse(f"{waiting} recovering\n" if waiting else "ok\n", 503 if waiting else 200)


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, ProblemError), "registered for this type"
    code, address = error.refusals[0].code, address_of(request)
    log.warning(
        "admin.refused", code=str(code), method=request.method, path=request.scope["path"], address=address
    )
    return problems.response(error)


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError), "registered for this type"
    found = [f"{'.'.join(str(step) for step in each['loc'])}: {_said(each)}" for each in error.errors()]
    return await _refused(request, ProblemError(*(Refusal(Code.INVALID_REQUEST, text) for text in found)))


def _said(error: dict[str, Any]) -> str:
    """What is wrong with a field; what was sent is not repeated: it may be a password."""
    wanted = EXPECTED.get(error.get("ctx", {}).get("pattern", ""))
    return f"expected {wanted}" if wanted else str(error["msg"])


async def _no_route(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException), "registered for this type"
    return problems.no_route(request, error)


async def _busy(_request: Request, _error: Exception) -> Response:
    """The store's queue is full: nothing was accepted."""
    return problems.response(ProblemError(Refusal(Code.RATE_LIMITED, "the store is behind")))


async def _failed(_request: Request, _error: Exception) -> Response:
    """The store failed: the process is about to end, and nothing was promised."""
    body = problems.body(Refusal(Code.STORE_FAILED))
    return Response(body, 503, media_type=problems.MEDIA_TYPE)
