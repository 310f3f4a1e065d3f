"""Commands that ask what would be: simulate on a scenario file, what-if on a running master."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.progress import track

from licence_master.catalogue import read_catalogue
from licence_master.cli.client import Api, remote
from licence_master.edges import scenario_file
from licensing.scenario.answer import Answer, StepAnswer
from licensing.scenario.play import play
from licensing.scenario.scenario import Step
from licensing.scenario.what_if import PoolThen, WhatIf
from runtime.cli import Exit, JsonFlag, fail, print_json, table
from runtime.config import ConfigErrors

LONG = 500  # steps from which on people want to see that something happens


def simulate(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A scenario: YAML or JSON.")],
    as_json: JsonFlag = False,
) -> None:
    """Answer a question about an installation that need not exist: which step is granted, what is left.

    The scenario is decided by the same code that serves the agents. Nothing is asked of a running master.
    Exit code 0 also when steps are refused: that is an answer; 4 when the file is no scenario.

    Example: licence-master simulate scenario.yaml --json
    """
    if not file.is_file():
        fail(Exit.USAGE, f"{file}: there is no such file")
    try:
        scenario = scenario_file.read(file)
    except ConfigErrors as errors:
        fail(Exit.BAD_DATA, errors.report("nothing was simulated"))
    answer = play(scenario, read_catalogue(), _progress)
    if as_json:
        print_json(msgspec.to_builtins(answer))
        return
    _steps(scenario.steps, answer.steps)
    _pools(answer)
    _remarks(answer)


@remote
def what_if(
    api: Api,
    software: Annotated[int, typer.Option("--software", min=1, max=99, help="The release to upgrade to.")],
    pbx: Annotated[str | None, typer.Option("--pbx", help="This PBX only; default: all of them.")] = None,
) -> None:
    """What an upgrade of the PBXs would do to your licences; nothing is changed.

    Example: licence-master what-if --software 14
    """
    answer = api.get("/what-if", software=software, pbx=pbx)
    if api.show(answer):
        return
    found = msgspec.convert(answer, WhatIf)
    shown = [
        (each.pool, each.installed, each.now, each.then, each.cleaned, each.surplus, _rows(each))
        for each in found.pools
    ]
    table(shown, ("POOL", "INSTALLED", "USABLE NOW", "THEN", "CLEANED", "SURPLUS", "IN THE WAY"))
    if any(each.in_the_way for each in found.pools):
        typer.echo("\nCLEANED: usable once what is in the way is removed; see licence-master remove --help.")
    if any(each.surplus for each in found.pools):
        typer.echo(
            "\nSURPLUS: in use beyond what would be usable; nobody is cut, and nothing new is granted."
        )
    for head, rows in (("lose their unit", found.lost), ("get a unit", found.gained)):
        if rows:
            names = [f"{each.licence} of {each.object} at {each.pbx}" for each in rows]
            typer.echo(f"\n{len(rows)} assignment(s) would {head}: {_some(names)}")


def _rows(each: PoolThen) -> str:
    return ", ".join(f"{row.count} {row.type}" for row in each.in_the_way)


def _progress(steps: Iterable[Step]) -> Iterable[Step]:
    """A bar on stderr while a long scenario is played, for a person who looks."""
    steps = tuple(steps)
    console = Console(stderr=True)
    if len(steps) < LONG or not console.is_terminal:
        return steps
    return track(steps, "simulating", console=console, transient=True)


def _steps(steps: Iterable[Step], answers: Iterable[StepAnswer]) -> None:
    shown = [
        (each.step, scenario_file.told(step), "yes" if each.ok else f"no: {each.code}", _units(each))
        for step, each in zip(steps, answers, strict=True)
    ]
    if shown:
        table(shown, ("STEP", "WHAT", "GRANTED", "UNITS"))
        typer.echo()


def _units(each: StepAnswer) -> str:
    """What a step took and gave back: `+1 port +1 ipva`."""
    took = [f"+{units} {pool}" for pool, units in each.drew.items()]
    return " ".join([*took, *(f"-{units} {pool}" for pool, units in each.gave.items())])


def _pools(answer: Answer) -> None:
    shown = [
        (name, each.installed, each.usable, each.used, each.free, each.surplus, each.reason)
        for name, each in answer.pools.items()
    ]
    table(shown, ("POOL", "INSTALLED", "USABLE", "USED", "FREE", "SURPLUS", "REASON"))


def _remarks(answer: Answer) -> None:
    """Everything that is wrong, with what helps."""
    _refusals(answer)
    for name, pool in answer.pools.items():
        if pool.why:
            typer.echo(f"\nNo unit of {name} counts: {pool.why}")
    lost = [f"{each.licence} of {each.object}" for step in answer.steps for each in step.lost]
    if lost:
        typer.echo(f"\nLost by a step: {_some(lost)}")
    if answer.surplus:
        names = [f"{each.object} at {each.pbx}" for each in answer.surplus]
        typer.echo(f"\nRegistered beyond what is licensed, and never cut: {_some(names)}")
    for warning in answer.warnings:
        facts = ", ".join(f"{name} {value}" for name, value in warning.items() if name != "code")
        typer.echo(f"\nWarning: {warning['code']}: {facts}")


def _refusals(answer: Answer) -> None:
    """Those that are told alike stand together."""
    lines: dict[tuple[str, str], list[str]] = {}
    for licence in answer.refused:
        place = f"licence {licence.licence} ({licence.type})"
        lines.setdefault((f"{licence.why} ({licence.code})", licence.hint), []).append(place)
    for step in answer.steps:
        if not step.ok:
            lines.setdefault((f"{step.why} ({step.code})", step.hint), []).append(f"step {step.step}")
    if lines:
        typer.echo("\nRefused:")
    for (why, hint), places in lines.items():
        typer.echo(f"  {_some(places)}: {why}")
        typer.echo(f"    What helps: {hint}")


def _some(names: list[str], most: int = 5) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
