"""The redirect: on the PBX's own host, what arrives at its ports goes to the agent's."""

from collections.abc import Iterable, Sequence

from agent.config import PbxEntry
from agent.edges.firewall import host, nft, ruleset
from agent.edges.firewall.loaded import Loaded, loaded
from agent.edges.firewall.passage import Passage, Unfit, redirected
from agent.edges.firewall.ruleset import REDIRECT, IpNetwork


def fit(entry: PbxEntry) -> tuple[Passage, ...] | Unfit:
    """What the redirect of this PBX would bring where, or why there can be none."""
    pbx = entry.sip.pbx.address.host
    if not host.has_address(pbx):
        return Unfit(
            f"{pbx} is no address of this host: the redirect works where the PBX runs;"
            " elsewhere phones find the agent by DNS or as their outbound proxy"
        )
    return redirected(entry)


def wanted(
    name: str,
    passages: Sequence[Passage],
    now: Loaded | None,
    interface: str | None = None,
    spared: Sequence[IpNetwork] = (),
) -> str:
    """The ruleset; interface and exceptions of the table that is loaded now stay unless others are given."""
    if now is not None:
        interface = interface or now.interface
        spared = spared or ruleset.networks(now.spared)
    return ruleset.redirect(name, passages, interface, spared)


def is_current(name: str, passages: Sequence[Passage], now: Loaded) -> bool:
    """Whether the loaded table is the one that agent.yaml asks for."""
    return ruleset.comments(wanted(name, passages, now)) == list(now.comments)


def tracked(passages: Iterable[Passage]) -> tuple[Passage, ...]:
    """Those whose connections the kernel remembers; datagrams are redirected without."""
    return tuple(passage for passage in passages if passage.protocol == "tcp")


def turn_off(name: str) -> tuple[Passage, ...]:
    """Take the table of this PBX out; what it brought where. Where there is none, nothing happens."""
    now = loaded(REDIRECT, name)
    if now is None:
        return ()
    nft.delete(REDIRECT + name)
    return now.passages
