"""What takes the call records of a PBX, put together: its doors, and where they are pushed to."""

from collections.abc import Callable
from pathlib import Path

from agent.config import PbxEntry
from agent.edges.cdr.door import Doors
from agent.service.alarms import Alarms
from agent.service.cdr.collection import Collection
from agent.service.link import Link
from agent.store.enrolment import Enrolment
from runtime.clock import Clock
from runtime.targets import target_of

Collect = Callable[[Enrolment, Link, Alarms], Collection]


def collect_for(entry: PbxEntry, data: Path, clock: Clock) -> Collect:
    """Makes it for this PBX, which has sources."""

    def collect(enrolment: Enrolment, link: Link, alarms: Alarms) -> Collection:
        identity = (enrolment.enrolled.installation, enrolment.enrolled.agent)
        door = Doors(entry, clock)
        target = None if entry.cdrs.push is None else target_of(entry.cdrs.push)
        return Collection(entry.cdrs, identity, data / entry.name, link, door, target, clock, alarms)

    return collect
