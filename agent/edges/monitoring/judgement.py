"""`pbx-agent check`: the status of the running agent as a monitoring plug-in says it.

Source: Monitoring Plugins Development Guidelines: one line with state, text and performance data, details
below, the state as exit code.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from agent.edges.monitoring.threshold import Range, Thresholds
from agent.edges.status_table import instant
from licensing.codes import Code
from licensing.demand import STANDBY_OF

SERVICE = "PBX-AGENT"
SHOWN = 3  # problems on the first line


class State(IntEnum):
    """The exit codes of monitoring plug-ins."""

    OK = 0
    WARNING = 1
    CRITICAL = 2
    UNKNOWN = 3


# Judged by a range: units a newcomer may have, seconds without the master, registrations without a unit.
WARNING: Thresholds = {"free": Range.parse("1:"), "away": Range.parse("300"), "surplus": Range.parse("0")}
CRITICAL: Thresholds = {"free": None, "away": Range.parse("86400"), "surplus": None}

# States of a site that are no matter of degree; `away` is one, see the range.
STATES = {
    "revoked": (State.CRITICAL, "the master revoked this agent"),
    "grace_over": (State.CRITICAL, "the grace period without the master is over"),
    "never_synced": (State.CRITICAL, "the master has never answered"),
    "recovering": (State.WARNING, "the master is recovering and lends nothing new"),
    "frozen": (State.WARNING, "growth of this site is frozen"),
}

# Classes that phones draw: a site without any unit of them serves no newcomer, whoever else it serves.
SEATS = frozenset(STANDBY_OF)

# Alarms that no time heals: somebody must act before the grace period ends. All others are warnings.
GRAVE = frozenset(
    {
        Code.AGENT_REVOKED,
        Code.CLONE_SUSPECTED,
        Code.SIGNATURE_INVALID,
        Code.UNKNOWN_AGENT,
        Code.UNKNOWN_INSTALLATION,
        Code.VERSION_UNSUPPORTED,
        Code.PIN_MISMATCH,
        Code.INSTANCE_CONFLICT,
        Code.DISK_FULL,
    }
)


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is not right at one PBX, and what would help where something is known."""

    state: State
    pbx: str
    text: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Measure:
    """One number as performance data; `whole` is what percents are of, 0 for none."""

    label: str
    value: int
    unit: str = ""
    metric: str = ""
    whole: int = 0
    class_: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """What the plug-in says: `line` and `details` for people, the state for its exit code."""

    state: State
    line: str
    details: tuple[str, ...]
    problems: tuple[Problem, ...]

    def __str__(self) -> str:
        return "\n".join([self.line, *self.details])

    def as_json(self) -> dict[str, Any]:
        """The report for programs."""
        rows = [{"state": p.state.name, "pbx": p.pbx, "text": p.text, "hint": p.hint} for p in self.problems]
        return {"state": self.state.name, "line": self.line, "problems": rows}


def judge(status: dict[str, Any], warning: Thresholds, critical: Thresholds) -> Report:
    """The report about an answer of `/status`."""
    problems: list[Problem] = []
    measures: list[Measure] = []
    for pbx in status["pbxs"]:
        own = list(_measures(pbx))
        measures += own
        problems += _judged(pbx, own, warning, critical)
    problems.sort(key=lambda problem: -problem.state)
    state = problems[0].state if problems else State.OK
    worst = [f"{problem.pbx}: {problem.text}" for problem in problems if problem.state is state]
    more = [f"{len(worst) - SHOWN} more"] if len(worst) > SHOWN else []
    text = "; ".join([*worst[:SHOWN], *more] or [_summary(pbx) for pbx in status["pbxs"]])
    data = " ".join(_performance(measure, warning, critical) for measure in measures)
    return Report(state, f"{head(state, text)} | {data}", tuple(_details(status, problems)), tuple(problems))


def unjudged(state: State, text: str) -> Report:
    """The report where there is no status to judge."""
    return Report(state, head(state, text), (), (Problem(state, "", text),))


def head(state: State, text: str) -> str:
    """The first line without performance data; a pipe would begin them."""
    return f"{SERVICE} {state.name} - {_plain(text)}"


def _judged(
    pbx: dict[str, Any], measures: Iterable[Measure], warning: Thresholds, critical: Thresholds
) -> Iterator[Problem]:
    name = pbx["name"]
    if pbx["state"] in STATES:
        state, text = STATES[pbx["state"]]
        yield Problem(state, name, text, "See pbx-agent doctor.")
    if pbx["bypass_until_ms"]:
        until = instant(pbx["bypass_until_ms"])
        yield Problem(State.WARNING, name, f"everything is admitted until {until}", "pbx-agent bypass --off")
    for alarm in pbx["alarms"]:
        state = State.CRITICAL if alarm["code"] in GRAVE else State.WARNING
        yield Problem(state, name, alarm["code"], alarm["hint"])
    for measure in measures:
        for state, ranges in ((State.CRITICAL, critical), (State.WARNING, warning)):
            right = ranges.get(measure.metric)
            if right is not None and right.alerts(measure.value, measure.whole):
                yield Problem(state, name, f"{_spoken(measure)} (right is {right})")
                break


def _measures(pbx: dict[str, Any]) -> Iterator[Measure]:
    name = pbx["name"]
    away_s = pbx["master"]["away_s"] if pbx["state"] in ("away", "grace_over") else 0
    yield Measure(f"{name}_away", away_s, "s", "away")
    yield Measure(f"{name}_bindings", pbx["bindings"])
    for class_, counts in pbx["classes"].items():
        granted = counts["granted"]
        free = counts["spare"] + counts["lingering"]  # a unit that lingers goes to whoever asks for it
        wanted = granted or counts["waiting"] or class_ in SEATS  # else this site has none, and needs none
        yield Measure(f"{name}_{class_}_free", free, "", "free" if wanted else "", granted, class_)
        yield Measure(f"{name}_{class_}_used", counts["used"], "", "", granted)
        yield Measure(f"{name}_{class_}_waiting", counts["waiting"])
        yield Measure(f"{name}_{class_}_surplus", counts["surplus"], "", "surplus", class_=class_)
        yield Measure(f"{name}_{class_}_refused", counts["refused"], "c")


def _spoken(measure: Measure) -> str:
    if measure.metric == "away":
        return f"no answer of the master for {measure.value} s"
    if measure.metric == "free":
        return f"{measure.value} of {measure.whole} units of {measure.class_} free"
    return f"{measure.value} registrations without a unit of {measure.class_}"


def _performance(measure: Measure, warning: Thresholds, critical: Thresholds) -> str:
    ranges = [thresholds.get(measure.metric) for thresholds in (warning, critical)]
    limits = [range_.absolute(measure.whole) if range_ else "" for range_ in ranges]
    most = str(measure.whole) if measure.whole else ""
    fields = [f"{measure.value}{measure.unit}", *limits, "" if measure.unit == "c" else "0", most]
    return f"{measure.label}=" + ";".join(fields).rstrip(";")


def _summary(pbx: dict[str, Any]) -> str:
    used = sum(counts["used"] for counts in pbx["classes"].values())
    granted = sum(counts["granted"] for counts in pbx["classes"].values())
    return f"{pbx['name']}: {pbx['state']}, {used} of {granted} units used, {pbx['bindings']} bindings"


def _details(status: dict[str, Any], problems: Iterable[Problem]) -> Iterator[str]:
    for problem in problems:
        hint = f" {problem.hint}" if problem.hint else ""
        yield _plain(f"{problem.state.name} {problem.pbx}: {problem.text}.{hint}")
    for pbx in status["pbxs"]:
        yield _plain(_summary(pbx))


def _plain(text: str) -> str:
    return " ".join(text.replace("|", "/").split())
