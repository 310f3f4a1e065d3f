"""What a file cannot tell: `pbx-agent doctor` asks the host, each PBX, its master and the running agent."""

from collections.abc import Iterator

from agent.config import AgentConfig
from agent.edges.doctor import host, master, objects, pbx
from agent.edges.doctor.finding import Finding


def examine(config: AgentConfig) -> Iterator[Finding]:
    """Every check in turn; none of them changes anything at the PBX or at the master."""
    yield host.clock()
    yield host.disk(config.data)
    facts = objects.facts(config.data)
    for entry in config.pbxs:
        yield from pbx.checks(entry)
        yield from master.checks(config.data / entry.name, entry.name)
        yield from objects.checks(entry, facts)
