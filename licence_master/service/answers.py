"""What an agent asks and is told: sync, hello and bye, each answered once, signed, after it is durable."""

import base64
import binascii
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import msgspec

from licence_master.service.past.history import History
from licence_master.service.writer import Writer
from licence_master.store import ledger
from licence_master.store.ledger import KeptAnswer
from licensing import wire
from licensing.box.sighting import Sighting
from licensing.codes import Refusal
from licensing.ledger import replay
from licensing.lender import allocator, bound, contact, takeover
from licensing.lender.allocator import Outcome
from licensing.lender.claims import Claims, Demands
from licensing.lender.contact import Contact
from licensing.state import State
from runtime.signing import SigningKey, answer_type, header_key_id, key_id, verify
from runtime.store import Statement

RECOVERY_MS = 1_000  # a recovery waits for one message more of each agent
SILENT_AFTER = 3.6  # three syncs that did not come, each up to 20 % late


@dataclass(frozen=True)
class Received:
    """A request as it came; its signature was verified with `public_key` (base64)."""

    path: str
    body: bytes
    signature: str
    public_key: str

    @cached_property
    def hash(self) -> bytes:
        """What tells a repeat from another content."""
        return hashlib.sha256(self.path.encode() + b"\n" + self.body).digest()


@dataclass(frozen=True, slots=True)
class Reply:
    """A signed answer, ready to send."""

    status: int
    body: bytes
    signature: str


class Answers:
    """The agents' side of one installation."""

    def __init__(
        self,
        writer: Writer,
        history: History,
        key: SigningKey,
        sync_ms: int,
        contacts: dict[str, Contact],
        kept: dict[str, KeptAnswer],
    ) -> None:
        self._claims = Claims(writer.state, {}, frozenset())
        self.sightings: dict[str, Sighting] = {}
        self._kept = kept
        self._writer = writer
        self._history = history
        self._key = key
        self._sync_ms = sync_ms
        self._contacts = contacts
        self._heard: dict[str, int] = {}
        self._began = writer.clock.monotonic_ms()

    @property
    def demands(self) -> Demands:
        """What each agent last said that it needs."""
        return self._claims.demands

    # who is asking

    def public_key_of(self, agent: str) -> str | None:
        """The key that this agent's requests must be signed with (base64); None when the store has none."""
        known = self._writer.state.agents.get(agent)
        return known.public_key if known is not None else self._writer.state.roster.get(agent)

    def proven_key(self, agent: str, proofs: Sequence[wire.Proof]) -> str | None:
        """The key that a roster we signed gives to an agent this store does not know (protocol rule 3)."""
        rosters = [answer.roster for _, answer in self._signed_by_us(proofs) if answer.roster is not None]
        if not rosters:
            return None
        return max(rosters, key=lambda roster: roster.version).agents.get(agent)

    def silent(self) -> frozenset[str]:
        """The agents whose syncs stay away; after a start each has its time to come."""
        limit = self._writer.clock.monotonic_ms() - int(self._sync_ms * SILENT_AFTER)
        agents = self._writer.state.agents
        return frozenset(name for name in agents if self._heard.get(name, self._began) < limit)

    # what they ask

    async def sync(self, request: wire.Sync, received: Received) -> Reply | Refusal:
        """Answer POST /v1/agent/sync."""
        found = self._examine(request, received, hello=False)
        if not isinstance(found, contact.Fresh):
            return await self._without_decision(request, found, received)
        outcome = allocator.sync(
            self._writer.state,
            self.demands,
            request,
            silent=self.silent(),
            no_room=self._writer.no_room,
            sightings=self.sightings,
            known=self._claims,
        )
        return await self._answer(request, outcome, received)

    async def hello(self, request: wire.Hello, received: Received) -> Reply | Refusal:
        """Answer POST /v1/agent/hello."""
        found = self._examine(request, received, hello=True)
        if not isinstance(found, contact.Fresh):
            return await self._without_decision(request, found, received)
        own = key_id(base64.b64decode(received.public_key))
        signed = self._signed_by_us(request.proofs)
        outcome = allocator.hello(
            self._writer.state,
            self.demands,
            request,
            [answer for signer, answer in signed if signer == own],
            received.public_key,
            behind=found.behind,
            silent=self.silent(),
            no_room=self._writer.no_room,
            sightings=self.sightings,
        )
        if isinstance(outcome, Refusal):
            await self._writer.settled()
            return outcome
        return await self._answer(request, outcome, received)

    async def bye(self, request: wire.Bye, received: Received) -> Reply | Refusal:
        """Answer POST /v1/agent/bye."""
        found = self._examine(request, received, hello=False)
        if not isinstance(found, contact.Fresh):
            return await self._without_decision(request, found, received)
        outcome = allocator.bye(self._writer.state, self.demands, request.agent, silent=self.silent())
        return await self._answer(request, outcome, received)

    def sign(self, status: int, body: bytes, request_signature: str) -> str:
        """The signature of an answer that fits this request only."""
        return self._key.sign(answer_type(status, request_signature), body)

    def repeat(self, agent: str, received: Received) -> Reply | None:
        """The stored answer, when this is the very request that it answered."""
        kept = self._kept.get(agent)
        if kept is None or kept.request_hash != received.hash:
            return None
        return Reply(kept.status, kept.body, kept.signature)

    def begin(self, agent: str, epoch: int, nonce: str, answer: KeptAnswer) -> list[Statement]:
        """An agent has enrolled: nothing of its earlier life is repeated or remembered."""
        return [self._remember(agent, contact.first_contact(epoch, nonce)), self._keep(answer)]

    def forgive(self, agent: str, epoch: int) -> list[Statement]:
        """An operator confirmed the site: its next hello is believed."""
        return [self._remember(agent, contact.confirmed_contact(epoch))]

    def unhear(self, agent: str) -> None:
        """What this agent said it needs is nobody's word any more: its site was released."""
        heard = {name: demand for name, demand in self.demands.items() if name != agent}
        self._claims = Claims(self._writer.state, heard, frozenset())

    def policy(self, agent: str) -> wire.Policy:
        """The policy of a configured PBX."""
        return _policy_of(self._writer.state, agent)

    # how it is done

    def _examine(
        self, request: wire.Sync | wire.Bye, received: Received, *, hello: bool
    ) -> contact.Examination:
        configured = request.agent in self._writer.state.policies
        return contact.examine(
            self._writer.state,
            self._contacts.get(request.agent),
            request,
            received.hash.hex(),
            hello=hello,
            clone=self.policy(request.agent).clone if configured else "alert",
        )

    async def _without_decision(
        self, request: wire.Sync | wire.Bye, found: contact.Repeat | contact.Rejected, received: Received
    ) -> Reply | Refusal:
        """A repeat gets its stored answer, a refusal its code: both after all that was decided before."""
        if isinstance(found, contact.Repeat):
            self._writer.tally.repeats += 1
            kept = self._kept[request.agent]
            await self._writer.settled()
            return Reply(kept.status, kept.body, kept.signature)
        statements = [self._remember(request.agent, found.contact)] if found.contact else []
        state = replay(found.events, self._writer.state)
        await self._writer.commit(state, found.events, f"agent:{request.agent}", statements)
        return found.refusal

    async def _answer(self, request: wire.Sync | wire.Bye, outcome: Outcome, received: Received) -> Reply:
        """Make the decision true together with everything that goes with it, then answer."""
        agent, clock = request.agent, self._writer.clock
        self._heard[agent] = clock.monotonic_ms()
        self._claims = outcome.claims
        if isinstance(request, wire.Sync) and request.relay is not None:
            self.sightings[agent] = request.relay
        self._writer.wakes.settle(agent)
        statements = self._history.note(request, outcome, clock.wall_ms(), self._writer.no_room)
        answer = self._compose(request, outcome)
        body = msgspec.json.encode(answer)
        kept = KeptAnswer(
            agent=agent,
            term=answer.term,
            seq=request.seq,
            request_hash=received.hash,
            request_signature=received.signature,
            status=200,
            body=body,
            signature=self.sign(200, body, received.signature),
        )
        before = self._contacts.get(agent, Contact(answer.epoch))
        after = before.answered(request, received.hash.hex(), answer.nonce, answer.epoch)
        statements += [self._keep(kept), self._remember(agent, after)]
        await self._writer.commit(outcome.state, outcome.events, f"agent:{agent}", statements)
        for sleeper in sorted(outcome.wake):
            self._writer.wakes.wake(sleeper)
        return Reply(kept.status, kept.body, kept.signature)

    def _compose(self, request: wire.Sync | wire.Bye, outcome: Outcome) -> wire.Answer:
        state, agent = outcome.state, request.agent
        known = request if isinstance(request, wire.Sync) else None
        policy = _policy_of(state, agent) if agent in state.policies else None
        news = known is not None and policy is not None and policy.etag != known.policy_etag
        joined = known is not None and known.roster_version != state.roster_version
        return wire.Answer(
            v=wire.VERSION,
            instance=state.instance,
            term=state.term,
            epoch=state.agents[agent].epoch,
            ack_seq=request.seq,
            ack_activity=self._history.acknowledged(agent),
            nonce=self._writer.entropy(12).hex(),
            now_ms=self._writer.clock.wall_ms(),
            next_ms=RECOVERY_MS if agent in state.waiting else self._sync_ms,
            shares=dict(outcome.shares),
            denials=dict(outcome.denials),
            holders_wanted=self._history.doubted(known) if known is not None else (),
            policy=policy if news else None,
            roster=wire.Roster(state.roster_version, dict(state.roster)) if joined else None,
        )

    def _signed_by_us(self, proofs: Sequence[wire.Proof]) -> list[tuple[str, wire.Answer]]:
        """The stored answers that this master's key signed, each with the key id that had asked."""
        answers = []
        for proof in proofs:
            try:
                body = base64.b64decode(proof.body, validate=True)
                answer = msgspec.json.decode(body, type=wire.Answer)
            except (binascii.Error, ValueError, msgspec.MsgspecError):
                continue
            type_ = answer_type(proof.status, proof.request_signature)
            if verify(self._key.public, type_, body, proof.signature):
                answers.append((header_key_id(proof.request_signature), answer))
        return answers

    def _keep(self, answer: KeptAnswer) -> Statement:
        self._kept[answer.agent] = answer
        return ledger.keep_answer(answer)

    def _remember(self, agent: str, contact_: Contact) -> Statement:
        self._contacts[agent] = contact_
        return ledger.keep_contact(agent, contact_)


def _policy_of(state: State, agent: str) -> wire.Policy:
    policy = _policy(state.policies[agent])
    pbx = state.pbxs.get(agent)
    if pbx is None:
        return policy
    return bound.with_lines(state, pbx, takeover.with_standby(state, pbx, policy))


@lru_cache(maxsize=1_024)
def _policy(text: str) -> wire.Policy:
    return msgspec.json.decode(text, type=wire.Policy)
