"""What the master remembers of an agent's messages, and what that says about the next one.

`examine` is the gate before any decision: epoch, instance, term, seq and prev give the codes of the
protocol, a repeat gets its stored answer, a copy of an agent is found by its seq or its nonce.
"""

from dataclasses import dataclass
from typing import Literal

import msgspec

from licensing.codes import Code, Refusal
from licensing.ledger import AnyEvent, CloneSuspected
from licensing.state import Agent, Standing, State
from licensing.wire import VERSION, Bye, Sync

ClonePolicy = Literal["alert", "freeze", "quarantine"]

_STANDING: dict[ClonePolicy, Standing] = {"alert": "alert", "freeze": "frozen", "quarantine": "quarantined"}
_REMEMBERED = 16


class Contact(msgspec.Struct, frozen=True, omit_defaults=True):
    """The last message answered to an agent; stored with its answer, in the same transaction.

    `confirmed` is the nonce that the last request named, `issued` that of its answer: the agent can have
    applied no other. `retired` are nonces confirmed before, `boots` the processes that were answered, `since`
    the seq from which on the last of them, `boot`, has been (0: not known), `stray` one that said hello with
    an old seq (`boot:seq`). With `any_prev` the next prev is taken as it is.
    """

    epoch: int
    seq: int = 0
    body_hash: str = ""
    boot: str = ""
    confirmed: str = ""
    issued: str = ""
    retired: tuple[str, ...] = ()
    boots: tuple[str, ...] = ()
    stray: str = ""
    any_prev: bool = False
    since: int = 0

    def answered(self, request: Sync | Bye, body_hash: str, nonce: str, epoch: int) -> "Contact":
        """This contact after `request` was answered with `nonce` under `epoch`."""
        boot = request.boot if isinstance(request, Sync) else self.boot
        old = (self.confirmed,) if self.confirmed not in ("", request.prev) else ()
        boots = self.boots if boot in self.boots else (*self.boots, boot)[-_REMEMBERED:]
        return Contact(
            epoch=epoch,
            seq=request.seq,
            body_hash=body_hash,
            boot=boot,
            confirmed=request.prev,
            issued=nonce,
            retired=(*self.retired, *old)[-_REMEMBERED:],
            boots=boots,
            since=self.since if boot == self.boot else request.seq,
            stray=self.stray,  # also while the other copy is answered all the time
        )


def first_contact(epoch: int, nonce: str) -> Contact:
    """The contact of an agent that has just enrolled; `nonce` is that of the `Enrolled` answer."""
    return Contact(epoch, issued=nonce)


def confirmed_contact(epoch: int) -> Contact:
    """The contact after an operator confirmed a site: any seq and prev of its next hello will do."""
    return Contact(epoch, any_prev=True)


@dataclass(frozen=True, slots=True)
class Fresh:
    """New content: decide. `behind` says that the agent has seen history which this store has not."""

    behind: bool = False


@dataclass(frozen=True, slots=True)
class Repeat:
    """The last message again, byte for byte: send the stored answer."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """Nothing changes but what `events` say (an alarm) and the `contact` to remember, if any."""

    refusal: Refusal
    events: tuple[AnyEvent, ...] = ()
    contact: Contact | None = None


Examination = Fresh | Repeat | Rejected


def examine(
    state: State,
    contact: Contact | None,
    request: Sync | Bye,
    body_hash: str,
    *,
    hello: bool,
    clone: ClonePolicy = "alert",
) -> Examination:
    """What a correctly signed message of an agent is; `contact` None: nothing was ever answered here.

    Codes: `version_unsupported`, `unknown_agent`, `agent_revoked`, `epoch_old`, `hello_needed`, `seq_old`,
    `clone_suspected`. For an agent that the store does not know only a hello is `Fresh` (protocol rule 3).
    """
    if request.v != VERSION:
        return _rejected(Code.VERSION_UNSUPPORTED)
    agent = state.agents.get(request.agent)
    if agent is None:
        return _unknown(state, request, hello)
    if agent.revoked:
        return _rejected(Code.AGENT_REVOKED)
    if agent.standing == "quarantined":
        return _rejected(Code.CLONE_SUSPECTED)
    if not hello and (stale := _needs_hello(state, agent, request)):
        return _rejected(stale)
    return _in_order(state, agent, contact or Contact(agent.epoch), request, body_hash, hello, clone)


def _unknown(state: State, request: Sync | Bye, hello: bool) -> Examination:
    expected = state.recovering or request.agent in state.released or request.agent in state.pbxs
    if not expected:
        return _rejected(Code.UNKNOWN_AGENT)
    return Fresh(behind=True) if hello else _rejected(Code.HELLO_NEEDED)


def _needs_hello(state: State, agent: Agent, request: Sync | Bye) -> Code | None:
    """Why a sync or bye of this agent cannot be understood without a hello."""
    if request.agent in state.waiting - state.heard:
        return Code.HELLO_NEEDED
    if request.epoch < agent.epoch:
        return Code.EPOCH_OLD
    if request.epoch > agent.epoch or request.term > state.term or request.instance != state.instance:
        return Code.HELLO_NEEDED
    return None


def _in_order(
    state: State,
    agent: Agent,
    contact: Contact,
    request: Sync | Bye,
    body_hash: str,
    hello: bool,
    clone: ClonePolicy,
) -> Examination:
    foreign = request.instance != state.instance or request.term > state.term or request.epoch > agent.epoch
    goes_on = not hello and _stray_seq(contact, request) is not None
    if request.seq == contact.seq and contact.body_hash:
        if request.epoch != contact.epoch and contact.epoch < agent.epoch:
            return _rejected(Code.SEQ_OLD)
        if body_hash == contact.body_hash:
            return Repeat()
        return _restored(agent, clone) if goes_on else _suspected(agent, "same_seq", clone)
    if request.seq < contact.seq:
        return _old_seq(agent, contact, request, hello, clone)
    if goes_on:
        return _restored(agent, clone)
    if foreign:
        return Fresh(behind=True)
    if request.agent in state.waiting:
        applied = hello or request.prev == contact.issued
        return Fresh() if applied else _rejected(Code.HELLO_NEEDED)
    if contact.any_prev or request.prev in (contact.confirmed, contact.issued):
        return Fresh()
    if request.prev in contact.retired:
        return _suspected(agent, "old_nonce", clone)
    return Fresh(behind=True) if hello else _rejected(Code.HELLO_NEEDED)


def _old_seq(
    agent: Agent, contact: Contact, request: Sync | Bye, hello: bool, clone: ClonePolicy
) -> Rejected:
    """An older seq is a late message, unless a process never answered goes on from our refusal of its hello.

    It goes on with a sync, and only then: whoever has no answer to a hello says hello again. So two messages
    of a process that died unheard, both late on the wire, are no sign of a copy.
    """
    boot = request.boot if isinstance(request, Sync) else contact.boot
    if boot in contact.boots:
        # The seq of a process begins above all that its forerunners wrote: this one still lives beside it.
        alive = boot != contact.boot and 0 < contact.since <= request.seq
        return _suspected(agent, "same_seq", clone) if alive else _rejected(Code.SEQ_OLD)
    stray_seq = _stray_seq(contact, request)
    if not hello and stray_seq is not None and stray_seq < request.seq:
        return _restored(agent, clone)
    if not hello:
        return _rejected(Code.SEQ_OLD)
    remembered = msgspec.structs.replace(contact, stray=f"{boot}:{request.seq}")
    return Rejected(Refusal(Code.SEQ_OLD), contact=remembered)


def _stray_seq(contact: Contact, request: Sync | Bye) -> int | None:
    """The old seq that the process of this request came with before; None when it did not."""
    boot = request.boot if isinstance(request, Sync) else contact.boot
    stray_boot, separator, stray_seq = contact.stray.rpartition(":")
    return int(stray_seq) if separator and stray_boot == boot else None


def _restored(agent: Agent, clone: ClonePolicy) -> Rejected:
    """A process that came with an old seq goes on: its store is an older copy, wherever its seq is by now."""
    return _suspected(agent, "old_seq", "quarantine" if clone == "quarantine" else "freeze")


def _suspected(
    agent: Agent, reason: Literal["same_seq", "old_nonce", "old_seq"], clone: ClonePolicy
) -> Rejected:
    standing = _STANDING[clone]
    known = agent.standing == standing or agent.standing in ("frozen", "quarantined")
    events = () if known else (CloneSuspected(agent.name, reason, standing),)
    code = Code.SEQ_OLD if reason == "old_seq" else Code.CLONE_SUSPECTED
    return Rejected(Refusal(code), events)


def _rejected(code: Code) -> Rejected:
    return Rejected(Refusal(code))
