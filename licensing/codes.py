"""Every refusal in one table: its code, its HTTP status, its sentence and what would help.

SIP reason phrases, API problem documents, CLI messages and logs all read this table, so that one refusal
has one name wherever a person meets it (protocol "Refusal codes"; L.r33).
"""

from dataclasses import dataclass
from enum import StrEnum


class Code(StrEnum):
    """A reason to refuse or to warn, spelled as users see it."""

    # licences
    NO_FREE_LICENCE = "no_free_licence"
    RESERVED = "reserved"
    LICENCE_VERSION_TOO_LOW = "licence_version_too_low"
    MIN_SOFTWARE = "min_software"
    IPVA_MISSING = "ipva_missing"
    STANDBY_SHORT = "standby_short"
    SMB_EXCLUSION = "smb_exclusion"
    SMB_CAP = "smb_cap"
    CONVERSION_SHORT = "conversion_short"
    MASTER_ONLY = "master_only"
    HARDWARE_BOUND = "hardware_bound"
    LOCAL_MODE = "local_mode"
    MAC_MISMATCH = "mac_mismatch"
    MAC_SPOOFED = "mac_spoofed"
    MAC_UNPROVABLE = "mac_unprovable"
    MAC_MOVED = "mac_moved"
    MAC_CLONED = "mac_cloned"
    RELAY_MISSING = "relay_missing"
    RELAY_CHANNELS_EXHAUSTED = "relay_channels_exhausted"
    LINE_CHANNELS_EXHAUSTED = "line_channels_exhausted"
    QUEUES_PER_CLIENT = "queues_per_client"
    NOT_LICENSED = "not_licensed"
    REQUIRES_LICENCE = "requires_licence"
    TIER_BASE_MISSING = "tier_base_missing"
    QUARANTINED = "quarantined"
    INVALID_TYPE = "invalid_type"
    AMBIGUOUS_REFERENCE = "ambiguous_reference"
    EXPIRED = "expired"
    ALREADY_INSTALLED = "already_installed"
    UNKNOWN_OBJECT = "unknown_object"
    UNASSIGNED = "unassigned"
    CREDIT_SHORT = "credit_short"
    ALREADY_AGREED = "already_agreed"
    NOT_INCLUDED = "not_included"
    # licence files
    FILE_MALFORMED = "file_malformed"
    FILE_CHANGED = "file_changed"
    DUPLICATE_KEY = "duplicate_key"
    NUMBER_NOT_WHOLE = "number_not_whole"
    UNKNOWN_CRITICAL = "unknown_critical"
    ALGORITHM_MISMATCH = "algorithm_mismatch"
    KEY_UNTRUSTED = "key_untrusted"
    KEY_REVOKED = "key_revoked"
    FILE_REVOKED = "file_revoked"
    ISSUE_OLD = "issue_old"
    ISSUER_MISMATCH = "issuer_mismatch"
    NOT_YET_VALID = "not_yet_valid"
    WRONG_MASTER = "wrong_master"
    SIGNATURE_UNCHECKED = "signature_unchecked"
    # state of the site
    FROZEN = "frozen"
    RECOVERING = "recovering"
    MASTER_AWAY = "master_away"
    AGENT_REVOKED = "agent_revoked"
    CLONE_SUSPECTED = "clone_suspected"
    # the protocol itself
    SIGNATURE_INVALID = "signature_invalid"
    UNKNOWN_AGENT = "unknown_agent"
    TOKEN_INVALID = "token_invalid"  # noqa: S105 - a code, not a secret
    SIGN_IN_FAILED = "sign_in_failed"
    UNKNOWN_INSTALLATION = "unknown_installation"
    EPOCH_OLD = "epoch_old"
    SEQ_OLD = "seq_old"
    HELLO_NEEDED = "hello_needed"
    TOO_LARGE = "too_large"
    VERSION_UNSUPPORTED = "version_unsupported"
    RATE_LIMITED = "rate_limited"
    STORE_FAILED = "store_failed"
    DISK_FULL = "disk_full"
    # found by the agent
    PIN_MISMATCH = "pin_mismatch"
    TERM_OLD = "term_old"
    INSTANCE_CONFLICT = "instance_conflict"
    FLOOD = "flood"
    PBX_LINK_LOST = "pbx_link_lost"
    CDR_SOURCE_SILENT = "cdr_source_silent"
    CDR_MISSING = "cdr_missing"
    CDR_INTAKE_STOPPED = "cdr_intake_stopped"
    CDR_UNDELIVERED = "cdr_undelivered"
    # the admin API
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not_found"
    INVALID_REQUEST = "invalid_request"
    SHARE_HELD = "share_held"
    NAME_TAKEN = "name_taken"
    CONFIGURED = "configured"


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of the table: HTTP status, a sentence for people and what would help."""

    status: int
    sentence: str
    hint: str


_FILE_AGAIN = "Fetch the file again, as an attachment rather than as text."
_ISSUE_AGAIN = "Ask the issuer to make the file with licence-file issue."

TABLE: dict[Code, Entry] = {
    Code.NO_FREE_LICENCE: Entry(
        409, "No free licence", "Free a registration or install more licences of this pool."
    ),
    Code.RESERVED: Entry(
        409,
        "The free licences are reserved for another PBX",
        "Lower the reserve of that PBX in master.yaml, or install more licences of this pool.",
    ),
    Code.LICENCE_VERSION_TOO_LOW: Entry(
        409,
        "The installed licences are too old for this software",
        "Remove the old licences, install newer ones, or set mixed_versions: lenient.",
    ),
    Code.MIN_SOFTWARE: Entry(409, "This licence needs newer software", "Upgrade the software of this PBX."),
    Code.IPVA_MISSING: Entry(
        409, "No free IPVA licence for this virtual PBX", "Install as many IPVA as Port licences."
    ),
    Code.STANDBY_SHORT: Entry(
        409,
        "Fewer Standby than Port licences, so standby is off",
        "Install at least as many usable Standby as usable Port licences on the master.",
    ),
    Code.SMB_EXCLUSION: Entry(
        409,
        "SMB-Port licences exclude Port, Standby and further PBXs",
        "Convert the SMB-Port licences with PBX-Port13$$ first.",
    ),
    Code.SMB_CAP: Entry(
        409, "More SMB-Port licences than their size allows", "Convert them with PBX-Port13$$."
    ),
    Code.CONVERSION_SHORT: Entry(
        409, "Not enough upgrade licences to convert all SMB-Port licences", "Install more PBX-Port13$$."
    ),
    Code.MASTER_ONLY: Entry(
        409, "This licence is installed on the master only", "Install it without a place."
    ),
    Code.HARDWARE_BOUND: Entry(
        409, "This licence is bound to its hardware", "Use it on the device whose MAC it names."
    ),
    Code.LOCAL_MODE: Entry(
        409,
        "This PBX has licences of its own and may not use those of the master",
        "Install more on this PBX, or remove its own so that it draws from the master.",
    ),
    Code.MAC_MISMATCH: Entry(
        409,
        "The licence names another MAC address",
        "Use it at its own box; if that was replaced, correct master.yaml.",
    ),
    Code.MAC_SPOOFED: Entry(403, "The MAC address was changed by software", "Restore the permanent address."),
    Code.MAC_UNPROVABLE: Entry(
        403,
        "The MAC address cannot be proved from here",
        "Put the agent on the gateway's own network, or state it in agent.yaml (docs/hardware.md).",
    ),
    Code.MAC_MOVED: Entry(
        403,
        "The box with this MAC address stands at another PBX",
        "Bring it back, or write it beside the PBX where it is now in master.yaml.",
    ),
    Code.MAC_CLONED: Entry(
        403,
        "Two boxes show this MAC address",
        "Switch the copy off. If both PBXs are one box, write its MAC beside both in master.yaml.",
    ),
    Code.RELAY_MISSING: Entry(
        409, "No Relay licence opens this interface", "Assign a Relay licence to this gateway."
    ),
    Code.RELAY_CHANNELS_EXHAUSTED: Entry(
        409, "All licensed channels of this gateway are in use", "Assign more Relay-Channels."
    ),
    Code.LINE_CHANNELS_EXHAUSTED: Entry(
        409,
        "All channels that this line has by its offer are in use",
        "Wait for a call to end, or give the line an offer with more channels (docs/calls.md).",
    ),
    Code.QUEUES_PER_CLIENT: Entry(
        409,
        "A Queue Monitor client watches two queues at most",
        "Let it stop watching one, or use a second client.",
    ),
    Code.NOT_LICENSED: Entry(409, "Not licensed", "Assign or install a licence of this type."),
    Code.REQUIRES_LICENCE: Entry(409, "This licence needs another one first", "Assign the licence it needs."),
    Code.TIER_BASE_MISSING: Entry(
        200, "A volume tier without its base", "Install the lower tiers that this tier builds on."
    ),
    Code.QUARANTINED: Entry(
        200, "A software licence without a version counts for nothing", "Map it in the configuration."
    ),
    Code.INVALID_TYPE: Entry(
        422, "Not a licence type of the catalogue", "Write it as on the licence, for example PBX-Port13."
    ),
    Code.AMBIGUOUS_REFERENCE: Entry(
        422, "This reference number names several licence types", "Name the type instead."
    ),
    Code.EXPIRED: Entry(409, "The licence has expired", "Renew it, or install its successor."),
    Code.ALREADY_INSTALLED: Entry(
        200, "These bytes are installed already", "Use --again if you mean a second set."
    ),
    Code.UNKNOWN_OBJECT: Entry(
        404, "This object is not known", "Add a row for it to the objects of this PBX."
    ),
    Code.UNASSIGNED: Entry(
        200, "Licences assigned to no PBX count for nothing", "Assign them: install them with a place."
    ),
    Code.CREDIT_SHORT: Entry(
        409, "The balance of credits is too small", "Book what was bought: licence-master credits add."
    ),
    Code.ALREADY_AGREED: Entry(409, "This was agreed already, and only once", "See licence-master terms."),
    Code.NOT_INCLUDED: Entry(
        409, "No SSA includes this upgrade", "See what is included: licence-master ssa rights RELEASE."
    ),
    Code.FILE_MALFORMED: Entry(422, "This is no licence file, or a part of it is missing", _FILE_AGAIN),
    Code.FILE_CHANGED: Entry(422, "The file was changed after it was signed", _FILE_AGAIN),
    Code.DUPLICATE_KEY: Entry(422, "The signed text has a key twice", _ISSUE_AGAIN),
    Code.NUMBER_NOT_WHOLE: Entry(422, "The signed text has a number that is not whole", _ISSUE_AGAIN),
    Code.UNKNOWN_CRITICAL: Entry(
        422,
        "The file has a condition that this version does not know and must not ignore",
        "Update the licence master.",
    ),
    Code.ALGORITHM_MISMATCH: Entry(
        422, "The file names another signature algorithm than that of its key", _ISSUE_AGAIN
    ),
    Code.KEY_UNTRUSTED: Entry(
        409,
        "The file is signed by a key that is not trusted here",
        "If you trust its issuer, write the issuer's root key into licence_roots of master.yaml.",
    ),
    Code.KEY_REVOKED: Entry(
        409, "The key that signed this file was revoked", "Ask its issuer for a file of the new key."
    ),
    Code.FILE_REVOKED: Entry(409, "This file was revoked", "Ask its issuer what took its place."),
    Code.ISSUE_OLD: Entry(
        409,
        "A newer issue was installed here already",
        "Install the newest file; for one that was left out ask the issuer to issue it again.",
    ),
    Code.ISSUER_MISMATCH: Entry(
        409, "Only its own issuer may replace a file", "Install the file of the issuer that made the old one."
    ),
    Code.NOT_YET_VALID: Entry(409, "The file is not valid yet", "Install it when its time has come."),
    Code.WRONG_MASTER: Entry(
        409,
        "The file was made for another licence master",
        "Install it there, or ask for one for this master.",
    ),
    Code.SIGNATURE_UNCHECKED: Entry(
        200,
        "The vendor's signature cannot be checked here; the file is recorded as your statement",
        "Compare it with the vendor's portal.",
    ),
    Code.FROZEN: Entry(
        409, "Growth of this site is frozen", "Confirm the site, or release it with release-site."
    ),
    Code.RECOVERING: Entry(
        503,
        "The licence master is recovering and lends nothing new yet",
        "Start the agents that have not said hello, or release their sites.",
    ),
    Code.MASTER_AWAY: Entry(
        503, "The licence master cannot be reached", "Check the link to the master; see pbx-agent doctor."
    ),
    Code.AGENT_REVOKED: Entry(403, "This agent was revoked", "Invite the PBX again and join."),
    Code.CLONE_SUSPECTED: Entry(
        403, "Two agents seem to run with one identity", "Stop the copy, then join again on the right host."
    ),
    Code.SIGNATURE_INVALID: Entry(
        401, "The signature does not fit", "Check that this agent is enrolled at this master."
    ),
    Code.UNKNOWN_AGENT: Entry(401, "This agent is not known here", "Invite the PBX and join."),
    Code.TOKEN_INVALID: Entry(
        401, "The token is wrong, used or expired", "Ask for a new one with licence-master invite or token."
    ),
    Code.SIGN_IN_FAILED: Entry(
        401, "Name or password is wrong", "An admin sets a new one: licence-master user password NAME."
    ),
    Code.UNKNOWN_INSTALLATION: Entry(
        404, "No such installation", "Name an installation of the master's configuration."
    ),
    Code.EPOCH_OLD: Entry(
        409, "This site was released or enrolled again", "The agent says hello and starts with share 0."
    ),
    Code.SEQ_OLD: Entry(
        409,
        "A message older than one already answered",
        "A late message needs nothing. An agent whose store was put back: confirm-site.",
    ),
    Code.HELLO_NEEDED: Entry(409, "This store does not know the agent's history", "The agent says hello."),
    Code.TOO_LARGE: Entry(413, "The message is too large", "Send less at once."),
    Code.VERSION_UNSUPPORTED: Entry(
        400, "This protocol version is not spoken here", "Update the older of agent and master."
    ),
    Code.RATE_LIMITED: Entry(429, "Too many requests", "Wait as Retry-After says."),
    Code.STORE_FAILED: Entry(
        503, "The store failed and the service stops", "Check the disk; see licence-master doctor."
    ),
    Code.DISK_FULL: Entry(
        507,
        "The disk is nearly full, so nothing new is taken on",
        "Free space on that disk: what is held goes on, and growth by itself once there is room.",
    ),
    Code.PIN_MISMATCH: Entry(
        502,
        "The server's key is not the pinned one",
        "Compare the pin; if it changed on purpose, join again.",
    ),
    Code.TERM_OLD: Entry(
        502, "An answer of an older master was ignored", "Stop the second master on this installation."
    ),
    Code.INSTANCE_CONFLICT: Entry(
        502, "Two masters answer for this installation", "Stop one of them, then restart the other."
    ),
    Code.FLOOD: Entry(
        429,
        "A source sends more SIP messages than it may",
        "Block it at the firewall, or raise sip.limits if these are your phones.",
    ),
    Code.PBX_LINK_LOST: Entry(
        503,
        "The PBX does not tell what it holds",
        "See that it runs, and that its manager interface lets the agent in.",
    ),
    Code.CDR_SOURCE_SILENT: Entry(
        503, "A source of call records is silent", "See that the PBX still sends them: pbx-agent status."
    ),
    Code.CDR_MISSING: Entry(
        200, "Numbered call records never came", "Fetch them from the PBX: licence-master cdr gaps."
    ),
    Code.CDR_INTAKE_STOPPED: Entry(
        503, "No call records are taken in", "Bring the master back, make room, or raise cdrs.most_mib."
    ),
    Code.CDR_UNDELIVERED: Entry(
        503, "The master does not take call records", "They wait here. Is the master as new as the agent?"
    ),
    Code.FORBIDDEN: Entry(403, "Not allowed", "Use a token, or sign in, with the role this needs."),
    Code.NOT_FOUND: Entry(404, "Nothing here by that name", "List what there is and check the spelling."),
    Code.INVALID_REQUEST: Entry(422, "The request does not fit", "See the fields named in the detail."),
    Code.NAME_TAKEN: Entry(409, "Somebody has this name already", "Choose another name, or remove that one."),
    Code.CONFIGURED: Entry(
        409,
        "The configuration decides this, and nobody else",
        "Change the file it names, then: systemctl reload licence-master.",
    ),
    Code.SHARE_HELD: Entry(
        409, "This PBX still holds a share", "Run release-site for it first, or let its agent say bye."
    ),
}


def sentence(code: Code) -> str:
    """The sentence for people, without a final stop."""
    return TABLE[code].sentence


def hint(code: Code) -> str:
    """What would help, as a sentence."""
    return TABLE[code].hint


def status(code: Code) -> int:
    """The HTTP status that carries this code."""
    return TABLE[code].status


@dataclass(frozen=True, slots=True)
class Refusal:
    """A "no" as a value: the code, what was found, and what would help where the table is too general."""

    code: Code
    detail: str = ""
    advice: str = ""

    @property
    def sentence(self) -> str:
        """The sentence for people, with the detail where there is one."""
        return f"{sentence(self.code)}: {self.detail}" if self.detail else sentence(self.code)

    @property
    def hint(self) -> str:
        """What would help."""
        return self.advice or hint(self.code)
