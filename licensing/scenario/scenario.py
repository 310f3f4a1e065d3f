"""A scenario: an installation that is asked about, and the steps that are tried on it, in order.

Each step is a class of its own whose first field names it, as in the file: `{register: u1, device: d1}`.
"""

from dataclasses import dataclass, fields
from typing import Final, NewType, get_args

from licensing import offers
from licensing.files.inventory import Item
from licensing.installation import Pbx, Settings

ObjectName = NewType("ObjectName", str)
"""The name of one of the scenario's objects."""

PbxName = NewType("PbxName", str)
"""The name of one of the scenario's PBXs; empty: as the step says."""

Release = NewType("Release", int)
"""A release of the software, 1 to 99."""

Day = NewType("Day", int)
"""A day as in licensing.terms.day."""

Licence = NewType("Licence", str)
"""A licence that is asked for by name, as the catalogue has it: `operator`."""

HERE: Final = PbxName("")
CHANNELS: Final = Licence(offers.CHANNELS)
QUEUE_MONITOR: Final = Licence(offers.QUEUE_MONITOR)


@dataclass(frozen=True, slots=True)
class Member:
    """A PBX object: its kind as in 3.1, and the PBX that it belongs to.

    `uses` may waive what a licence requires (5.1); a conference object may `prefer_local` channels (L.r24).
    """

    name: ObjectName
    kind: str
    pbx: PbxName
    uses: tuple[str, ...] = ()
    prefer_local: bool = False


@dataclass(frozen=True, slots=True)
class Units:
    """Licences as a row of an inventory; rented ones count up to and including the day `until`."""

    item: Item
    until: Day | None = None


@dataclass(frozen=True, slots=True)
class Register:
    """A device of an object registers, at its own PBX or at another one."""

    register: ObjectName
    device: str = "phone"
    at: PbxName = HERE


@dataclass(frozen=True, slots=True)
class Unregister:
    """A device of an object unregisters; without a device all of them do."""

    unregister: ObjectName
    device: str = ""
    at: PbxName = HERE


@dataclass(frozen=True, slots=True)
class Expire:
    """The registration of a device ends because nobody refreshed it; without a device all of them do."""

    expire: ObjectName
    device: str = ""
    at: PbxName = HERE


@dataclass(frozen=True, slots=True)
class Install:
    """Units of a licence type are installed: on the master, or at the PBX that `place` names."""

    install: str
    count: int = 1
    place: str | None = None
    mac: str | None = None
    until: Day | None = None


@dataclass(frozen=True, slots=True)
class Remove:
    """Units of a licence type are removed."""

    remove: str
    count: int = 1
    place: str | None = None
    mac: str | None = None


@dataclass(frozen=True, slots=True)
class Assign:
    """A licence is assigned to an object by its id (`uc`) or type (`PBX-UC13`)."""

    assign: ObjectName
    licence: str


@dataclass(frozen=True, slots=True)
class Unassign:
    """An assignment ends; without a licence all of the object do."""

    unassign: ObjectName
    licence: str | None = None


@dataclass(frozen=True, slots=True)
class Upgrade:
    """A PBX runs this release of the software from now on; without a name all of them do."""

    upgrade: Release
    pbx: PbxName = HERE


@dataclass(frozen=True, slots=True)
class SetTime:
    """It is this day from now on; what is rented until an earlier day is over."""

    set_time: Day


@dataclass(frozen=True, slots=True)
class Convert:
    """All units of a pool (`smb-port`) become standard ones by their upgrade licences."""

    convert: str


@dataclass(frozen=True, slots=True)
class Move:
    """Units of a licence type go to another PBX, named by its name or its MAC; `place` is where they are."""

    move: str
    to: str
    count: int = 1
    place: str | None = None


@dataclass(frozen=True, slots=True)
class Fail:
    """A PBX is out of service: those that stand by for it take its objects over."""

    fail: PbxName


@dataclass(frozen=True, slots=True)
class Recover:
    """A PBX is in service again."""

    recover: PbxName


@dataclass(frozen=True, slots=True)
class Call:
    """An ISDN call begins at a gateway object, over an interface of its PBX or one that nobody names."""

    call: ObjectName
    id: str
    interface: str = ""


@dataclass(frozen=True, slots=True)
class Hangup:
    """A call is over, in every room too."""

    hangup: str


@dataclass(frozen=True, slots=True)
class Join:
    """A call joins a conference object, on the PBX of that object."""

    join: ObjectName
    call: str
    licence: Licence = CHANNELS


@dataclass(frozen=True, slots=True)
class Leave:
    """A call leaves a conference object."""

    leave: ObjectName
    call: str
    licence: Licence = CHANNELS


@dataclass(frozen=True, slots=True)
class Login:
    """A client logs in, as Operator or otherwise; without `software` it runs the release of the PBX."""

    login: Licence
    user: ObjectName
    software: Release | None = None
    client: str = ""


@dataclass(frozen=True, slots=True)
class Logout:
    """A client logs out."""

    logout: Licence
    user: ObjectName
    client: str = ""


@dataclass(frozen=True, slots=True)
class Monitor:
    """A client begins to watch a queue, as Queue Monitor or otherwise; without `software` as the PBX."""

    monitor: ObjectName
    client: str
    software: Release | None = None
    licence: Licence = QUEUE_MONITOR


@dataclass(frozen=True, slots=True)
class Unmonitor:
    """A client watches a queue no more."""

    unmonitor: ObjectName
    client: str
    licence: Licence = QUEUE_MONITOR


OfPhone = Register | Unregister | Expire
OfLicences = Install | Remove | Convert | Move
OfCall = Join | Leave | Call | Hangup
OfClient = Login | Logout | Monitor | Unmonitor
OfSite = Upgrade | Fail | Recover | SetTime
Step = OfPhone | OfCall | OfClient | OfLicences | Assign | Unassign | OfSite

STEPS: Final[dict[str, type[Step]]] = {fields(step)[0].name: step for step in get_args(Step)}
"""The steps by name; of two names in one step the first counts: `{call: c1, join: room1}` joins."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """What is asked: the installation as it begins, who is there, and what happens."""

    settings: Settings
    pbxs: tuple[Pbx, ...]
    licences: tuple[Units, ...] = ()
    members: tuple[Member, ...] = ()
    steps: tuple[Step, ...] = ()
