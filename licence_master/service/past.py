"""What happened, and why: the ledger, the agents' activity and the denials, read beside the writer."""

import msgspec

from licence_master.service import views
from licence_master.service.installation import Installation
from licence_master.service.reports import DenialView, EntryView, EventView, HolderView, WhyView
from licence_master.service.writer import event_name
from licence_master.store.activity import Denied, Happened
from licensing.codes import Code, hint, sentence
from licensing.state import State

EVENTS_OF_AN_OBJECT = 50
DENIALS_OF_A_PBX = 5


async def denials(each: Installation, limit: int, pbx: str | None = None) -> list[DenialView]:
    """What was denied, newest first, with who has the units now."""
    state = each.writer.state
    return [_denial(state, found) for found in await each.past.denials(limit, pbx)]


async def events(each: Installation, limit: int, pbx: str | None = None) -> list[EventView]:
    """What happened to the objects, newest first."""
    return [_event(found) for found in await each.past.recent(limit, pbx)]


async def entries(each: Installation, limit: int) -> list[EntryView]:
    """The last rows of the ledger, newest first."""
    views_ = []
    for entry in await each.past.entries(limit):
        facts = msgspec.to_builtins(entry.event)
        facts.pop("event")
        name = event_name(entry.event)
        views_.append(EntryView(entry.seq, entry.at_ms, entry.term, entry.actor, name, facts))
    return views_


async def why(each: Installation, name: str, pbx: str | None = None) -> WhyView | None:
    """What is known of an object (at one PBX); None when no agent ever named it."""
    happened = [
        _event(found)
        for found in await each.past.of_object(name, EVENTS_OF_AN_OBJECT)
        if pbx in (None, found.agent)
    ]
    found = [h for h in each.history.holdings.of_object(name) if pbx in (None, h.agent)]
    holds = tuple(views.holder(h) for h in found)
    if not happened and not holds:
        return None
    refused = _last_refusal(happened, holds)
    denied: list[DenialView] = []
    if refused is not None:
        of_pbx = await denials(each, DENIALS_OF_A_PBX * 4, refused.pbx)
        denied = [d for d in of_pbx if d.class_ == refused.class_][:DENIALS_OF_A_PBX]
    answer, help_ = _answer(name, holds, happened, refused, denied)
    told_by = {event.pbx for event in happened} | {found.pbx for found in holds}
    return WhyView(
        object=name,
        as_of_ms=max(each.history.last_sync_ms(pbx) or 0 for pbx in told_by),
        answer=answer,
        hint=help_,
        holds=holds,
        denials=tuple(denied),
        events=tuple(happened),
    )


def _last_refusal(happened: list[EventView], holds: tuple[HolderView, ...]) -> EventView | None:
    """The newest event, when it left the object without a licence."""
    if any(found.state == "held" for found in holds):
        return None
    return next((event for event in happened if event.event in ("refused", "surplus", "reported")), None)


def _answer(
    name: str,
    holds: tuple[HolderView, ...],
    happened: list[EventView],
    refused: EventView | None,
    denied: list[DenialView],
) -> tuple[str, str]:
    held = [found for found in holds if found.state == "held"]
    if held:
        return f"{name} holds {' and '.join(f'{h.class_} at {h.pbx}' for h in held)}.", ""
    if refused is not None:
        verb = {"refused": "was refused", "surplus": "is registered without a licence"}
        text = f"{name} {verb.get(refused.event, 'was reported')} at {refused.pbx}"
        code = _code(refused.code) or (_code(denied[0].code) if denied else None)
        if code is None:
            return f"{text}.", ""
        help_ = denied[0].hint if denied and denied[0].code == code else hint(code)
        return f"{text}: {sentence(code)} ({code}).", help_
    last = happened[0]
    return f"{name} holds nothing now; last: {last.event} {last.class_} at {last.pbx}.", ""


def _code(text: str | None) -> Code | None:
    return Code(text) if text is not None and text in set(Code) else None


def _denial(state: State, found: Denied) -> DenialView:
    detail, code = found.detail, _code(found.code)
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
        held_by=views.units(state, found.agent, found.class_),
        hint=detail.hint or (hint(code) if code else ""),
    )


def _event(found: Happened) -> EventView:
    return EventView(
        found.at_ms, found.agent, found.object, found.kind, found.class_, found.event, found.code
    )
