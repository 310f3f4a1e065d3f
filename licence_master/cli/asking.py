"""Commands that ask a running master: licences, pools, shares, agents, holders, denials, why, history."""

import datetime
import time
from typing import Annotated
from urllib.parse import quote

import msgspec
import typer

from licence_master.cli.client import Api, remote
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
from runtime.cli import table

LimitOption = Annotated[int, typer.Option("--limit", min=1, max=10_000, help="How many, newest first.")]
PbxOption = Annotated[str | None, typer.Option("--pbx", help="Of this PBX only.")]

WIDEST = 80


@remote
def licences(api: Api) -> None:
    """Installed licences.

    Example: licence-master licences --installation acme
    """
    answer = api.get("/licences")
    if api.show(answer):
        return
    rows = msgspec.convert(answer, list[LicenceView])
    shown = [
        (r.number, r.type, r.count, r.place or "master", r.mac, "quarantined" if r.quarantined else r.pool)
        for r in rows
    ]
    table(shown, ("NO", "TYPE", "COUNT", "PLACE", "MAC", "POOL"))


@remote
def pools(api: Api) -> None:
    """What is installed, usable, lent, used and free; surplus is lent beyond usable, and recalled.

    Example: licence-master pools
    """
    answer = api.get("/pools")
    if api.show(answer):
        return
    rows = msgspec.convert(answer, list[PoolView])
    shown = [(r.pool, r.installed, r.usable, r.lent, r.used, r.free, r.surplus, r.reason) for r in rows]
    table(shown, ("POOL", "INSTALLED", "USABLE", "LENT", "USED", "FREE", "SURPLUS", "REASON"))


@remote
def shares(api: Api) -> None:
    """What each PBX has on record; stranded units are idle at a site that does not answer.

    Example: licence-master shares
    """
    answer = api.get("/shares")
    if api.show(answer):
        return
    rows = msgspec.convert(answer, list[ShareView])
    shown = [
        (
            r.pbx,
            r.class_,
            r.granted,
            r.used,
            r.reserved,
            r.idle,
            r.surplus,
            r.stranded,
            r.state,
            ago(r.last_sync_ms),
        )
        for r in rows
    ]
    heads = (
        "PBX",
        "CLASS",
        "GRANTED",
        "USED",
        "RESERVED",
        "IDLE",
        "SURPLUS",
        "STRANDED",
        "STATE",
        "LAST SYNC",
    )
    table(shown, heads)
    for row in rows:
        if row.hint:
            typer.echo(f"{row.pbx}: {row.stranded} {row.class_} stranded; {row.hint}")


@remote
def agents(api: Api) -> None:
    """PBXs and their agents.

    Example: licence-master agents
    """
    answer = api.get("/agents")
    if api.show(answer):
        return
    rows = msgspec.convert(answer, list[AgentView])
    shown = [
        (r.pbx, r.role, r.platform, r.state, r.software, r.epoch, r.key_id, ago(r.last_sync_ms)) for r in rows
    ]
    table(shown, ("PBX", "ROLE", "PLATFORM", "STATE", "SOFTWARE", "EPOCH", "KEY", "LAST SYNC"))


@remote
def holders(api: Api, pbx: PbxOption = None) -> None:
    """Objects that hold a unit, and since when.

    Example: licence-master holders --pbx lyon
    """
    answer = api.get("/holders", pbx=pbx)
    if api.show(answer):
        return
    rows = msgspec.convert(answer, list[HolderView])
    shown = [(r.object, r.pbx, r.class_, r.state, when(r.since_ms)) for r in rows]
    table(shown, ("OBJECT", "PBX", "CLASS", "STATE", "SINCE"))


@remote
def denials(api: Api, limit: LimitOption = 20) -> None:
    """What was denied: when, why, who has the units, what would help.

    Example: licence-master denials --limit 5
    """
    answer = api.get("/denials", limit=limit)
    if api.show(answer):
        return
    rows = msgspec.convert(answer, list[DenialView])
    shown = [
        (
            when(r.last_ms),
            r.times,
            r.pbx,
            r.class_,
            r.code,
            r.asked,
            r.granted,
            r.used,
            r.capacity,
            _held_by(r),
        )
        for r in rows
    ]
    heads = ("LAST", "TIMES", "PBX", "CLASS", "CODE", "ASKED", "GRANTED", "USED", "CAPACITY", "HELD BY")
    table(shown, heads)
    for code, hint in {row.code: row.hint for row in rows if row.hint}.items():
        typer.echo(f"{code}: {hint}")


@remote
def why(api: Api, name: Annotated[str, typer.Argument(metavar="OBJECT")]) -> None:
    """Why an object has a licence or not.

    Example: licence-master why 201
    """
    answer = api.get(f"/why/{quote(name, safe='')}")
    if api.show(answer):
        return
    found = msgspec.convert(answer, WhyView)
    typer.echo(found.answer)
    if found.hint:
        typer.echo(f"What helps: {found.hint}")
    typer.echo(f"As of {when(found.as_of_ms)}.")
    for row in found.denials:
        typer.echo(
            f"Denied {row.times} time(s) until {when(row.last_ms)}: {row.sentence}; held by {_held_by(row)}"
        )
    if found.events:
        shown = [(when(e.at_ms), e.pbx, e.class_, e.event, e.code) for e in found.events]
        table(shown, ("WHEN", "PBX", "CLASS", "EVENT", "CODE"))


@remote
def history(
    api: Api,
    limit: LimitOption = 50,
    objects: Annotated[bool, typer.Option("--objects", help="Events of objects, not the ledger.")] = False,
) -> None:
    """The ledger (who changed what), or what happened to objects.

    Example: licence-master history --limit 10
    """
    answer = api.get("/events" if objects else "/history", limit=limit)
    if api.show(answer):
        return
    if objects:
        events = msgspec.convert(answer, list[EventView])
        shown = [(when(e.at_ms), e.pbx, e.object, e.kind, e.class_, e.event, e.code) for e in events]
        table(shown, ("WHEN", "PBX", "OBJECT", "KIND", "CLASS", "EVENT", "CODE"))
        return
    entries = msgspec.convert(answer, list[EntryView])
    told = [(e.seq, when(e.at_ms), e.actor, e.event, _facts(e.facts)) for e in entries]
    table(told, ("SEQ", "WHEN", "ACTOR", "EVENT", "FACTS"))


def when(at_ms: int | None) -> str:
    """A time for people: UTC, to the second; nothing for never."""
    if at_ms is None:
        return ""
    return datetime.datetime.fromtimestamp(at_ms / 1_000, datetime.UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def ago(at_ms: int | None) -> str:
    """How long ago, roughly."""
    if at_ms is None:
        return "never"
    seconds = max(0, int(time.time()) - at_ms // 1_000)
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length} {unit} ago"
    return f"{seconds} s ago"


def _held_by(row: DenialView) -> str:
    return ", ".join(f"{units.pbx} {units.units} {units.pool}" for units in row.held_by) or "nobody"


def _facts(facts: dict[str, object]) -> str:
    """Every fact in short; --json shows them whole."""
    texts = {key: msgspec.json.encode(value).decode() for key, value in facts.items()}
    return " ".join(
        f"{key}={text if len(text) <= WIDEST else text[:WIDEST] + '…'}" for key, text in texts.items()
    )
