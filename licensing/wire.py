"""The messages between agent and master, version 1: absolute numbers, JSON, nothing that counts twice.

Unknown fields are ignored, so that an older side understands a newer one; a missing required field or a
wrong type is `msgspec.ValidationError`. Times are UTC epoch milliseconds and are information only.
"""

from typing import Literal

import msgspec

VERSION = 1
MAX_BODY = 256 * 1024
MAX_ACTIVITY = 1_000

REQUEST_TYPE = "pbx.request.v1"
ANSWER_TYPE = "pbx.answer.v1"


class Software(msgspec.Struct, frozen=True):
    """What the PBX runs: a name and its release number."""

    release: int
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

    used: int
    want: int
    surplus: int = 0
    idle: int = 0
    peak: int = 0
    refused: int = 0


class HolderDigest(msgspec.Struct, frozen=True):
    """How many objects hold a unit of a class, and the XOR of SHA-256 of their names (hex, 16 digits)."""

    count: int
    digest: str


class HolderPage(msgspec.Struct, frozen=True, rename={"class_": "class"}):
    """One page of a class's holders in order of name, after the name `after`; `last` ends the list."""

    class_: str
    after: str
    names: tuple[str, ...]
    last: bool


class Activity(msgspec.Struct, frozen=True, omit_defaults=True, rename={"class_": "class"}):
    """One numbered event of an object, for history; never part of safety."""

    n: int
    at_ms: int
    object: str
    kind: str
    class_: str
    event: Literal["held", "released", "lingering", "refused", "surplus", "reported"]
    code: str | None = None
    until_ms: int | None = None


class Sync(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """POST /v1/agent/sync: what I have and what I want."""

    v: int
    agent: str
    installation: str
    epoch: int
    instance: str
    term: int
    seq: int
    prev: str
    boot: str
    sent_at_ms: int
    software: Software
    classes: dict[str, ClassDemand]
    hardware: Hardware = Hardware()
    holders: dict[str, HolderDigest] = {}
    pages: tuple[HolderPage, ...] = ()
    activity: tuple[Activity, ...] = ()
    policy_etag: str = ""
    roster_version: int = 0
    alarms: tuple[str, ...] = ()


class Proof(msgspec.Struct, frozen=True):
    """A stored answer as the master signed it: exact body (base64) and what its signature covers."""

    body: str
    status: int
    request_signature: str
    signature: str


class Hello(Sync, frozen=True, omit_defaults=True, kw_only=True):
    """POST /v1/agent/hello: a sync that first proves what this master lent, after a start or when asked."""

    proofs: tuple[Proof, ...] = ()


class Bye(msgspec.Struct, frozen=True, kw_only=True):
    """POST /v1/agent/bye: everything back; `seq` and `prev` as in a sync."""

    v: int
    agent: str
    installation: str
    epoch: int
    instance: str
    term: int
    seq: int
    prev: str


class ShareGrant(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the agent may use of a class; `recall_to` asks for max(recall_to, used + reserved)."""

    granted: int
    max_software: int
    recall_to: int | None = None
    state: Literal["open", "short", "recovering", "frozen"] = "open"


class Denial(msgspec.Struct, frozen=True, omit_defaults=True):
    """Why a class got less than it needs; `recalling` > 0 says units are on their way: wait."""

    asked: int
    granted: int
    code: str
    capacity: int
    used: int
    reserved: int = 0
    stranded: int = 0
    recalling: int = 0
    frees_ms: int | None = None
    hint: str = ""


class Revocation(msgspec.Struct, frozen=True):
    """Something that may no longer run: an object or a MAC, at once or when its use ends."""

    subject: str
    mode: Literal["drain", "immediate"]
    code: str


class Policy(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What the administrator decided for this PBX; `kinds` maps an object kind to its class, or to none."""

    etag: str
    kinds: dict[str, str | None]
    enforcement: Literal["enforce", "report"] = "enforce"
    away: Literal["refuse", "report"] = "refuse"
    refuse: Literal[403, 503] = 403
    grace_s: int = 30 * 86_400
    linger_s: dict[str, int] = {}
    clone: Literal["alert", "freeze", "quarantine"] = "alert"
    pins: tuple[str, ...] = ()
    protected: tuple[str, ...] = ()


class Roster(msgspec.Struct, frozen=True):
    """Names and public keys (base64) of the installation's agents, for a master that lost its store."""

    version: int
    agents: dict[str, str]


class Answer(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """The answer to sync, hello and bye: what you may have."""

    v: int
    instance: str
    term: int
    epoch: int
    ack_seq: int
    ack_activity: int
    nonce: str
    now_ms: int
    next_ms: int
    not_before_ms: int = 0
    shares: dict[str, ShareGrant] = {}
    denials: dict[str, Denial] = {}
    revocations: tuple[Revocation, ...] = ()
    holders_wanted: tuple[str, ...] = ()
    policy: Policy | None = None
    roster: Roster | None = None


class Enrol(msgspec.Struct, frozen=True, kw_only=True):
    """POST /v1/agent/enrol: a token for an identity; signed by the key it brings."""

    v: int
    token: str
    public_key: str
    software: Software
    hardware: Hardware = Hardware()


class Enrolled(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to enrol: who you are from now on, and whose signature to trust."""

    v: int
    agent: str
    installation: str
    epoch: int
    instance: str
    term: int
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
    status: int
    code: str
    detail: str = ""
    hint: str = ""
