"""The status of the running agent as tables for people."""

from collections.abc import Sequence
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
    """One row for each thing that is wrong, a bypass among them."""
    rows: list[tuple[Cell, ...]] = []
    for pbx in answer["pbxs"]:
        if pbx["bypass_until_ms"]:
            rows.append((pbx["name"], "bypass", "Everything is admitted: pbx-agent bypass --off ends it."))
        rows += [(pbx["name"], alarm["code"], alarm["hint"]) for alarm in pbx["alarms"]]
    return rows, ("pbx", "alarm", "what would help")


def rejection_table(answer: dict[str, Any]) -> Table:
    """One row for each reason why messages of phones or strangers went nowhere, the most frequent first."""
    rows: list[tuple[Cell, ...]] = []
    for pbx in answer["pbxs"]:
        counts = sorted(pbx["rejections"].items(), key=lambda item: -item[1])
        rows += [(pbx["name"], reason, count) for reason, count in counts]
    return rows, ("pbx", "messages that went nowhere", "since the start")
