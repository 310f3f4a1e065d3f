"""Which packets go elsewhere: the ports of a PBX that the redirect brings to the agent, and the agent's
that `aside` brings to the PBX. Pure: read from agent.yaml alone.
"""

import re
from dataclasses import dataclass

from agent.config import WILDCARDS, PbxEntry, Sip
from agent.endpoint import Address, Endpoint

PLAIN_PORT = 5060  # RFC 3261 19.1.2: the ports of sip: and sips: where nothing else is said
TLS_PORT = 5061
TRANSPORTS = ("udp", "tcp", "tls")

_WRITTEN = re.compile(r"(udp|tcp) (\S+) goes to (\S+)")


@dataclass(frozen=True, slots=True)
class Passage:
    """Packets of one protocol (udp, tcp) to one address that are brought to another."""

    protocol: str
    of: Address
    to: Address

    @classmethod
    def parse(cls, text: str) -> "Passage | None":
        """The passage in `udp 192.0.2.20:5060 goes to 192.0.2.20:5070`, None in any other text."""
        match = _WRITTEN.fullmatch(text)
        return match and cls(match[1], Address.parse(match[2]), Address.parse(match[3]))

    def __str__(self) -> str:
        return f"{self.protocol} {self.of} goes to {self.to}"


@dataclass(frozen=True, slots=True)
class Unfit:
    """Why there is no passage, and what would be right."""

    why: str


NOTHING_HERE = Unfit(
    "phones send to Kamailio, which asks; it goes on without the agent by itself (docs/kamailio.md)"
)


def redirected(entry: PbxEntry) -> tuple[Passage, ...] | Unfit:
    """From the PBX's own ports to the agent's, on the host that both run on: at most one of each transport.

    The agent must listen for UDP on the PBX's very address: a socket on 0.0.0.0 answers from whatever address
    the kernel prefers, and a phone would not know the answer as one. Accepted connections are free of that.
    """
    if entry.asked:
        return NOTHING_HERE
    pbx = entry.sip.pbx
    passages: dict[str, Passage] = {}
    for listener in _listeners(entry.sip):
        everywhere = listener.address.ip in WILDCARDS and listener.transport != "udp"
        if everywhere or listener.address.ip == pbx.address.ip:
            port = Address(pbx.address.host, listener.address.port)
            passage = Passage(_protocol(listener), pbx_address(entry.sip, listener.transport), port)
            if passage.of != passage.to:
                passages.setdefault(listener.transport, passage)
    if pbx.transport not in passages:
        heard = ", ".join(f'"{listener}"' for listener in entry.sip.listen)
        right = Endpoint(pbx.transport, Address(pbx.address.host, pbx.address.port + 10))
        return Unfit(
            f'sip.listen has {heard}; the redirect needs a port at the PBX\'s own address, as in "{right}"'
        )
    return tuple(passages.values())


def set_aside(entry: PbxEntry) -> tuple[Passage, ...] | Unfit:
    """From each of the agent's ports to the PBX's; a listener on 0.0.0.0 stands for every local address."""
    if entry.asked:
        return NOTHING_HERE
    passages = dict.fromkeys(
        Passage(_protocol(listener), listener.address, pbx_address(entry.sip, listener.transport))
        for listener in _listeners(entry.sip)
    )
    assert passages, "the agent has a listener that speaks to the PBX"
    if any(passage.of == passage.to for passage in passages):
        return Unfit(f"the agent listens at the PBX's own address {entry.sip.pbx}")
    return tuple(passages)


def _listeners(sip: Sip) -> list[Endpoint]:
    """Those whose phones a PBX hears too: of its address family, and no browser's WebSocket."""
    return [each for each in sip.listen if each.version == sip.pbx.version and each.transport in TRANSPORTS]


def pbx_address(sip: Sip, transport: str) -> Address:
    """Where the PBX itself hears this transport: as configured, else at the port that RFC 3261 gives it."""
    pbx = sip.pbx
    if (transport == "tls") == (pbx.transport == "tls"):
        return pbx.address
    return Address(pbx.address.host, TLS_PORT if transport == "tls" else PLAIN_PORT)


def _protocol(listener: Endpoint) -> str:
    return "udp" if listener.transport == "udp" else "tcp"
