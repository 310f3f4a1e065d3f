"""Refusals as RFC 9457 problem documents, for agents and administrators alike."""

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match

from licensing import wire
from licensing.codes import Code, Refusal, sentence, status

MEDIA_TYPE = "application/problem+json"
METHOD_NOT_ALLOWED = 405


def document(refusal: Refusal) -> wire.Problem:
    """The problem document of a refusal; its status is that of the table of codes."""
    return wire.Problem(
        type=f"urn:pbx-licences:{refusal.code}",
        title=sentence(refusal.code),
        status=status(refusal.code),
        code=str(refusal.code),
        detail=refusal.detail,
        hint=refusal.hint,
    )


def body(refusal: Refusal) -> bytes:
    """The same as JSON bytes."""
    return msgspec.json.encode(document(refusal))


class ProblemError(Exception):
    """A request of the admin API ends with these refusals; the first gives status and code.

    `bad_data` marks errors inside a file that was sent, each with its line; `retry_s` is for rate_limited.
    """

    def __init__(self, *refusals: Refusal, bad_data: bool = False, retry_s: int = 1) -> None:
        super().__init__(refusals[0].code)
        self.refusals = refusals
        self.bad_data = bad_data
        self.retry_s = retry_s


def body_of_all(error: ProblemError) -> bytes:
    """One problem document; further refusals stand in its list `errors`."""
    document_ = msgspec.to_builtins(document(error.refusals[0]))
    first = error.refusals[0].code
    lines = [
        (refusal.detail or refusal.sentence) + (f" ({refusal.code})" if refusal.code is not first else "")
        for refusal in error.refusals
    ]
    return msgspec.json.encode(document_ | {"errors": lines, "bad_data": error.bad_data})


def response(error: ProblemError) -> Response:
    """The answer with the headers that belong to its code."""
    code = error.refusals[0].code
    headers = {}
    if code is Code.TOKEN_INVALID:
        headers["WWW-Authenticate"] = "Bearer"
    if code is Code.RATE_LIMITED:
        headers["Retry-After"] = str(error.retry_s)
    return Response(body_of_all(error), status(code), headers, MEDIA_TYPE)


def no_route(request: Request, error: HTTPException) -> Response:
    """There is no such route (404), or not for this method (405, with those that there are)."""
    refusal = Refusal(Code.NOT_FOUND, f"{request.method} {request.scope['path']}")
    if error.status_code != METHOD_NOT_ALLOWED:
        return Response(body(refusal), error.status_code, error.headers, MEDIA_TYPE)
    known = [route for route in request.app.routes if route.matches(request.scope)[0] is not Match.NONE]
    methods = {method for route in known for method in getattr(route, "methods", None) or ()}
    found = msgspec.to_builtins(document(refusal)) | {"status": METHOD_NOT_ALLOWED}
    headers = {"Allow": ", ".join(sorted(methods))}
    return Response(msgspec.json.encode(found), METHOD_NOT_ALLOWED, headers, MEDIA_TYPE)
