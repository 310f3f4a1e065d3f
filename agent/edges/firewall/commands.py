"""`pbx-agent redirect` and `pbx-agent aside`: the kernel brings phones to the agent, or past it.

Both are tables of the kernel, gone after a reboot, and both end by `off`, which reads nothing but the kernel:
it works when agent.yaml is broken and the agent is gone.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from agent.config import AgentConfig, PbxEntry
from agent.edges.firewall import aside, host, nft, redirect, ruleset
from agent.edges.firewall.loaded import Loaded, loaded
from agent.edges.firewall.passage import Passage, Unfit
from agent.edges.firewall.ruleset import ASIDE, REDIRECT, IpNetwork
from agent.options import DEFAULT_CONFIG, ConfigOption, PbxOption
from runtime.cli import Exit, JsonFlag, fail, load_or_fail, print_json

Passages = tuple[Passage, ...]
Plan = tuple[str, str, Loaded | str | None]
"""Name of the PBX, the ruleset for it, and the table that is loaded, none, or why nobody knows."""

InterfaceOption = Annotated[
    str | None, typer.Option("--interface", metavar="IF", help="Only what comes in here.")
]
ExceptOption = Annotated[
    list[str] | None,
    typer.Option("--except", metavar="ADDRESS", help="Not from this address or network; may be repeated."),
]
UnreadConfig = Annotated[Path, typer.Option("--config", metavar="FILE", help="Not read: it may be broken.")]


def redirect_on(
    config: ConfigOption = DEFAULT_CONFIG,
    pbx: PbxOption = None,
    interface: InterfaceOption = None,
    except_: ExceptOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Bring what arrives at the PBX's ports to the agent; again after a change of agent.yaml.

    A table that is loaded keeps its interface and exceptions unless others are given.

    Example: pbx-agent redirect on --except 198.51.100.0/24
    """
    spared = _networks(except_)
    if interface is not None and not host.has_interface(interface):
        fail(Exit.USAGE, f"{interface}: this host has no such network interface")
    report = []
    with _understandable():
        for name, passages in _fitting(config, pbx, redirect.fit):
            text = redirect.wanted(name, passages, loaded(REDIRECT, name), interface, spared)
            nft.load(text)
            _forget(redirect.tracked(passages))
            report.append(_told(REDIRECT, name, passages))
    _show(report, as_json, "the way back: pbx-agent redirect off")


def redirect_off(
    config: UnreadConfig = DEFAULT_CONFIG, pbx: PbxOption = None, as_json: JsonFlag = False
) -> None:
    """Let phones reach the PBX again; reads no file, needs no agent.

    Example: pbx-agent redirect off
    """
    report = []
    with _understandable():
        for name in _loaded_names(REDIRECT, pbx):
            passages = redirect.turn_off(name)
            _forget(redirect.tracked(passages))
            report.append(_told(REDIRECT, name, passages))
    _show(report, as_json, "" if report else "nothing was redirected")


def redirect_show(
    config: ConfigOption = DEFAULT_CONFIG,
    pbx: PbxOption = None,
    interface: InterfaceOption = None,
    except_: ExceptOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Print the rules that `on` would load, for `nft -f`; whether they are loaded goes to stderr.

    Example: pbx-agent redirect show
    """
    spared = _networks(except_)
    plans: list[Plan] = []
    for name, passages in _fitting(config, pbx, redirect.fit):
        now = _readable(REDIRECT, name)
        told = now if isinstance(now, Loaded) else None
        plans.append((name, redirect.wanted(name, passages, told, interface, spared), now))
    _print_rules(plans, as_json)


def aside_on(config: ConfigOption = DEFAULT_CONFIG, pbx: PbxOption = None, as_json: JsonFlag = False) -> None:
    """Bring what arrives at the agent's ports to the PBX: the way back when the agent is stopped or broken.

    Nothing is refused, counted or reported for these phones until `pbx-agent aside off`.

    Example: pbx-agent aside on
    """
    report = []
    with _understandable():
        for name, passages in _fitting(config, pbx, aside.fit):
            in_vain = aside.in_vain(name)
            if in_vain is not None:
                fail(Exit.REFUSED, f"{name}: {in_vain}")
            aside.turn_on(aside.wanted(name, passages), passages)
            _forget(passages)
            report.append(_told(ASIDE, name, passages))
            _loudly(name)
    _show(report, as_json, "the way back to the agent: pbx-agent aside off")


def _loudly(name: str) -> None:
    typer.echo(
        f"{name}: THE AGENT IS SET ASIDE: phones register at the PBX without it, no licence is asked for,"
        " nothing is counted",
        err=True,
    )


def aside_off(
    config: UnreadConfig = DEFAULT_CONFIG, pbx: PbxOption = None, as_json: JsonFlag = False
) -> None:
    """Let phones reach the agent again; reads no file.

    Example: pbx-agent aside off
    """
    report = []
    with _understandable():
        for name in _loaded_names(ASIDE, pbx):
            passages = aside.turn_off(name)
            _forget(passages)
            report.append(_told(ASIDE, name, passages))
    _show(report, as_json, "" if report else "no agent was set aside")


def aside_show(
    config: ConfigOption = DEFAULT_CONFIG, pbx: PbxOption = None, as_json: JsonFlag = False
) -> None:
    """Print the rules that `on` would load; whether they are loaded goes to stderr.

    Example: pbx-agent aside show
    """
    with _understandable():
        plans = [
            (name, aside.wanted(name, passages), loaded(ASIDE, name))
            for name, passages in _fitting(config, pbx, aside.fit)
        ]
    _print_rules(plans, as_json)


# --- what the six commands share


@contextmanager
def _understandable() -> Iterator[None]:
    """End with a message and the exit code of the contract when the kernel does not do it."""
    try:
        yield
    except nft.MissingError as error:
        fail(Exit.UNREACHABLE, str(error))
    except (nft.FirewallError, OSError) as error:
        fail(Exit.REFUSED, str(error))


def _fitting(
    config: Path, pbx: str | None, fit: Callable[[PbxEntry], Passages | Unfit]
) -> list[tuple[str, Passages]]:
    """The PBXs that it fits; one that was named, or the only one, must."""
    entries = [entry for entry in load_or_fail(config, AgentConfig).pbxs if pbx in (None, entry.name)]
    if not entries:
        fail(Exit.USAGE, f"no PBX named {pbx} in {config}")
    fits: list[tuple[str, Passages]] = []
    unfit: list[str] = []
    for entry in entries:
        passages = fit(entry)
        if isinstance(passages, Unfit):
            unfit.append(f"{entry.name}: {passages.why}")
        else:
            fits.append((entry.name, passages))
    if not fits:
        fail(Exit.USAGE, "\n".join(unfit))
    for text in unfit:
        typer.echo(text, err=True)
    return fits


def _loaded_names(prefix: str, pbx: str | None) -> list[str]:
    return [name for name in nft.tables(prefix) if pbx in (None, name)]


def _readable(prefix: str, name: str) -> Loaded | str | None:
    """The loaded table, None, or why it cannot be read."""
    try:
        return loaded(prefix, name)
    except nft.FirewallError as error:
        return str(error)


def _networks(texts: Sequence[str] | None) -> list[IpNetwork]:
    try:
        return ruleset.networks(texts or ())
    except ValueError as error:
        fail(Exit.USAGE, f"--except: {error}; write an address or a network, such as 198.51.100.0/24")


def _forget(passages: Iterable[Passage]) -> None:
    """Without it the tables count for new connections alone: said, and no reason to fail."""
    from agent.edges.firewall import conntrack  # 8 MB of netlink that the daemon need not carry

    try:
        conntrack.forget(passages)
    except OSError as error:
        typer.echo(f"{error.strerror}; phones under way change over when they fall silent", err=True)


def _told(prefix: str, name: str, passages: Passages) -> dict[str, Any]:
    now = loaded(prefix, name)
    return {
        "name": name,
        "loaded": now is not None,
        "passages": [str(passage) for passage in passages],
        "interface": now.interface if now else None,
        "except": list(now.spared) if now else [],
    }


def _show(report: list[dict[str, Any]], as_json: bool, last: str) -> None:
    if as_json:
        print_json({"pbxs": report})
        return
    for told in report:
        for passage in told["passages"]:
            typer.echo(f"{told['name']}: {passage if told['loaded'] else passage + ' no longer'}")
        narrowed = [f"only from {told['interface']}"] if told["interface"] else []
        narrowed += [f"except from {', '.join(told['except'])}"] if told["except"] else []
        for text in narrowed:
            typer.echo(f"{told['name']}: {text}")
    if last:
        typer.echo(last)


def _print_rules(plans: Sequence[Plan], as_json: bool) -> None:
    states = [_state(text, now) for _, text, now in plans]
    if as_json:
        rows = zip(plans, states, strict=True)
        print_json(
            {"pbxs": [{"name": name, "state": state, "ruleset": text} for (name, text, _), state in rows]}
        )
        return
    for (name, text, _), state in zip(plans, states, strict=True):
        typer.echo(text, nl=False)
        typer.echo(f"{name}: {state}", err=True)


def _state(text: str, now: Loaded | str | None) -> str:
    if isinstance(now, str):
        return f"unknown: {now}"
    if now is None:
        return "not loaded"
    return (
        "loaded" if list(now.comments) == ruleset.comments(text) else "loaded, but otherwise: type `on` again"
    )
