"""What `pbx-agent status` shows of one PBX (contract "pbx-agent status --json")."""

from typing import Any

from agent.service.opening import OpenPbx
from licensing.site import record as records
from licensing.site.counts import Counts
from runtime.clock import Clock


def status(pbx: OpenPbx, clock: Clock) -> dict[str, Any]:
    """The entry of this PBX, exactly as the contract spells it."""
    record = pbx.conversation.record
    now_ms, at_ms = clock.monotonic_ms(), clock.wall_ms()
    granted = {class_: lent.granted for class_, lent in record.shares.items()}
    return {
        "name": pbx.entry.name,
        "state": state(pbx, clock),
        "master": {
            "url": pbx.conversation.url,
            "last_sync_ms": record.grace.heard_at_ms if record.synced else None,
            "away_s": pbx.conversation.away_s(),
            "grace_left_s": max(0, records.grace_left_ms(record, now_ms, at_ms) // 1_000),
        },
        "classes": {
            class_: _class(granted.get(class_, 0), counts)
            for class_, counts in pbx.site.seats.counts().items()
        },
        "bindings": _bindings(pbx),
        "enforcement": record.policy.enforcement,
        "bypass_until_ms": pbx.site.bypass_until_at_ms,
        "standing_in": list(pbx.stand_in.homes),
        "rejections": rejections(pbx),
        "observed": pbx.observer.told() if pbx.observer is not None else None,
        "cdrs": pbx.cdrs.told() if pbx.cdrs is not None else None,
        "alarms": [
            {"code": alarm.code.value, "since_ms": alarm.since_ms, "hint": alarm.hint}
            for alarm in pbx.alarms.all()
        ],
    }


def state(pbx: OpenPbx, clock: Clock) -> str:
    """One word for the site, the gravest first."""
    conversation = pbx.conversation
    record = conversation.record
    shares = {lent.state for lent in record.shares.values()}
    words = (
        (conversation.revoked is not None, "revoked"),
        (not record.synced, "never_synced"),
        (records.grace_left_ms(record, clock.monotonic_ms(), clock.wall_ms()) <= 0, "grace_over"),
        (conversation.away, "away"),
        ("recovering" in shares, "recovering"),
        ("frozen" in shares, "frozen"),
    )
    return next((word for holds, word in words if holds), "in_sync")


async def facts(pbx: OpenPbx, clock: Clock) -> dict[str, Any]:
    """What `doctor` asks besides: objects the PBX ever accepted, what went nowhere, what the PBX does."""
    sightings = pbx.site.guard.sightings
    return {
        "name": pbx.entry.name,
        "state": state(pbx, clock),
        "bindings": _bindings(pbx),
        "proven": sorted(await pbx.journal.proven()),
        "rejections": rejections(pbx),
        "activity_dropped": pbx.journal.activity_dropped,
        "holding_back": pbx.site.seats.recovering,
        "box": pbx.box.facts(),
        "sightings": {
            "with_path": sightings.with_path,
            "without_path": sightings.without_path,
            "contacts_kept": sightings.contacts_kept,
            "contacts_changed": sightings.contacts_changed,
        },
    }


def rejections(pbx: OpenPbx) -> dict[str, int]:
    """Messages that went nowhere, by reason; `kernel`: sources shut out, and what found the buffer full."""
    unread = {"over_limit": pbx.site.intake.refused, "kernel": pbx.floods.dropped}
    return {**pbx.site.outbound.rejections, **{reason: count for reason, count in unread.items() if count}}


def _bindings(pbx: OpenPbx) -> int:
    return sum(len(registration.bindings) for registration in pbx.site.guard.snapshot())


def _class(granted: int, counts: Counts) -> dict[str, int | None]:
    return {
        "granted": granted,
        "recall_to": counts.recall_to,
        "used": counts.used,
        "reserved": counts.reserved,
        "waiting": counts.waiting,
        "lingering": counts.lingering,
        "surplus": counts.surplus,
        "spare": counts.spare,
        "refused": counts.refused,
    }
