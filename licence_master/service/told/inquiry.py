"""What happened, and why: the ledger, the agents' activity and the denials, read beside the writer."""

from licence_master.service.installation import Installation
from licence_master.service.told import boxes, rights, views
from licence_master.service.told.denials import denials, known_code
from licence_master.service.told.reports import DenialView, EntryView, EventView, HolderView, WhyView
from licence_master.service.writer import event_name, facts_of
from licence_master.store.activity import Happened
from licensing.codes import Code, hint, sentence
from licensing.demand import base_kind
from licensing.named.assignment import Subject

EVENTS_OF_AN_OBJECT = 50
DENIALS_OF_A_PBX = 5
LEAVES = "It goes on, and has to leave: less is installed than is in use, and it came last."


async def events(each: Installation, limit: int, pbx: str | None = None) -> list[EventView]:
    """What happened to the objects, newest first."""
    return [_event(found) for found in await each.past.recent(limit, pbx)]


async def entries(each: Installation, limit: int) -> list[EntryView]:
    """The last rows of the ledger, newest first."""
    views_ = []
    for entry in await each.past.entries(limit):
        name, facts = event_name(entry.event), facts_of(entry.event)
        views_.append(EntryView(entry.seq, entry.at_ms, entry.term, entry.actor, name, facts))
    return views_


async def why(each: Installation, name: str, pbx: str | None = None) -> WhyView | None:
    """What is known of an object (at one PBX); None when no agent ever named it and nothing is assigned."""
    happened = [_event(found) for found in await each.past.of_object(name, EVENTS_OF_AN_OBJECT, pbx)]
    found = [h for h in each.history.holdings.of_object(name) if pbx in (None, h.agent)]
    holds = tuple(views.named_holders(each, found))
    state = each.writer.state
    assigned = [a for a in rights.assignments(state) if a.object == name and pbx in (None, a.pbx)]
    if not happened and not holds and not assigned:
        return _box(each, name, pbx)
    refused = _last_refusal(happened, holds)
    denied: list[DenialView] = []
    if refused is not None:
        denied = await denials(each, DENIALS_OF_A_PBX, refused.pbx, refused.class_)
    answer, help_ = _answer(name, holds, happened, refused, denied)
    kinds = {event.pbx: event.kind for event in happened} | {a.pbx: a.kind for a in assigned}
    told_by = {event.pbx for event in happened} | {found.pbx for found in holds}
    places = sorted(kinds.keys() | told_by)
    return WhyView(
        object=name,
        as_of_ms=max((each.history.last_sync_ms(pbx) or 0 for pbx in told_by), default=0),
        answer=answer,
        hint=help_,
        holds=holds,
        denials=tuple(denied),
        events=tuple(happened),
        assigned=tuple(assigned),
        rights=tuple(
            rights.of_subject(
                state, each.assignments.catalogue, Subject(at, name), base_kind(kinds.get(at, "user"))
            )
            for at in places
        ),
    )


def _box(each: Installation, name: str, pbx: str | None) -> WhyView | None:
    """Of a PBX, or of a MAC: whether the licences that are bound to its box count."""
    state = each.writer.state
    box = boxes.found(state, name)
    if box is None or pbx not in (None, box):
        return None
    answer, help_ = boxes.told(state, box)
    as_of_ms = each.history.last_sync_ms(box) or 0
    return WhyView(name, as_of_ms, answer, help_, holds=(), denials=(), events=(), assigned=(), rights=())


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
        text = f"{name} holds {' and '.join(f'{h.class_} at {h.pbx}' for h in held)}."
        leaves = any(found.leaves for found in held)
        return (f"{text} {LEAVES}", hint(Code.NO_FREE_LICENCE)) if leaves else (text, "")
    if refused is not None:
        verb = {"refused": "was refused", "surplus": "is registered without a licence"}
        text = f"{name} {verb.get(refused.event, 'was reported')} at {refused.pbx}"
        code = known_code(refused.code) or (known_code(denied[0].code) if denied else None)
        if code is None:
            return f"{text}.", ""
        help_ = denied[0].hint if denied and denied[0].code == code else hint(code)
        return f"{text}: {sentence(code)} ({code}).", help_
    if not happened:
        return f"No agent has reported {name}; it is assigned licences.", ""
    last = happened[0]
    return f"{name} holds nothing now; last: {last.event} {last.class_} at {last.pbx}.", ""


def _event(found: Happened) -> EventView:
    return EventView(
        found.at_ms, found.agent, found.object, found.kind, found.class_, found.event, found.code
    )
