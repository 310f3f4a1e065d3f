"""The administrators' HTTP interface: /api/v1, /openapi.json, /metrics, /healthz, /readyz."""

from collections.abc import Mapping
from typing import Annotated

from fastapi import Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import PlainTextResponse
from fastapi.security import HTTPBearer
from starlette.exceptions import HTTPException

from licence_master.edges import metrics, problems
from licence_master.edges.changing import changing_routes
from licence_master.edges.doorkeeper import Caller, Doorkeeper, Rank
from licence_master.edges.problems import ProblemError
from licence_master.edges.reading import reading_routes
from licence_master.service import views
from licence_master.service.founding import Joining
from licence_master.service.installation import Installation
from licence_master.service.reports import InstallationView
from licensing import codes
from licensing.codes import Code, Refusal
from runtime.logs import logger
from runtime.store import StoreFailedError

DESCRIPTION = """Installations, licences, shares and who holds what. Authorization: Bearer TOKEN, with a token
of `licence-master token` (roles admin, operator, auditor, site:NAME) or the one in keys/admin.token.
Errors are RFC 9457 problem documents; `code` is one of the table of refusal codes."""

log = logger()


def admin_application(
    installations: Mapping[str, Installation], doorkeeper: Doorkeeper, joining: Joining
) -> FastAPI:
    """The ASGI application behind one door; the doorkeeper says who comes through it."""
    app = FastAPI(
        title="licence-master",
        version="1",
        description=DESCRIPTION,
        docs_url=None,  # they load scripts from elsewhere
        redoc_url=None,
        openapi_url=None,
        dependencies=[Depends(HTTPBearer(auto_error=False))],  # describes the header; the doorkeeper decides
        exception_handlers={
            ProblemError: _refused,
            RequestValidationError: _invalid,
            HTTPException: _no_route,
            StoreFailedError: _failed,
        },
    )
    below = "/api/v1/installations/{installation}"
    app.include_router(reading_routes(doorkeeper), prefix=below)
    app.include_router(changing_routes(doorkeeper, joining), prefix=below)
    _general_routes(app, installations, doorkeeper)
    return app


def _general_routes(app: FastAPI, installations: Mapping[str, Installation], doorkeeper: Doorkeeper) -> None:
    known = Depends(doorkeeper.caller)

    @app.get("/api/v1/installations", summary="The installations this caller may see")
    async def all_installations(caller: Annotated[Caller, known]) -> list[InstallationView]:
        seen = [each for each in installations.values() if caller.installation in (None, each.name)]
        return [views.installation(each) for each in seen]

    @app.get("/openapi.json", include_in_schema=False)
    async def description(caller: Annotated[Caller, known]) -> dict[str, object]:
        return app.openapi()

    @app.get("/metrics", include_in_schema=False)
    async def measured(caller: Annotated[Caller, known]) -> Response:
        if caller.rank < Rank.AUDITOR or caller.installation is not None:
            raise ProblemError(Refusal(Code.FORBIDDEN))
        return Response(metrics.exposition(installations), media_type=metrics.MEDIA_TYPE)

    @app.get("/healthz", include_in_schema=False)
    async def alive() -> PlainTextResponse:
        return PlainTextResponse("ok\n")

    @app.get("/readyz", include_in_schema=False)
    async def ready() -> PlainTextResponse:
        """200 while every installation lends, 503 while one recovers."""
        waiting = sum(each.writer.state.recovering for each in installations.values())
        return PlainTextResponse(f"{waiting} recovering\n" if waiting else "ok\n", 503 if waiting else 200)


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, ProblemError), "registered for this type"
    code = error.refusals[0].code
    log.warning("admin.refused", code=str(code), method=request.method, path=request.url.path)
    headers = {"WWW-Authenticate": "Bearer"} if code is Code.TOKEN_INVALID else None
    body = problems.body_of_all(error)
    return Response(body, codes.status(code), headers, problems.MEDIA_TYPE)


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError), "registered for this type"
    found = [f"{'.'.join(str(step) for step in each['loc'])}: {each['msg']}" for each in error.errors()]
    return await _refused(request, ProblemError(*(Refusal(Code.INVALID_REQUEST, text) for text in found)))


async def _no_route(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException), "registered for this type"
    body = problems.body(Refusal(Code.NOT_FOUND, f"{request.method} {request.url.path}"))
    return Response(body, error.status_code, error.headers, problems.MEDIA_TYPE)


async def _failed(_request: Request, _error: Exception) -> Response:
    """The store failed: the process is about to end, and nothing was promised."""
    body = problems.body(Refusal(Code.STORE_FAILED))
    return Response(body, 503, media_type=problems.MEDIA_TYPE)
