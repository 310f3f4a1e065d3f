"""What an agent asks its PBX over, besides SIP: the driver of each kind, and the dial plan that asks.

Each comes with libraries of its own, so only what agent.yaml names is imported: an agent is back sooner.
"""

from typing import TYPE_CHECKING

from agent.config import PbxEntry
from agent.service.driver import Observation
from runtime.clock import Clock

if TYPE_CHECKING:
    from agent.edges.asterisk.dialplan import Dialplan
    from agent.service.desk import Desk


def observation_of(entry: PbxEntry, clock: Clock) -> Observation | None:
    """How this PBX is observed; None: not at all."""
    if (asterisk := entry.asterisk) is not None:
        from agent.edges.asterisk.manager import Manager

        manager = Manager(asterisk, clock, counts=bool(entry.calls.lines))
        return Observation(manager, asterisk.resync_s, evicts=asterisk.evict)
    if (kamailio := entry.kamailio) is not None:
        from agent.edges.kamailio.driver import Kamailio
        from agent.edges.kamailio.reg_event import Watched

        return Observation(Kamailio(kamailio, clock, Watched.of(entry)), kamailio.resync_s)
    if (innovaphone := entry.innovaphone) is not None:
        from agent.edges.innovaphone.driver import Innovaphone

        driver = Innovaphone(innovaphone)
        return Observation(driver, innovaphone.resync_s, licences=driver.told)
    return None


def dialplan_of(entry: PbxEntry, desk: "Desk", clock: Clock) -> "Dialplan | None":
    """What answers the dial plan of this PBX; None: it asks nothing."""
    if entry.asterisk is None or entry.asterisk.dialplan is None:
        return None
    from agent.edges.asterisk.dialplan import Dialplan

    return Dialplan(entry.asterisk, desk, clock, entry.name)
