"""The nft tables of `pbx-agent redirect` and `pbx-agent aside` as text. Pure.

Each is loaded whole by `nft -f -`, which is atomic. Every rule that does something says so in a comment:
for whoever lists the table at night, and for `doctor`, which reads there what the kernel does now.

Datagrams are redirected without connection tracking, by rewriting a port (decision 0014): a table of
connections would take a REGISTER for an answer to what the PBX sent its phone before, and would give a phone
that sends to two ports a second, invented source port, at which it could not be called.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from ipaddress import IPv4Network, IPv6Network, collapse_addresses, ip_network

from agent.edges.firewall.passage import Passage
from agent.endpoint import Address

IpNetwork = IPv4Network | IPv6Network

REDIRECT = "pbx_agent_redirect_"
ASIDE = "pbx_agent_aside_"

PHONES = 65_535  # remembered at most, of those that use the agent's own port besides
CALL = "3m"  # an INVITE that rings longer is given up by its caller
REGISTERED = "1d"  # longer than any registration lasts
# Ports that aside may send from: never the agent's own, at which the PBX still reaches the agent.
PORTS_ASIDE = "32768-60999"

ANSWER = "@th,64,32 0x5349502f"  # the first four bytes behind the UDP header are "SIP/"
REQUEST = "@th,64,32 != 0x5349502f"
REGISTER = "@th,64,32 0x52454749"  # "REGI"

_COMMENT = re.compile(r'comment "([^"]*)"')


def redirect(
    name: str, passages: Sequence[Passage], interface: str | None = None, spared: Iterable[IpNetwork] = ()
) -> str:
    """The table that brings what arrives at the PBX's ports to the agent on the same host.

    Only what comes in by `interface`, if one is given, and nothing from the networks `spared`. What this
    host sends to itself (the agent to the PBX) never passes.
    """
    family = _family(passages[0].of)
    datagrams = [passage for passage in passages if passage.protocol == "udp"]
    streams = [passage for passage in passages if passage.protocol == "tcp"]
    who = ['iifname "lo" accept', f"{family} saddr @spared accept"]
    if interface is not None:
        who.insert(1, f'iifname != "{interface}" accept')
    body = [*_spared(family, spared)]
    if datagrams:
        body += [*_memories(family), *_datagrams(datagrams[0], family, who)]
    if streams:
        rules = [
            f'{family} daddr {p.of.host} {p.protocol} dport {p.of.port} dnat {family} to {p.to} comment "{p}"'
            for p in streams
        ]
        body += _chain("arriving", "type nat hook prerouting priority dstnat", [*who, *rules])
    return _table(REDIRECT + name, body)


def aside(name: str, passages: Sequence[Passage], closed: bool) -> str:
    """The table that brings what arrives at the agent's ports to the PBX, with this host as the sender.

    `closed` is for a host that forwarded nothing before: then it forwards nothing else now.
    """
    pbx = passages[0].to.host
    family = _family(passages[0].to)
    arriving = ['iifname "lo" accept', f'{family} saddr {pbx} accept comment "what the PBX sends the agent"']
    leaving = []
    for passage in passages:
        of, to, protocol = passage.of, passage.to, passage.protocol
        here = (
            f"{family} daddr {of.host}"
            if _exact(of)
            else f"meta nfproto {_nfproto(family)} fib daddr type local"
        )
        arriving.append(f'{here} {protocol} dport {of.port} dnat {family} to {to} comment "{passage}"')
        leaving.append(
            f"ct status dnat {family} daddr {to.host} {protocol} dport {to.port} masquerade to :{PORTS_ASIDE}"
        )
    body = _chain("arriving", "type nat hook prerouting priority dstnat", arriving)
    body += _chain("leaving", "type nat hook postrouting priority srcnat", list(dict.fromkeys(leaving)))
    if closed:
        rules = [
            f"meta nfproto != {_nfproto(family)} accept",
            'ct status dnat accept comment "this host forwarded nothing before, and nothing else now"',
        ]
        body += _chain("passing", "type filter hook forward priority filter", rules, policy="drop")
    return _table(ASIDE + name, body)


def comments(text: str) -> list[str]:
    """The comments of a ruleset, in their order."""
    return _COMMENT.findall(text)


def networks(texts: Iterable[str]) -> list[IpNetwork]:
    """Addresses and networks without overlap, as an nft set wants them; ValueError for anything else."""
    found = [ip_network(text, strict=False) for text in texts]
    four = [network for network in found if isinstance(network, IPv4Network)]
    six = [network for network in found if isinstance(network, IPv6Network)]
    return [*collapse_addresses(four), *collapse_addresses(six)]


def _datagrams(passage: Passage, family: str, who: list[str]) -> Iterator[str]:
    """Whoever sends to the PBX's port knows that address alone: by no memory, so that no flood ends it."""
    pbx, port, agent_port = passage.of.host, passage.of.port, passage.to.port
    phone, to_phone = f"{family} saddr . udp sport", f"{family} daddr . udp dport"
    at_agent, from_agent = (
        f"{family} {end} {pbx} udp {which} {agent_port}"
        for end, which in (("daddr", "dport"), ("saddr", "sport"))
    )
    yield from _chain(
        "heard",
        "type filter hook prerouting priority raw",
        [
            *who,
            f'{family} daddr {pbx} udp dport {port} jump phone comment "{passage}"',
            f"{at_agent} {REQUEST} update @asking {{ {phone} }}"
            f' comment "what is asked at {passage.to} is answered from there"',
            f"{at_agent} {REGISTER} update @own {{ {phone} }}"
            f' comment "a phone that registers at {passage.to} is called from there"',
        ],
    )
    yield from _chain(
        "phone",
        None,
        [
            f'{ANSWER} {phone} @direct accept comment "an answer to what the PBX itself asked this phone"',
            f'{REGISTER} delete @direct {{ {phone} }} comment "from its REGISTER on the agent asks it"',
            f"{REGISTER} delete @own {{ {phone} }}",
            f"{REQUEST} delete @asking {{ {phone} }}",
            f"udp checksum 0 udp dport set {agent_port} udp checksum set 0 notrack accept"
            ' comment "without a checksum it stays so"',
            f'udp dport set {agent_port} notrack accept comment "to {passage.to}"',
        ],
    )
    shown = f'udp sport set {port} notrack accept comment "from {passage.of}"'
    yield from _chain(
        "sent",
        "type filter hook output priority raw",
        [
            'oifname "lo" accept',
            f"{family} saddr {pbx} udp sport {port} {REQUEST} update @direct {{ {to_phone} }}"
            ' comment "the PBX itself asks a phone that is not yet the agent\'s"',
            f"{from_agent} {ANSWER} {to_phone} @asking accept",
            f"{from_agent} {ANSWER} {shown}",
            f"{from_agent} {to_phone} @own accept",
            f"{from_agent} {shown}",
        ],
    )


def _memories(family: str) -> Iterator[str]:
    """Phones that the PBX asks itself; that asked the agent's own port last; that register there."""
    for name, timeout in (("direct", CALL), ("asking", CALL), ("own", REGISTERED)):
        yield f"set {name} {{"
        yield f"\ttype {_type(family)} . inet_service"
        yield f"\tsize {PHONES}"
        yield "\tflags dynamic,timeout"
        yield f"\ttimeout {timeout}"
        yield "}"


def _spared(family: str, spared: Iterable[IpNetwork]) -> Iterator[str]:
    version = 6 if family == "ip6" else 4
    elements = ", ".join(str(network) for network in spared if network.version == version)
    yield "set spared {"
    yield f"\ttype {_type(family)}"
    yield "\tflags interval"
    if elements:
        yield f"\telements = {{ {elements} }}"
    yield "}"


def _chain(name: str, hook: str | None, rules: Iterable[str], policy: str = "accept") -> list[str]:
    head = [] if hook is None else [f"{hook}; policy {policy};"]
    return [f"chain {name} {{", *(f"\t{line}" for line in (*head, *rules)), "}"]


def _table(name: str, body: Iterable[str]) -> str:
    """Replace the table whole: the first line makes the second one possible where there is none."""
    lines = "\n".join(f"\t{line}" for line in body)
    return f"table inet {name}\ndelete table inet {name}\ntable inet {name} {{\n{lines}\n}}\n"


def _family(address: Address) -> str:
    return "ip6" if ":" in address.host else "ip"


def _nfproto(family: str) -> str:
    return "ipv6" if family == "ip6" else "ipv4"


def _type(family: str) -> str:
    return "ipv6_addr" if family == "ip6" else "ipv4_addr"


def _exact(address: Address) -> bool:
    assert address.ip is not None, "an endpoint has an IP address"
    return not address.ip.is_unspecified
