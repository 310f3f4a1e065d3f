"""The status of the running agent as tables for people."""

from collections.abc import Sequence
from time import gmtime, strftime
from typing import Any

from runtime.cli import Cell

Table = tuple[list[tuple[Cell, ...]], Sequence[str]]

COUNTS = (
    "granted", "recall_to", "used", "reserved", "waiting", "lingering", "surplus", "spare", "refused",
)  # fmt: skip


def status_table(answer: dict[str, Any]) -> Table:
    """One row for each class of each PBX; a PBX without classes has one too."""
    rows: list[tuple[Cell, ...]] = []
    for pbx in answer["pbxs"]:
        head = (pbx["name"], pbx["state"], pbx["bindings"])
        classes = pbx["classes"] or {None: dict.fromkeys(COUNTS)}
        rows += [(*head, class_, *(counts[name] for name in COUNTS)) for class_, counts in classes.items()]
    return rows, ("pbx", "state", "bindings", "class", *COUNTS)


def alarm_table(answer: dict[str, Any]) -> Table:
    """One row for each thing that is wrong, a bypass and every PBX that this one stands in for among them."""
    rows: list[tuple[Cell, ...]] = []
    for pbx in answer["pbxs"]:
        if pbx["bypass_until_ms"]:
            until = instant(pbx["bypass_until_ms"])
            hint = f"Everything is admitted until {until}: pbx-agent bypass --off ends it."
            rows.append((pbx["name"], "bypass", hint))
        for home in pbx["standing_in"]:
            hint = f"Its phones draw Standby here: pbx-agent stand-in {home} --end ends it."
            rows.append((pbx["name"], f"stands in for {home}", hint))
        rows += [(pbx["name"], alarm["code"], alarm["hint"]) for alarm in pbx["alarms"]]
    return rows, ("pbx", "alarm", "what would help")


def instant(at_ms: int) -> str:
    """A moment of wall time for people."""
    return strftime("%Y-%m-%d %H:%M UTC", gmtime(at_ms / 1_000))


def observed_table(answer: dict[str, Any]) -> Table:
    """One row for each PBX that says what it holds."""
    names = ("driver", "connected", "contacts", "unreachable", "rooms", "members", "calls", "trouble")
    observed = [(pbx["name"], pbx["observed"]) for pbx in answer["pbxs"] if pbx["observed"] is not None]
    return [(name, *(said[each] for each in names)) for name, said in observed], ("pbx", *names)


def record_table(answer: dict[str, Any]) -> Table:
    """One row for each source of call records; what waits for the master is that of its whole PBX."""
    names = ("source", "connected", "silent", "missing", "refused", "trouble")
    rows: list[tuple[Cell, ...]] = []
    for pbx in answer["pbxs"]:
        if (cdrs := pbx["cdrs"]) is not None:
            rows += [(*(source[name] for name in names), cdrs["waiting"]) for source in cdrs["sources"]]
    return rows, (*names, "waiting")


def rejection_table(answer: dict[str, Any]) -> Table:
    """One row for each reason why messages of phones or strangers went nowhere, the most frequent first."""
    rows: list[tuple[Cell, ...]] = []
    for pbx in answer["pbxs"]:
        counts = sorted(pbx["rejections"].items(), key=lambda item: -item[1])
        rows += [(pbx["name"], reason, count) for reason, count in counts]
    return rows, ("pbx", "messages that went nowhere", "since the start")
