"""The safety rules that models of the real cores leave out, each undone around code that stays as it is."""

from enum import Enum


class Rule(Enum):
    """One rule; the value says what it demands."""

    __hash__ = object.__hash__  # of the name by default, in Python: rules are looked up at every step

    # of the agent
    WANT_CAPS = "want caps the agent before the request leaves"
    LATEST_ONLY = "only the answer to the latest seq is applied"
    AGENT_DURABLE = "the agent's record is on disk before it is used"
    NO_FALL = "after an unclean stop no want falls before a snapshot"
    GATE_COUNTS = "forgotten phones keep their units"
    TERM_FENCE = "an answer of a lower term is refused"
    RECALL_SPARES_USED = "a recall never asks for what is used"
    STANDBY_APART = "a standby draws standby units, never those of the PBX it stands in for"
    # of the master
    ANSWER_AFTER_COMMIT = "an answer waits for its commit"
    SEQ_ORDER = "an older seq is never decided"
    RETURNED_FIRST = "a recalled unit is lent when it is back, not before"
    SURPLUS_FALLS = "nothing is lent from a pool that holds less than is lent"
    NEWEST_MARKED = "the newest holders are asked to give back what is too much"
    WHOLE_BUNDLE = "a bundle is drawn whole or not at all"
    STANDBY_WHOLE = "standby is on while there is a Standby for each Port, off as a whole otherwise"
    RECOVERY_WAITS = "a recovering store lends nothing until everyone is accounted for"
    ACCOUNTED_BY_SYNC = "a hello accounts for nobody before the sync after it"
    HELD = "a hello puts on record what the agent may use, not what it once was given"
    RESTORED_WAITS = "a restored store starts a recovery"
    EPOCH = "an older epoch is refused"
    KNOWN_MASTER = "a sync that obeys another instance or a later term gets hello_needed"
    SAME_SEQ = "a seq seen with another body is a clone"
    OLD_NONCE = "a nonce that was superseded is a clone"
    OLD_SEQ = "a new process that goes on below the last seq is a restored snapshot"


ALL_RULES = frozenset(Rule)
