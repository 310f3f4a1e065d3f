"""The ways by the kernel: is the redirect loaded as agent.yaml has it now, and is the agent set aside?"""

import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from agent.config import PbxEntry
from agent.edges.doctor.finding import Finding
from agent.edges.firewall import nft, redirect
from agent.edges.firewall.host import has_address
from agent.edges.firewall.loaded import Loaded, loaded
from agent.edges.firewall.passage import Passage, Unfit, pbx_address
from agent.edges.firewall.ruleset import ASIDE, REDIRECT

TIMEOUT_S = 1.0


@dataclass(frozen=True, slots=True)
class Tables:
    """What the kernel has loaded for one PBX; `unread` says why nobody knows."""

    redirect: Loaded | None = None
    aside: Loaded | None = None
    unread: str = ""

    @property
    def redirected(self) -> tuple[Passage, ...]:
        """What goes to the agent now."""
        return self.redirect.passages if self.redirect else ()


def read(name: str) -> Tables:
    """The tables of this PBX; without nft there are none."""
    try:
        return Tables(loaded(REDIRECT, name), loaded(ASIDE, name))
    except nft.MissingError:
        return Tables()
    except nft.FirewallError as error:
        return Tables(unread=str(error))


def checks(pbx: PbxEntry, tables: Tables, bindings: int) -> Iterator[Finding]:
    """`bindings` tells whether phones find the agent by another way."""
    if tables.aside is not None:
        detail = f"THE AGENT IS SET ASIDE: {_written(tables.aside.passages)}"
        yield Finding(pbx.name, "aside", "failed", detail, "When the agent is well: pbx-agent aside off.")
    here = has_address(pbx.sip.pbx.address.host)
    if tables.unread:
        if here:
            yield Finding(pbx.name, "redirect", "unknown", tables.unread)
        return
    if tables.redirect is not None:
        yield _loaded(pbx, tables.redirect)
        yield from _open_streams(pbx, tables.redirect)
    elif here:
        yield _not_loaded(pbx, bindings)


def _loaded(pbx: PbxEntry, now: Loaded) -> Finding:
    passages = redirect.fit(pbx)
    if isinstance(passages, Unfit):
        hint = "Correct agent.yaml, or: pbx-agent redirect off."
        return Finding(pbx.name, "redirect", "failed", passages.why, hint)
    if not redirect.is_current(pbx.name, passages, now):
        detail = f"loaded is {_written(now.passages)}; agent.yaml wants {_written(passages)}"
        return Finding(pbx.name, "redirect", "failed", detail, "pbx-agent redirect on")
    narrowed = f", only from {now.interface}" if now.interface else ""
    narrowed += f", except from {', '.join(now.spared)}" if now.spared else ""
    return Finding(pbx.name, "redirect", "ok", _written(passages) + narrowed)


def _not_loaded(pbx: PbxEntry, bindings: int) -> Finding:
    detail = f"the PBX is on this host, and what phones send to {pbx.sip.pbx} is not redirected"
    if bindings:
        hint = "Phones find the agent otherwise; those that know the PBX go around it: pbx-agent redirect on."
        return Finding(pbx.name, "redirect", "warning", detail, hint)
    return Finding(pbx.name, "redirect", "failed", detail, "pbx-agent redirect on")


def _open_streams(pbx: PbxEntry, now: Loaded) -> Iterator[Finding]:
    """A PBX that accepts TCP or TLS where the agent does not is open to phones that speak it."""
    for transport in ("tcp", "tls"):
        address = pbx_address(pbx.sip, transport)
        taken = any(passage.protocol == "tcp" and passage.of == address for passage in now.passages)
        ours = any(listener.transport != "udp" and listener.address == address for listener in pbx.sip.listen)
        if taken or ours or not _accepts(address.host, address.port):
            continue
        detail = f"the PBX accepts connections at tcp {address}, and the agent has no {transport} listener"
        hint = (
            f"Phones that speak {transport.upper()} go around it: add one to sip.listen, or close that port."
        )
        yield Finding(pbx.name, "redirect", "warning", detail, hint)


def _accepts(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), TIMEOUT_S):
            return True
    except OSError:
        return False


def _written(passages: Sequence[Passage]) -> str:
    return ", ".join(map(str, passages))
