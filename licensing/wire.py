"""The messages between agent and master, version 1: absolute numbers, JSON, nothing that counts twice.

Unknown fields are ignored, so that an older side understands a newer one; a missing required field or a
wrong type is `msgspec.ValidationError`. Times are UTC epoch milliseconds and are information only.
"""

from typing import Annotated, Literal

import msgspec

from licensing.box.sighting import Sighting

VERSION = 1
MAX_BODY = 256 * 1024
MAX_ACTIVITY = 1_000

REQUEST_TYPE = "pbx.request.v1"
ANSWER_TYPE = "pbx.answer.v1"

# No number of the protocol is larger, and a store takes no larger one either.
Whole = Annotated[int, msgspec.Meta(ge=0, le=2**53)]


class Software(msgspec.Struct, frozen=True):
    """What the PBX runs: a name and its release number."""

    release: Whole
    name: str = "pbx"


class Hardware(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the agent observed of its own box; `proof` says how."""

    macs: tuple[str, ...] = ()
    machine_id: str = ""
    virtual: bool | None = None
    proof: str = ""


class ClassDemand(msgspec.Struct, frozen=True, omit_defaults=True):
    """One class at one agent, absolute: units held, units wanted, and how many of those are preference.

    `want` = used + surplus + reserved + waiting + lingering + spare and caps the agent once it is durable.
    `idle` is the part of `want` that nobody needs now (lingering + spare) and may be recalled.
    `peak` and `refused` count since the last sync that was answered.
    """

    used: Whole
    want: Whole
    surplus: Whole = 0
    idle: Whole = 0
    peak: Whole = 0
    refused: Whole = 0


class HolderDigest(msgspec.Struct, frozen=True):
    """How many objects hold a unit of a class, and the XOR of SHA-256 of their names (hex, 16 digits)."""

    count: Whole
    digest: str


class HolderPage(msgspec.Struct, frozen=True, rename={"class_": "class"}):
    """One page of a class's holders in order of name, after the name `after`; `last` ends the list."""

    class_: str
    after: str
    names: tuple[str, ...]
    last: bool


class Activity(msgspec.Struct, frozen=True, gc=False, omit_defaults=True, rename={"class_": "class"}):
    """One numbered event of an object, for history; never part of safety."""

    n: Whole
    at_ms: Whole
    object: str
    kind: str
    class_: str
    event: Literal["held", "released", "lingering", "refused", "surplus", "reported"]
    code: str | None = None
    until_ms: Whole | None = None


class Sync(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """POST /v1/agent/sync: what I have and what I want."""

    v: Whole
    agent: str
    installation: str
    epoch: Whole
    instance: str
    term: Whole
    seq: Whole
    prev: str
    boot: str
    sent_at_ms: Whole
    software: Software
    classes: dict[str, ClassDemand]
    hardware: Hardware = Hardware()
    holders: dict[str, HolderDigest] = {}
    pages: tuple[HolderPage, ...] = ()
    activity: tuple[Activity, ...] = ()
    policy_etag: str = ""
    roster_version: Whole = 0
    alarms: tuple[str, ...] = ()
    relay: Sighting | None = None


class Proof(msgspec.Struct, frozen=True):
    """A stored answer as the master signed it: exact body (base64) and what its signature covers."""

    body: str
    status: Whole
    request_signature: str
    signature: str


class Hello(Sync, frozen=True, omit_defaults=True, kw_only=True):
    """POST /v1/agent/hello: a sync that first proves what this master lent, after a start or when asked.

    `held` is what the agent may use of each class: at most what its proofs show, less once it has written a
    lower want since. None: an agent from before this field.
    """

    proofs: tuple[Proof, ...] = ()
    held: dict[str, Whole] | None = None


class Bye(msgspec.Struct, frozen=True, kw_only=True):
    """POST /v1/agent/bye: everything back; `seq` and `prev` as in a sync."""

    v: Whole
    agent: str
    installation: str
    epoch: Whole
    instance: str
    term: Whole
    seq: Whole
    prev: str


class ShareGrant(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the agent may use of a class; `recall_to` asks for max(recall_to, used + reserved)."""

    granted: Whole
    max_software: Whole
    recall_to: Whole | None = None
    state: Literal["open", "short", "recovering", "frozen"] = "open"


class Denial(msgspec.Struct, frozen=True, omit_defaults=True):
    """Why a class got less than it needs; `recalling` > 0 says units are on their way: wait."""

    asked: Whole
    granted: Whole
    code: str
    capacity: Whole
    used: Whole
    reserved: Whole = 0
    stranded: Whole = 0
    recalling: Whole = 0
    frees_ms: Whole | None = None
    hint: str = ""


class Revocation(msgspec.Struct, frozen=True):
    """Something that may no longer run: an object or a MAC, at once or when its use ends."""

    subject: str
    mode: Literal["drain", "immediate"]
    code: str


class UseClass(msgspec.Struct, frozen=True, omit_defaults=True, rename={"class_": "class"}):
    """A licence that something takes while it goes on: how (a mode of the catalogue) and the class it draws.

    `by_client`: the client's release is compared, not the PBX's; `per_client`: how many one client may have
    at once, 0: any number.
    """

    mode: str
    class_: str
    by_client: bool = False
    per_client: Whole = 0


class Box(msgspec.Struct, frozen=True, omit_defaults=True):
    """The box of this PBX, for its agent to look at: its MAC (empty: none is configured), virtual or not.

    `code` is why the MAC is not believed; licences that are bound to it then count only if `counts`.
    """

    mac: str = ""
    virtual: bool = False
    code: str = ""
    counts: bool = True


class Policy(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What the administrator decided for this PBX; `kinds` maps an object kind to its class, or to none.

    `uses` are the licences that are asked for by name, as the master's catalogue has them; a mode that an
    agent does not know is not for it. Empty: a master from before this field.
    `lines` says how many channels an ISDN interface may run (0: nothing opens it), in configuration order;
    the rows `bri` and `pri` are for those without a row. `keep` are units by class that the agent keeps
    whether or not they are used: Standby, for the day without a master, and all that is bound to its box.
    `channels` are those of carriers' lines by their offers; `*`: of every line without a row.
    `box` is there where the installation has licences that are bound to a MAC.
    """

    etag: str
    kinds: dict[str, str | None]
    enforcement: Literal["enforce", "report"] = "enforce"
    away: Literal["refuse", "report"] = "refuse"
    refuse: Literal[403, 503] = 403
    grace_s: Whole = 30 * 86_400
    linger_s: dict[str, Whole] = {}
    clone: Literal["alert", "freeze", "quarantine"] = "alert"
    pins: tuple[str, ...] = ()
    protected: tuple[str, ...] = ()
    lines: dict[str, Whole] = {}
    channels: dict[str, Whole] = {}
    keep: dict[str, Whole] = {}
    uses: dict[str, UseClass] = {}
    box: Box | None = None


class Roster(msgspec.Struct, frozen=True):
    """Names and public keys (base64) of the installation's agents, for a master that lost its store."""

    version: Whole
    agents: dict[str, str]


class Answer(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """The answer to sync, hello and bye: what you may have."""

    v: Whole
    instance: str
    term: Whole
    epoch: Whole
    ack_seq: Whole
    ack_activity: Whole
    nonce: str
    now_ms: Whole
    next_ms: Whole
    not_before_ms: Whole = 0
    shares: dict[str, ShareGrant] = {}
    denials: dict[str, Denial] = {}
    revocations: tuple[Revocation, ...] = ()
    holders_wanted: tuple[str, ...] = ()
    policy: Policy | None = None
    roster: Roster | None = None


class Enrol(msgspec.Struct, frozen=True, kw_only=True):
    """POST /v1/agent/enrol: a token for an identity; signed by the key it brings."""

    v: Whole
    token: str
    public_key: str
    software: Software
    hardware: Hardware = Hardware()


class Enrolled(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to enrol: who you are from now on, and whose signature to trust."""

    v: Whole
    agent: str
    installation: str
    epoch: Whole
    instance: str
    term: Whole
    master_key: str
    nonce: str
    policy: Policy
    roster: Roster


class Wake(msgspec.Struct, frozen=True):
    """The answer to GET /v1/agent/wake: sync now, or ask again."""

    wake: bool


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """RFC 9457 problem document; `code` is one of the table in codes."""

    type: str
    title: str
    status: Whole
    code: str
    detail: str = ""
    hint: str = ""
