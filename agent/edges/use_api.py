"""The part of `agent.sock` where uses are asked for: logins, watched queues, conference legs, ISDN calls.

Commands, dial plans (Asterisk's func_curl) and other programs of this host post JSON; the answer comes once
the decision is on disk. A refusal is 409 with the code, its sentence and what would help.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from agent.service.desk import Desk
from agent.service.opening import OpenPbx
from licensing.codes import Code, Refusal, hint
from licensing.offers import CHANNELS, OPERATOR, PER_CALL, PER_LOGIN, PER_QUEUE, QUEUE_MONITOR
from licensing.site.decision import Decision, Refused
from licensing.site.use import Leg, LineCall, Login, Use, Watch
from runtime.clock import Clock

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=255, pattern=r"^[^\x00-\x1f\x7f]*$")]
MaybeName = Annotated[str, msgspec.Meta(max_length=255, pattern=r"^[^\x00-\x1f\x7f]*$")]
Release = Annotated[int, msgspec.Meta(ge=1, le=999)]
Licence = Annotated[str, msgspec.Meta(min_length=1, max_length=63)]


class _Asked(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What every question may name: at which PBX, where the agent serves several."""

    pbx: str | None = None


class LoginRequest(_Asked, frozen=True, kw_only=True):
    """A client logs in, as Operator or otherwise; `software` is its own release."""

    user: Name
    software: Release
    client: MaybeName = ""
    licence: Licence = OPERATOR


class LogoutRequest(_Asked, frozen=True, kw_only=True):
    """It logs out."""

    user: Name
    client: MaybeName = ""
    licence: Licence = OPERATOR


class MonitorRequest(_Asked, frozen=True, kw_only=True):
    """A client watches a queue, as Queue Monitor or otherwise; `software` is its own release."""

    queue: Name
    client: Name
    software: Release
    licence: Licence = QUEUE_MONITOR


class UnmonitorRequest(_Asked, frozen=True, kw_only=True):
    """It watches the queue no more."""

    queue: Name
    client: Name
    licence: Licence = QUEUE_MONITOR


class JoinRequest(_Asked, frozen=True, kw_only=True):
    """A call joins a conference object of this PBX."""

    room: Name
    call: Name
    prefer_local: bool = False
    licence: Licence = CHANNELS


class LeaveRequest(_Asked, frozen=True, kw_only=True):
    """It leaves."""

    room: Name
    call: Name
    licence: Licence = CHANNELS


class CallRequest(_Asked, frozen=True, kw_only=True):
    """An ISDN call begins at a gateway of this PBX."""

    call: Name
    gateway: Name
    interface: MaybeName = ""
    emergency: bool = False


class HangupRequest(_Asked, frozen=True, kw_only=True):
    """It ends."""

    call: Name


A = TypeVar("A", bound=_Asked)
Answer = Callable[[Desk, A, int], Awaitable[Decision | Refusal | bool]]
"""A decision, whether there was anything to end, or why the question is none."""


class UseApi:
    """The routes over the PBXs of this process."""

    def __init__(self, pbxs: Mapping[str, OpenPbx], clock: Clock) -> None:
        self._pbxs = pbxs
        self._clock = clock

    def routes(self) -> list[Route]:
        """One route for each question."""
        return [
            self._route("/login", LoginRequest, _login),
            self._route("/logout", LogoutRequest, _logout),
            self._route("/monitor", MonitorRequest, _monitor),
            self._route("/unmonitor", UnmonitorRequest, _unmonitor),
            self._route("/join", JoinRequest, _join),
            self._route("/leave", LeaveRequest, _leave),
            self._route("/call", CallRequest, _call),
            self._route("/hangup", HangupRequest, _hangup),
        ]

    def _route(self, path: str, model: type[A], answer: Answer[A]) -> Route:
        async def endpoint(request: Request) -> Response:
            try:
                asked = msgspec.json.decode(await request.body(), type=model)
            except msgspec.DecodeError as error:
                return _json({"status": 422, "detail": str(error)}, 422)
            named = [pbx for name, pbx in self._pbxs.items() if asked.pbx in (None, name)]
            if len(named) != 1:
                detail = f"name one PBX of this agent: {', '.join(self._pbxs)}"
                return _json({"status": 422, "detail": detail}, 422)
            (pbx,) = named
            said = await answer(pbx.site.desk, asked, self._clock.monotonic_ms())
            return _said(pbx, said, asked)

        return Route(path, endpoint, methods=["POST"])


async def _login(desk: Desk, asked: LoginRequest, now_ms: int) -> Decision | Refusal:
    use = Login(asked.user, asked.software, asked.client, asked.licence)
    return desk.unknown(PER_LOGIN, use.licence) or await desk.ask(
        use,
        lambda now: desk.clients.login(use.user, use.software, now, client=use.client, licence=use.licence),
        now_ms,
    )


async def _logout(desk: Desk, asked: LogoutRequest, now_ms: int) -> Refusal | bool:
    ended = desk.clients.logout(asked.user, now_ms, client=asked.client, licence=asked.licence)
    return await _over(desk, ended, PER_LOGIN, asked.licence)


async def _monitor(desk: Desk, asked: MonitorRequest, now_ms: int) -> Decision | Refusal:
    use = Watch(asked.queue, asked.client, asked.software, asked.licence)
    return desk.unknown(PER_QUEUE, use.licence) or await desk.ask(
        use,
        lambda now: desk.clients.monitor(use.queue, use.client, use.software, now, licence=use.licence),
        now_ms,
    )


async def _unmonitor(desk: Desk, asked: UnmonitorRequest, now_ms: int) -> Refusal | bool:
    ended = desk.clients.unmonitor(asked.queue, asked.client, now_ms, licence=asked.licence)
    return await _over(desk, ended, PER_QUEUE, asked.licence)


async def _join(desk: Desk, asked: JoinRequest, now_ms: int) -> Decision | Refusal:
    use: Use = Leg(asked.room, asked.call, licence=asked.licence)
    local, licence = asked.prefer_local, asked.licence
    return desk.unknown(PER_CALL, licence) or await desk.ask(
        use,
        lambda now: desk.calls.join(asked.room, asked.call, now, prefer_local=local, licence=licence),
        now_ms,
    )


async def _leave(desk: Desk, asked: LeaveRequest, now_ms: int) -> Refusal | bool:
    ended = desk.calls.leave(asked.room, asked.call, now_ms, licence=asked.licence)
    return await _over(desk, ended, PER_CALL, asked.licence)


async def _over(desk: Desk, ended: bool, mode: str, licence: str) -> Refusal | bool:
    """What goes on can be ended under any name; only where nothing did is an unknown one a mistake."""
    return await desk.end(ended) or desk.unknown(mode, licence) or False


async def _call(desk: Desk, asked: CallRequest, now_ms: int) -> Decision:
    use = LineCall(asked.call, asked.gateway, asked.interface)
    return await desk.ask(
        use,
        lambda now: desk.calls.call(use.call, use.gateway, use.interface, now, emergency=asked.emergency),
        now_ms,
        urgent=asked.emergency,
    )


async def _hangup(desk: Desk, asked: HangupRequest, now_ms: int) -> bool:
    return await desk.end(desk.calls.hangup(asked.call, now_ms))


def _said(at: OpenPbx, said: Decision | Refusal | bool, asked: _Asked) -> Response:
    pbx = at.entry.name
    if isinstance(said, Refusal):
        return _json({"status": 422, "detail": said.detail}, 422)
    if isinstance(said, bool):
        return _json({"pbx": pbx, "ok": True, "ended": said})
    if isinstance(said, Refused):
        told = {"code": said.code, "detail": said.sentence, "hint": _hint(at.site.desk, said.code, asked)}
        return _json({"status": 409, "pbx": pbx, "ok": False, **told}, 409)
    return _json({"pbx": pbx, "ok": True, "code": None})


def _hint(desk: Desk, code: Code, asked: _Asked) -> str:
    client = asked if isinstance(asked, LoginRequest | MonitorRequest) else None
    if code is Code.LICENCE_VERSION_TOO_LOW and client and desk.compares_client(client.licence):
        return f"Install licences of release {client.software} and no older ones, or use an older client."
    return hint(code)


def _json(value: dict[str, object], status: int = 200) -> Response:
    return Response(msgspec.json.encode(value), status, media_type="application/json")
