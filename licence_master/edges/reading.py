"""What administrators read: every answer comes from the state in memory or beside the writer."""

from collections.abc import Mapping
from typing import Annotated, TypeVar

from fastapi import APIRouter, Depends, Path, Query

from licence_master.edges.assigning import assignment_lists
from licence_master.edges.doorkeeper import Access, Rank, at_least
from licence_master.edges.problems import ProblemError
from licence_master.edges.terms import term_lists
from licence_master.service.installation import Installation
from licence_master.service.told import denials as denied
from licence_master.service.told import inquiry as past
from licence_master.service.told import usage as used
from licence_master.service.told import views
from licence_master.service.told.reports import (
    AgentView,
    DenialView,
    EntryView,
    EventView,
    HolderView,
    HourView,
    LicenceView,
    PoolView,
    ShareView,
    UsageView,
    WhyView,
)
from licensing.codes import Code, Refusal
from licensing.scenario.what_if import WhatIf, what_if

Limit = Annotated[int, Query(ge=1, le=10_000)]
Days = Annotated[int, Query(ge=1, le=3_660)]
Margin = Annotated[int, Query(ge=0, le=1_000)]
Row = TypeVar("Row", UsageView, HourView)
ObjectName = Annotated[str, Path(min_length=1, max_length=512)]


def reading_routes(installations: Mapping[str, Installation]) -> APIRouter:
    """The GET routes below an installation."""
    routes = APIRouter()
    auditor, site = (Depends(at_least(installations, rank)) for rank in (Rank.AUDITOR, Rank.SITE))
    _stock_routes(routes, auditor)
    _what_if_route(routes, auditor)
    _site_routes(routes, site)
    assignment_lists(routes, auditor, site)
    term_lists(routes, auditor)

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


def _what_if_route(routes: APIRouter, auditor: Access) -> None:
    @routes.get("/what-if", summary="What an upgrade would do to the licences; changes nothing")
    async def asked(
        access: Annotated[Access, auditor],
        software: Annotated[int, Query(ge=1, le=99)],
        pbx: Annotated[str | None, Query(max_length=63)] = None,
    ) -> WhatIf:
        state = access.installation.writer.state
        if pbx is not None and pbx not in state.pbxs:
            raise ProblemError(Refusal(Code.NOT_FOUND, f"no PBX {pbx} in the configuration"))
        return what_if(state, software, pbx or "")


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
        return await denied.denials(access.installation, limit, access.site)

    _usage_routes(routes, site)

    @routes.get("/events", summary="What happened to objects, newest first")
    async def events(access: Annotated[Access, site], limit: Limit = 100) -> list[EventView]:
        return await past.events(access.installation, limit, access.site)

    @routes.get("/why/{name:path}", summary="Why an object has a licence or not")
    async def why(access: Annotated[Access, site], name: ObjectName) -> WhyView:
        found = await past.why(access.installation, name, access.site)
        if found is None:
            detail = f'no agent has reported an object "{name}", and no licence is assigned to it'
            help_ = (
                "Ask for it by its `name` in the objects of agent.yaml; without one it is called as its AOR."
            )
            raise ProblemError(Refusal(Code.UNKNOWN_OBJECT, detail, help_))
        return found


def _usage_routes(routes: APIRouter, site: Access) -> None:
    """A site sees its own peaks; what all sites together hold is for those who may see all."""

    def of(access: Access, asked: str | None) -> str | None:
        if not access.sees(asked or access.site or ""):
            raise ProblemError(Refusal(Code.FORBIDDEN))
        return access.site or asked

    def known(access: Access, pool: str | None, found: list[Row]) -> list[Row]:
        """What was found; ProblemError for nothing of a pool that is not there either.

        To a site, which may not see the pools, nothing is nothing.
        """
        there = [view.pool for view in views.pools(access.installation.writer.state, {})]
        if pool is not None and access.site is None and not found and pool not in there:
            named = ", ".join(there) or "none yet"
            raise ProblemError(Refusal(Code.NOT_FOUND, f'no pool "{pool}"; there are {named}'))
        return found

    @routes.get("/usage", summary="Peaks by pool and site, when a pool is full, how many units are right")
    async def usage(
        access: Annotated[Access, site],
        days: Days = 90,
        pool: str | None = None,
        pbx: str | None = None,
        margin: Margin = 10,
    ) -> list[UsageView]:
        found = await used.usage(access.installation, days, pool, of(access, pbx), margin)
        return known(access, pool, found)

    @routes.get("/usage/hours", summary="The peak of every hour, by pool and site")
    async def usage_hours(
        access: Annotated[Access, site], days: Days = 7, pool: str | None = None, pbx: str | None = None
    ) -> list[HourView]:
        return known(access, pool, await used.hours(access.installation, days, pool, of(access, pbx)))
