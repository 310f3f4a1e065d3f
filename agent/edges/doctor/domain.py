"""The way by DNS: do the names that phones look up lead to the agent, or past it?"""

from collections.abc import Callable, Collection, Iterator, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address
from itertools import groupby
from typing import Literal

from agent.config import WILDCARDS, PbxEntry, Sip
from agent.edges.doctor.finding import Finding, State
from agent.edges.firewall.host import has_address
from agent.edges.firewall.passage import Passage, pbx_address
from agent.edges.names import Lead, Names, SilentError
from agent.endpoint import Address, Endpoint

Whose = Literal["the agent", "the PBX", "nobody", "another host"]
Ip = IPv4Address | IPv6Address
Judge = Callable[[Lead], Whose]


def checks(pbx: PbxEntry, names: Names, redirected: Collection[Passage]) -> Iterator[Finding]:
    """One finding for each name that phones of `sip.domain` may look up; none without that key."""
    domain = pbx.sip.domain
    if domain is None:
        return
    try:
        leads, plain = names.leads(domain), names.plain(domain)
        judge = _judge(pbx.sip, _own_addresses(pbx.sip, names), redirected)
    except SilentError as error:
        hint = "Name another DNS server: pbx-agent doctor --dns ADDRESS."
        yield Finding(pbx.name, "domain", "unknown", str(error), hint)
        return
    for state, detail, hint in judged(domain, leads, plain, judge, _right(pbx.sip)):
        yield Finding(pbx.name, "domain", state, detail, hint)


def judged(
    domain: str, leads: Sequence[Lead], plain: Sequence[Lead], judge: Judge, right: str
) -> Iterator[tuple[State, str, str]]:
    """State, what was found and what would help, for each name asked. Pure; `right` is where to lead it."""
    for name, group in groupby(leads, key=lambda lead: lead.asked):
        served = list(group)
        state, hint = _verdict([(lead, judge(lead)) for lead in served], right)
        yield state, _written(name, served, judge), hint
    past = [lead for lead in plain if judge(lead) == "the PBX"]
    if leads and past:
        hint = (
            "Phones that look up no SRV go around the agent: firewall the PBX's port, or correct the address."
        )
        yield "warning", _written(f"{domain} itself", past, judge), hint
    if not leads and plain:
        state, hint = _verdict([(lead, judge(lead)) for lead in plain], right)
        yield state, _written(f"{domain} itself", plain, judge), hint
    if not leads and not plain:
        yield "failed", f"{domain} has no SRV record and no address", f"Make a record that leads to {right}."


def _verdict(found: Sequence[tuple[Lead, Whose]], right: str) -> tuple[State, str]:
    """What phones meet first decides; what stands by is at most a warning."""
    first = min(lead.priority for lead, _ in found)
    at_first = {whose for lead, whose in found if lead.priority == first}
    standby = {whose for lead, whose in found if lead.priority != first}
    if "the PBX" in at_first:
        return "failed", f"Phones go around the agent: let the record lead to {right}."
    if "nobody" in at_first:
        return "failed", f"Nobody answers there: let the record lead to {right}."
    if "another host" in at_first:
        return "warning", f"If that is no balancer or NAT before the agent, let the record lead to {right}."
    if "the PBX" in standby:
        return "warning", "The way back: phones that reach no agent register at the PBX without a licence."
    return "ok", ""


def _written(name: str, leads: Sequence[Lead], judge: Judge) -> str:
    places = [f"{lead.transport} {_place(lead)} ({judge(lead)})" for lead in leads]
    return f"{name}: {', then '.join(places)}"


def _place(lead: Lead) -> str:
    return (
        f"{lead.host} without an address" if lead.address is None else str(Address(lead.address, lead.port))
    )


def _right(sip: Sip) -> str:
    return ", ".join(f"{listener.transport} {sip.advertised(listener)}" for listener in sip.listen)


def _own_addresses(sip: Sip, names: Names) -> frozenset[Ip]:
    """The addresses by which phones may know the agent, those of the name it advertises included."""
    own = {listener.address.ip for listener in sip.listen if listener.address.ip not in WILDCARDS}
    if sip.advertise is not None:
        host = sip.advertise.host
        own |= {ip_address(text) for text in ([host] if sip.advertise.ip else names.addresses(host))}
    return frozenset(ip for ip in own if ip is not None)


def _judge(sip: Sip, own: frozenset[Ip], redirected: Collection[Passage]) -> Judge:
    def whose(lead: Lead) -> Whose:
        if lead.address is None:
            return "nobody"
        ip, protocol = ip_address(lead.address), "udp" if lead.transport == "udp" else "tcp"
        if any((p.protocol, p.of.ip, p.of.port) == (protocol, ip, lead.port) for p in redirected):
            return "the agent"
        if any(_hears(sip, listener, lead, ip, own) for listener in sip.listen):
            return "the agent"
        pbx = pbx_address(sip, lead.transport)
        if (ip, lead.port) == (pbx.ip, pbx.port):
            return "the PBX"
        if ip in own:
            return "nobody"
        return "the PBX" if ip == pbx.ip else "another host"

    return whose


def _hears(sip: Sip, listener: Endpoint, lead: Lead, ip: Ip, own: frozenset[Ip]) -> bool:
    """Whether this listener hears what is sent there, directly or by the address it is advertised with."""
    if listener.transport != lead.transport:
        return False
    shown = sip.advertised(listener)
    if shown.ip is None and (lead.host, lead.port) == (shown.host, shown.port):
        return True
    if (ip, lead.port) in ((listener.address.ip, listener.address.port), (shown.ip, shown.port)):
        return True
    everywhere = listener.address.ip in WILDCARDS and listener.address.port == lead.port
    return everywhere and (ip in own or has_address(str(ip)))
