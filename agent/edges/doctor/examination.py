"""What a file cannot tell: `pbx-agent doctor` asks the host, the PBXs, their masters, DNS, the agent."""

from collections.abc import Iterator

from agent.config import AgentConfig, PbxEntry
from agent.edges.doctor import (
    call_records,
    certificate,
    domain,
    emergency,
    hardware,
    host,
    kamailio,
    master,
    objects,
    pbx,
    phones,
    secret,
    tables,
)
from agent.edges.doctor.finding import Finding
from agent.edges.doctor.objects import Facts
from agent.edges.names import Names


def examine(config: AgentConfig, names: Names) -> Iterator[Finding]:
    """Every check in turn; none of them changes anything at the PBX or at the master."""
    yield host.clock()
    yield host.disk(config.data)
    yield host.ballast(config.data)
    facts = objects.facts(config.data)
    for entry in config.pbxs:
        yield from kamailio.checks(entry)
        yield from secret.checks(entry)
        yield from call_records.checks(entry)
        if not entry.asked:  # else no SIP comes here
            yield from pbx.checks(entry, facts)
            yield from certificate.checks(entry)
            yield from emergency.checks(entry)
        yield from master.checks(config.data / entry.name, entry.name)
        yield from objects.checks(entry, facts)
        yield from hardware.checks(entry, facts)
        if not entry.asked:
            yield from _ways(entry, facts, names)


def _ways(entry: PbxEntry, facts: Facts, names: Names) -> Iterator[Finding]:
    """How phones find the agent, and whether they can go around it (docs/deployment.md)."""
    loaded = tables.read(entry.name)
    yield from phones.checks(entry, facts, loaded.redirected)
    yield from domain.checks(entry, names, loaded.redirected)
    yield from tables.checks(entry, loaded, phones.registrations(entry, facts) or 0)
