"""Commands that ask a running master: licences, pools, shares, agents, holders, denials, why, history."""

import datetime
import time
from typing import Annotated
from urllib.parse import quote

import msgspec
import typer

from licence_master.cli.client import Api, remote
from licence_master.service.told.reports import (
    AgentView,
    DenialView,
    EntryView,
    EventView,
    HolderView,
    LicenceView,
    PoolView,
    RightsView,
    ShareView,
    WhyView,
)
from runtime.cli import table

LimitOption = Annotated[int, typer.Option("--limit", min=1, max=10_000, help="How many, newest first.")]
PbxOption = Annotated[str | None, typer.Option("--pbx", help="Of this PBX only.")]

WIDEST = 80


@remote
def licences(api: Api) -> None:
    """Installed licences by project, with the issuer of the file that brought them, and until when.

    Example: licence-master licences --installation acme
    """
    answer = api.get("/licences")
    if api.show(answer):
        return
    rows = msgspec.convert(answer, list[LicenceView])
    shown = [
        (
            r.number,
            r.project,
            r.type,
            r.count,
            r.place or "master",
            r.mac,
            _feeds(r),
            r.issuer or ("rented" if r.rented else r.source),
            when(r.until_ms),
        )
        for r in rows
    ]
    table(shown, ("NO", "PROJECT", "TYPE", "COUNT", "PLACE", "MAC", "POOL", "FROM", "UNTIL"))


def _feeds(row: LicenceView) -> str | None:
    """The pool of units, or why they feed none."""
    if row.unassigned:
        return "unassigned"
    if row.quarantined:
        return "quarantined"
    return "not paid" if row.rented and row.pool is None else row.pool


@remote
def pools(api: Api) -> None:
    """What is installed, usable, lent, used and free; of the free units some may be kept for a PBX (reserve).

    Surplus is lent beyond usable, and recalled.

    Example: licence-master pools
    """
    answer = api.get("/pools")
    if api.show(answer):
        return
    rows = msgspec.convert(answer, list[PoolView])
    shown = [
        (r.pool, r.installed, r.usable, r.lent, r.used, r.free, r.kept, r.surplus, r.reason) for r in rows
    ]
    table(shown, ("POOL", "INSTALLED", "USABLE", "LENT", "USED", "FREE", "KEPT", "SURPLUS", "REASON"))


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
    for row in rows:
        if row.state == "failed":
            typer.echo(f"{row.pbx}: failed, its units are reserved; {row.hint}")
    awaited = [row for row in rows if row.state == "awaited"]
    if awaited:
        typer.echo(
            "In recovery: nothing new is lent before these have answered. Phones go on in their shares."
        )
    for row in awaited:
        typer.echo(f"{row.pbx}: last sync {ago(row.last_sync_ms)}; {row.hint}")


@remote
def holders(api: Api, pbx: PbxOption = None) -> None:
    """Objects that hold a unit, and since when; who leaves is in use beyond what is installed, and goes on.

    Example: licence-master holders --pbx lyon
    """
    answer = api.get("/holders", pbx=pbx)
    if api.show(answer):
        return
    rows = msgspec.convert(answer, list[HolderView])
    shown = [(r.object, r.pbx, r.class_, r.state, when(r.since_ms), "yes" * r.leaves) for r in rows]
    table(shown, ("OBJECT", "PBX", "CLASS", "STATE", "SINCE", "LEAVES"))


@remote
def denials(api: Api, limit: LimitOption = 20) -> None:
    """What was denied: to whom, when, why, who had the units, when one frees, what would help.

    A unit is known to free only where one lingers: of a registered phone nobody knows when it leaves.

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
            _objects(r),
            r.class_,
            r.code,
            r.asked,
            r.granted,
            r.used,
            r.capacity,
            _held_by(r),
            when(r.frees_ms) or "unknown",
        )
        for r in rows
    ]
    heads = ("LAST", "TIMES", "PBX", "OBJECTS", "CLASS", "CODE", "ASKED", "GRANTED", "USED", "CAPACITY")
    table(shown, (*heads, "HELD BY", "ONE FREES"))
    for code, hint in {row.code: row.hint for row in rows if row.hint}.items():
        typer.echo(f"{code}: {hint}")
    for pbx, text in dict.fromkeys((row.pbx, text) for row in rows for text in row.helps):
        typer.echo(f"{pbx}: {text}")


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
    if found.as_of_ms:
        typer.echo(f"As of {when(found.as_of_ms)}.")
    for row in found.denials:
        typer.echo(
            f"Denied {row.times} time(s) until {when(row.last_ms)}: {row.sentence}; held by {_held_by(row)};"
            f" one frees: {when(row.frees_ms) or 'unknown'}"
        )
    for text in dict.fromkeys(text for row in found.denials for text in row.helps):
        typer.echo(f"Would help: {text}")
    for held in found.denials[0].holders if found.denials else ():
        typer.echo(f"Held since before: {held.object} at {held.pbx}, since {when(held.since_ms)}")
    if found.events:
        shown = [(when(e.at_ms), e.pbx, e.class_, e.event, e.code) for e in found.events]
        table(shown, ("WHEN", "PBX", "CLASS", "EVENT", "CODE"))
    for rights in found.rights if found.assigned else ():
        _tell_rights(rights)


def _tell_rights(found: RightsView) -> None:
    """What a user may use at a PBX: everything he has, and the rest with the reason."""
    typer.echo(f"\n{found.object} at {found.pbx} ({found.kind}) may use:")
    rows = []
    for right in (*found.licences, *found.apps):
        rows.append((right.name, right.has, right.through or right.code, right.sentence))
        rows += [(f"  {part.id}", part.has, part.code, part.sentence) for part in right.parts]
    table(rows, ("LICENCE OR APP", "HAS", "BY", "WHY NOT"))


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


def _objects(row: DenialView) -> str:
    more = f" and {row.more_objects} more" if row.more_objects else ""
    return ", ".join(row.objects) + more


def _held_by(row: DenialView) -> str:
    return ", ".join(f"{units.pbx} {units.units} {units.pool}" for units in row.held_by) or "nobody"


def _facts(facts: dict[str, object]) -> str:
    """Every fact in short; --json shows them whole."""
    texts = {key: msgspec.json.encode(value).decode() for key, value in facts.items()}
    return " ".join(
        f"{key}={text if len(text) <= WIDEST else text[:WIDEST] + '…'}" for key, text in texts.items()
    )
