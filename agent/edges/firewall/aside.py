"""The agent set aside: what arrives at its ports goes to the PBX, whether it runs or not."""

from collections.abc import Sequence

from agent.config import PbxEntry
from agent.edges.firewall import host, nft, ruleset
from agent.edges.firewall.loaded import loaded
from agent.edges.firewall.passage import Passage, Unfit, set_aside
from agent.edges.firewall.ruleset import ASIDE, REDIRECT

CLOSED = "passing"  # the chain that a host has which forwarded nothing before


def fit(entry: PbxEntry) -> tuple[Passage, ...] | Unfit:
    """What would go where if the agent of this PBX were set aside, or why it cannot be."""
    passages = set_aside(entry)
    if isinstance(passages, Unfit):
        return passages
    pbx = entry.sip.pbx.address
    if ":" in pbx.host and not host.has_address(pbx.host) and not host.forwards(6):
        return Unfit(
            "this host does not forward IPv6: sysctl -w net.ipv6.conf.all.forwarding=1"
            " (one that lives on router advertisements also needs accept_ra=2 on its interface)"
        )
    return passages


def in_vain(name: str) -> str | None:
    """Why aside would help nobody: a redirected datagram reaches the agent before it could be set aside."""
    if name in nft.tables(REDIRECT):
        return f"its phones come by the redirect, so the way back is: pbx-agent redirect off --pbx {name}"
    return None


def wanted(name: str, passages: Sequence[Passage]) -> str:
    """The ruleset for this host as it is now."""
    return ruleset.aside(name, passages, closed=_is_closed(passages))


def turn_on(text: str, passages: Sequence[Passage]) -> None:
    """Load it, and let this host forward to the PBX if it must: to nobody else, if it did not before."""
    nft.load(text)
    if f"chain {CLOSED} " in text and not host.forwards(4):
        host.forward(4, on=True)


def turn_off(name: str) -> tuple[Passage, ...]:
    """Take the table of this PBX out; what it brought where. Forwarding ends with the last one of ours."""
    now = loaded(ASIDE, name)
    if now is None:
        return ()
    if CLOSED in now.chains and nft.tables(ASIDE) == [name]:
        host.forward(4, on=False)
    nft.delete(ASIDE + name)
    return now.passages


def _is_closed(passages: Sequence[Passage]) -> bool:
    """Whether this host must be made to forward, and has been kept from it until now, but by ourselves."""
    pbx = passages[0].to
    if ":" in pbx.host or host.has_address(pbx.host):
        return False
    others = [now for name in nft.tables(ASIDE) if (now := loaded(ASIDE, name))]
    return not host.forwards(4) or any(CLOSED in now.chains for now in others)
