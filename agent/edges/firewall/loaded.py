"""What the kernel does now: a table of ours as it is loaded."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from agent.edges.firewall import nft
from agent.edges.firewall.passage import Passage


@dataclass(frozen=True, slots=True)
class Loaded:
    """A loaded table: the comments of its rules in their order, and what `on` was told besides agent.yaml."""

    comments: tuple[str, ...]
    interface: str | None
    spared: tuple[str, ...]
    chains: frozenset[str]

    @property
    def passages(self) -> tuple[Passage, ...]:
        """What goes where, each once."""
        found = (Passage.parse(comment) for comment in self.comments)
        return tuple(dict.fromkeys(passage for passage in found if passage is not None))


def loaded(prefix: str, name: str) -> Loaded | None:
    """The table of this PBX, None when there is none; FirewallError."""
    if name not in nft.tables(prefix):
        return None
    return read(nft.table(prefix + name))


def read(listed: Iterable[dict[str, Any]]) -> Loaded:
    """A table from nft's JSON."""
    listed = list(listed)
    rules = [entry["rule"] for entry in listed if "rule" in entry]
    interfaces = [name for rule in rules for name in _interfaces(rule)]
    return Loaded(
        comments=tuple(rule["comment"] for rule in rules if "comment" in rule),
        interface=interfaces[0] if interfaces else None,
        spared=tuple(text for entry in listed for text in _spared(entry.get("set", {}))),
        chains=frozenset(entry["chain"]["name"] for entry in listed if "chain" in entry),
    )


def _interfaces(rule: dict[str, Any]) -> Iterator[str]:
    """The interface that a rule asks for by `iifname != "eth0" accept`."""
    for expression in rule["expr"]:
        match = expression.get("match", {})
        if match.get("op") == "!=" and match.get("left") == {"meta": {"key": "iifname"}}:
            yield match["right"]


def _spared(listed: dict[str, Any]) -> Iterator[str]:
    if listed.get("name") != "spared":
        return
    for element in listed.get("elem", ()):
        prefix = element.get("prefix") if isinstance(element, dict) else None
        yield f"{prefix['addr']}/{prefix['len']}" if prefix else str(element)
