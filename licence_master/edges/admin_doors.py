"""The administrators' two doors: they open at once, and lead to an application that is made meanwhile.

FastAPI and the routes of the admin API take as long as all else of a start; agents do not wait for them.
"""

import asyncio
from collections.abc import Callable, Mapping

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from licence_master.config import AdminConfig
from licence_master.edges.doorkeeper import OPEN_PATHS, Caller, Doorkeeper, Rank
from licence_master.edges.entrance import Door, Entrance
from licence_master.service.founding import Joining
from licence_master.service.installation import Installation
from licence_master.service.people.sessions import Sessions
from licence_master.store.directory import DataDirectory
from runtime.clock import Clock


class Late:
    """An application that `make` makes, once; who asks before waits for it."""

    def __init__(self, make: Callable[[], ASGIApp]) -> None:
        self._make = make
        self._app: ASGIApp | None = None
        self._made = asyncio.Event()

    async def make(self) -> None:
        """Make it in a thread, while the event loop goes on."""
        self._app = await asyncio.to_thread(self._make)
        self._made.set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        await self._made.wait()
        assert self._app is not None, "it was made"
        await self._app(scope, receive, send)


def admin_doors(
    config: AdminConfig,
    installations: Mapping[str, Installation],
    directory: DataDirectory,
    joining: Joining,
    clock: Clock,
) -> tuple[ASGIApp, ASGIApp, Late]:
    """The applications for the port and for the Unix socket, and the one behind both, which is yet to make.

    By the Unix socket nothing is open to somebody unknown: whoever opens it is admin.
    """
    sessions = Sessions()
    keeper = Doorkeeper(installations, directory, sessions, clock, config.caller_per_s, config.origins)

    def make() -> ASGIApp:
        from licence_master.edges.admin_api import admin_application

        return admin_application(installations, joining, sessions, keeper, clock)

    late = Late(make)
    outer = Door("admin", keeper.identify, OPEN_PATHS, config.address_per_s)
    local = Door("admin", admin_of_the_socket)
    return Entrance(late, outer, clock), Entrance(late, local, clock), late


def admin_of_the_socket(_request: Request) -> Caller:
    """Who comes by the Unix socket."""
    return Caller("socket", Rank.ADMIN)
