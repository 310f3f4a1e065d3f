"""Which packets go elsewhere: the ports of a PBX that the redirect brings to the agent, and the agent's
that `aside` brings to the PBX. Pure: read from agent.yaml alone.
"""

import re
from dataclasses import dataclass

from agent.config import WILDCARDS, PbxEntry, Sip
from agent.endpoint import Address, Endpoint

PLAIN_PORT = 5060  # RFC 3261 19.1.2: the ports of sip: and sips: where nothing else is said
TLS_PORT = 5061

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


def redirected(entry: PbxEntry) -> tuple[Passage, ...] | Unfit:
    """From the PBX's own ports to the agent's, on the host that both run on: at most one of each transport.

    The agent must listen on the PBX's very address: a socket on 0.0.0.0 answers from whatever address the
    kernel prefers, and a phone would not know the answer as one. Accepted connections have no such trouble.
    """
    pbx = entry.sip.pbx.address
    passages: dict[str, Passage] = {}
    for listener in entry.sip.listen:
        address = listener.address
        exact = address.ip == pbx.ip
        everywhere = address.ip in WILDCARDS and _version(address) == _version(pbx)
        if not exact and not (everywhere and listener.transport != "udp"):
            continue
        of = pbx_address(entry.sip, listener.transport)
        passage = Passage(_protocol(listener), of, Address(pbx.host, address.port))
        if passage.of != passage.to:
            passages.setdefault(listener.transport, passage)
    if not passages or (entry.sip.pbx.transport == "udp" and "udp" not in passages):
        heard = ", ".join(f'"{listener}"' for listener in entry.sip.listen)
        right = Endpoint("udp", Address(pbx.host, pbx.port + 10))
        return Unfit(
            f'sip.listen has {heard}; the redirect needs a port at the PBX\'s own address, as in "{right}"'
        )
    return tuple(passages.values())


def set_aside(entry: PbxEntry) -> tuple[Passage, ...] | Unfit:
    """From each of the agent's ports to the PBX's; a listener on 0.0.0.0 stands for every local address."""
    pbx = entry.sip.pbx.address
    passages = dict.fromkeys(
        Passage(_protocol(listener), listener.address, pbx_address(entry.sip, listener.transport))
        for listener in entry.sip.listen
        if _version(listener.address) == _version(pbx)
    )
    if not passages:
        return Unfit(f"the agent listens at no IPv{_version(pbx)} address, and the PBX is at {entry.sip.pbx}")
    return tuple(passages)


def pbx_address(sip: Sip, transport: str) -> Address:
    """Where the PBX itself hears this transport: as configured, else at the port that RFC 3261 gives it."""
    pbx = sip.pbx
    if (transport == "tls") == (pbx.transport == "tls"):
        return pbx.address
    return Address(pbx.address.host, TLS_PORT if transport == "tls" else PLAIN_PORT)


def _protocol(listener: Endpoint) -> str:
    return "udp" if listener.transport == "udp" else "tcp"


def _version(address: Address) -> int:
    assert address.ip is not None, "an endpoint has an IP address"
    return address.ip.version
