"""Call records for administrators: export, what was put aside, what is missing, and the archive."""

import asyncio
from collections.abc import Mapping
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from fastapi.responses import StreamingResponse

from licence_master.edges.doorkeeper import Access, Rank, at_least
from licence_master.edges.orders import ArchiveOrder, ArchiveReport
from licence_master.edges.problems import ProblemError
from licence_master.service.calls import reports
from licence_master.service.calls.export import Export, lines
from licence_master.service.calls.reports import AsideView, SourceView
from licence_master.service.installation import Installation
from licence_master.store import parquet
from licence_master.store.parquet import UnwritableError
from licensing.codes import Code, Refusal
from runtime.logs import logger
from telephony.cdr.columns import Form
from telephony.cdr.verdict import Verdict

MEDIA_TYPES = {"csv": "text/csv; charset=utf-8", "jsonl": "application/jsonl"}
ROWS = "X-Rows"

Instant = Annotated[int, Query(ge=0, le=2**53)]
Mask = Annotated[int | None, Query(ge=0, le=15)]
Limit = Annotated[int, Query(ge=1, le=1_000)]
Pbx = Annotated[str | None, Query(max_length=63)]

log = logger()


def call_routes(installations: Mapping[str, Installation]) -> APIRouter:
    """The routes about call records below an installation."""
    routes = APIRouter()
    auditor, operator = (Depends(at_least(installations, rank)) for rank in (Rank.AUDITOR, Rank.OPERATOR))
    _export_route(routes, auditor)
    _report_routes(routes, auditor)
    _archive_route(routes, operator)
    return routes


def _export_route(routes: APIRouter, auditor: Access) -> None:
    @routes.get(
        "/calls", summary="Call records that ended in a span of time", response_class=StreamingResponse
    )
    async def export(
        access: Annotated[Access, auditor],
        from_ms: Instant,
        to_ms: Instant,
        format: Form = "jsonl",  # noqa: A002 - the name in the query
        raw: bool = True,
        mask: Mask = None,
        pbx: Pbx = None,
    ) -> StreamingResponse:
        """The header X-Rows says how many; records that arrive meanwhile are not among them."""
        reader = access.installation.calls.reader
        span = await asyncio.to_thread(reader.span, from_ms, to_ms, pbx)
        seen = _mask(access, mask)
        log.info(
            "calls.exported",
            installation=access.installation.name,
            actor=access.caller.actor,
            rows=span.rows,
            mask=seen,
        )
        body = lines(reader, span, Export(format, raw, seen))
        return StreamingResponse(body, headers={ROWS: str(span.rows)}, media_type=MEDIA_TYPES[format])


def _report_routes(routes: APIRouter, auditor: Access) -> None:
    @routes.get("/calls/quarantine", summary="What was put aside for a person to decide, newest first")
    async def quarantine(
        access: Annotated[Access, auditor], limit: Limit = 100, verdict: Verdict | None = None
    ) -> list[AsideView]:
        found = await asyncio.to_thread(access.installation.calls.reader.quarantine, limit, verdict)
        return [reports.aside(row, _mask(access, None)) for row in found]

    @routes.get(
        "/calls/sources", summary="Sources: what is missing, who is silent, what became of all records"
    )
    async def sources(access: Annotated[Access, auditor]) -> list[SourceView]:
        told = await asyncio.to_thread(access.installation.calls.reader.sources)
        silent = access.installation.answers.silent()
        return [reports.source(each, each.source.split("/")[1] in silent) for each in told]


def _archive_route(routes: APIRouter, operator: Access) -> None:
    @routes.post("/calls/archive", summary="Write what is new to the Parquet archive now, or all of it anew")
    async def archive(access: Annotated[Access, operator], order: ArchiveOrder) -> ArchiveReport:
        if not parquet.available():
            raise ProblemError(Refusal(Code.NOT_FOUND, "the extra parquet is not installed on the master"))
        try:
            done = await access.installation.calls.upkeep.archive(rebuild=order.rebuild, most=order.most)
        except (OSError, UnwritableError) as error:
            raise ProblemError(Refusal(Code.DISK_FULL, str(error))) from error
        return ArchiveReport(rows=done.rows, added=done.added, parts=done.parts, left=done.left)


def _mask(access: Access, asked: int | None) -> int | None:
    """How many digits of a number this caller sees: admin all of them, unless he asks for less."""
    configured = access.installation.calls.upkeep.config.mask
    limits = [asked, None if access.caller.rank >= Rank.ADMIN else configured]
    return min((limit for limit in limits if limit is not None), default=None)
