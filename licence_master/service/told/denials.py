"""What was denied, as people read it: who asked, who had the units, when one frees, what would help."""

from collections.abc import Sequence

from licence_master.service.installation import Installation
from licence_master.service.told import views
from licence_master.service.told.reports import DenialView, HolderView, ShareView
from licence_master.service.told.units import rivals, units
from licence_master.service.told.units_report import UnitsView
from licence_master.store.activity import Denied, Refused
from licensing.codes import Code, hint, sentence
from licensing.lender.denial import short_pool
from licensing.state import State

SHORT = (Code.NO_FREE_LICENCE, Code.RESERVED, Code.IPVA_MISSING, Code.LOCAL_MODE)
NAMED = 5  # holders told with a denial


async def denials(
    each: Installation, limit: int, pbx: str | None = None, class_: str | None = None
) -> list[DenialView]:
    """What was denied (at one PBX, of one class), newest first; a PBX hears names of its own only."""
    found = await each.past.denials(limit, pbx, class_)
    held = [holder for holder in views.holders(each) if pbx in (None, holder.pbx)] if found else []
    held.sort(key=lambda holder: holder.since_ms)
    stranded = [row for row in views.shares(each) if row.stranded]
    return [_denial(each, denied, refused, held, stranded) for denied, refused in found]


def known_code(text: str | None) -> Code | None:
    """The code of this name; None where a newer agent told one that is not known here."""
    return Code(text) if text is not None and text in set(Code) else None


def _denial(
    each: Installation,
    found: Denied,
    refused: Refused,
    held: Sequence[HolderView],
    stranded: Sequence[ShareView],
) -> DenialView:
    state, detail, code = each.writer.state, found.detail, known_code(found.code)
    now, pairs = units(state, found.agent, found.class_), rivals(state, found.agent, found.class_)
    then = tuple(UnitsView(*row) for row in found.held) if found.held is not None else now
    frees_ms = each.history.lingering.first(pairs, each.writer.clock.wall_ms())
    return DenialView(
        first_ms=found.first_ms,
        last_ms=found.last_ms,
        times=found.times,
        pbx=found.agent,
        class_=found.class_,
        code=found.code,
        sentence=sentence(code) if code else "",
        asked=detail.asked,
        granted=detail.granted,
        capacity=detail.capacity,
        used=detail.used,
        reserved=detail.reserved,
        stranded=detail.stranded,
        held_by=then,
        hint=detail.hint or (hint(code) if code else ""),
        objects=refused.objects,
        more_objects=refused.others,
        held_now=now,
        holders=_holders(held, pairs, found.first_ms),
        frees_ms=frees_ms,
        helps=_helps(state, found, [row for row in stranded if (row.pbx, row.class_) in pairs]),
    )


def _holders(
    held: Sequence[HolderView], pairs: frozenset[tuple[str, str]], first_ms: int
) -> tuple[HolderView, ...]:
    """Who holds one since before the denial, the longest first."""
    found: list[HolderView] = []
    for holder in held:
        if holder.since_ms > first_ms or len(found) == NAMED:
            break
        if (holder.pbx, holder.class_) in pairs and holder.state == "held":
            found.append(holder)
    return tuple(found)


def _helps(state: State, found: Denied, stranded: Sequence[ShareView]) -> tuple[str, ...]:
    """What would help with this one, in numbers, as far as it is known now."""
    missing = found.detail.asked - found.detail.granted
    pool = short_pool(state, found.agent, found.class_)
    texts = []
    if missing > 0 and pool and found.code in SHORT:
        texts.append(f"{missing} more of {pool}, installed or freed")
    texts += [f"{row.stranded} {row.class_} stranded at {row.pbx}: {row.hint}" for row in stranded]
    return tuple(texts)
