"""What administrators read: every answer comes from the state in memory or beside the writer."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query

from licence_master.edges.doorkeeper import Access, Doorkeeper, Rank
from licence_master.edges.problems import ProblemError
from licence_master.service import past, views
from licence_master.service.reports import (
    AgentView,
    DenialView,
    EntryView,
    EventView,
    HolderView,
    LicenceView,
    PoolView,
    ShareView,
    WhyView,
)
from licensing.codes import Code, Refusal

Limit = Annotated[int, Query(ge=1, le=10_000)]
ObjectName = Annotated[str, Path(min_length=1, max_length=512)]


def reading_routes(doorkeeper: Doorkeeper) -> APIRouter:
    """The GET routes below an installation."""
    routes = APIRouter()
    auditor, site = Depends(doorkeeper.at_least(Rank.AUDITOR)), Depends(doorkeeper.at_least(Rank.SITE))
    _stock_routes(routes, auditor)
    _site_routes(routes, site)

    @routes.get("/history", summary="The ledger, newest first")
    async def history(access: Annotated[Access, auditor], limit: Limit = 100) -> list[EntryView]:
        return await past.entries(access.installation, limit)

    return routes


def _stock_routes(routes: APIRouter, auditor: Access) -> None:
    @routes.get("/licences", summary="Installed licences")
    async def licences(access: Annotated[Access, auditor]) -> list[LicenceView]:
        return views.licences(access.installation.writer.state)

    @routes.get("/pools", summary="Pools: installed, usable, lent, used, free")
    async def pools(access: Annotated[Access, auditor]) -> list[PoolView]:
        return views.pools(access.installation.writer.state, access.installation.answers.demands)


def _site_routes(routes: APIRouter, site: Access) -> None:
    """What a site may see of itself."""

    @routes.get("/shares", summary="Shares on record, with stranded units")
    async def shares(access: Annotated[Access, site]) -> list[ShareView]:
        return [row for row in views.shares(access.installation) if access.sees(row.pbx)]

    @routes.get("/agents", summary="PBXs and their agents")
    async def agents(access: Annotated[Access, site]) -> list[AgentView]:
        return [row for row in views.agents(access.installation) if access.sees(row.pbx)]

    @routes.get("/holders", summary="Objects that hold a unit")
    async def holders(
        access: Annotated[Access, site],
        pbx: str | None = None,
        class_: Annotated[str | None, Query(alias="class")] = None,
    ) -> list[HolderView]:
        return [
            row
            for row in views.holders(access.installation)
            if access.sees(row.pbx) and pbx in (None, row.pbx) and class_ in (None, row.class_)
        ]

    @routes.get("/denials", summary="What was denied, who has the units, what would help")
    async def denials(access: Annotated[Access, site], limit: Limit = 100) -> list[DenialView]:
        return await past.denials(access.installation, limit, access.site)

    @routes.get("/events", summary="What happened to objects, newest first")
    async def events(access: Annotated[Access, site], limit: Limit = 100) -> list[EventView]:
        return await past.events(access.installation, limit, access.site)

    @routes.get("/why/{name:path}", summary="Why an object has a licence or not")
    async def why(access: Annotated[Access, site], name: ObjectName) -> WhyView:
        found = await past.why(access.installation, name, access.site)
        if found is None:
            detail = f'no agent has reported an object "{name}"'
            raise ProblemError(Refusal(Code.UNKNOWN_OBJECT, detail))
        return found
