"""How agents and administrators come in: invites, enrolment, tokens; secrets are shown once."""

import base64
import binascii
from dataclasses import dataclass, replace

import msgspec

from licence_master.service.answers import Answers, Received, Reply
from licence_master.service.past.history import History
from licence_master.service.people.secret import fits, id_of, new_secret
from licence_master.service.writer import Writer
from licence_master.store import credentials
from licence_master.store.credentials import Invite, Token
from licence_master.store.ledger import KeptAnswer
from licensing import administration, wire
from licensing.codes import Code, Refusal
from runtime.store import Statement

INVITE_MS = 30 * 60_000
TRIES = 5
DAY_MS = 86_400_000
USE_NOTED_MS = 60_000  # the last use of a token is known to the minute, so that asking does not write


@dataclass(frozen=True, slots=True)
class Invited:
    """A new invite: `secret` is shown once."""

    pbx: str
    secret: str
    expires_ms: int


@dataclass(frozen=True, slots=True)
class Issued:
    """A new token: `secret` is shown once."""

    token: Token
    secret: str


class Enrolment:
    """The doors of one installation."""

    def __init__(
        self,
        writer: Writer,
        answers: Answers,
        history: History,
        master_key: bytes,
        invites: dict[str, Invite],
        tokens: dict[str, Token],
    ) -> None:
        self._writer = writer
        self._answers = answers
        self._history = history
        self._master_key = base64.b64encode(master_key).decode()
        self._invites = invites
        self._tokens = tokens

    async def invite(self, pbx: str) -> Invited | Refusal:
        """Make an invite for a configured PBX: single use, 30 minutes, 5 tries."""
        refusal = administration.may_enrol(self._writer.state, pbx)
        if refusal is not None:
            return refusal
        if self._writer.no_room:
            return Refusal(Code.DISK_FULL)
        now = self._writer.clock.wall_ms()
        over = [invite.id for invite in self._invites.values() if invite.expires_ms + DAY_MS < now]
        for id_ in over:
            del self._invites[id_]
        secret = new_secret(self._writer.entropy)
        invite = Invite(secret.id, secret.hash, pbx, now + INVITE_MS, TRIES)
        self._invites[invite.id] = invite
        statements = [credentials.keep_invite(invite)] + ([credentials.drop_invites(over)] if over else [])
        await self._write(statements)
        return Invited(pbx, secret.text, invite.expires_ms)

    def invited(self, token: str) -> bool:
        """Is this the id of one of our invites, whatever its secret?"""
        return id_of(token) in self._invites

    async def enrol(self, request: wire.Enrol, received: Received) -> Reply | Refusal:
        """Answer POST /v1/agent/enrol: register the key that the request brings and was signed with."""
        invite = self._invites[id_of(request.token)]
        if invite.used_ms is not None and (reply := self._answers.repeat(invite.pbx, received)):
            await self._writer.settled()
            return reply
        refusal = await self._check(invite, request.token)
        if refusal is not None:
            return refusal
        if not is_key(request.public_key):
            return Refusal(Code.INVALID_REQUEST, "public_key is not 32 bytes in base64")
        change = administration.enrol(self._writer.state, invite.pbx, request.public_key)
        if isinstance(change, Refusal):
            return change
        if self._writer.no_room:
            return Refusal(Code.DISK_FULL)
        return await self._register(request, received, invite, change)

    async def issue_token(self, role: str, label: str, days: int) -> Issued | Refusal:
        """Make a token of this installation; `role` is admin, operator, auditor or site:NAME."""
        if self._writer.no_room:
            return Refusal(Code.DISK_FULL)
        secret, now = new_secret(self._writer.entropy), self._writer.clock.wall_ms()
        token = Token(secret.id, secret.hash, role, label, now, now + days * DAY_MS)
        self._tokens[token.id] = token
        await self._write([credentials.keep_token(token)])
        return Issued(token, secret.text)

    async def revoke_token(self, id_: str) -> Token | Refusal:
        """End a token now."""
        token = self._tokens.get(id_)
        if token is None:
            return Refusal(Code.NOT_FOUND, f"no token {id_}")
        token = replace(token, revoked_ms=token.revoked_ms or self._writer.clock.wall_ms())
        self._tokens[id_] = token
        await self._write([credentials.keep_token(token)])
        return token

    def tokens(self) -> list[Token]:
        """Every token ever made, newest first."""
        return sorted(self._tokens.values(), key=lambda token: -token.created_ms)

    def authenticate(self, text: str) -> Token | None:
        """The token of this secret; None when it is wrong, revoked or over."""
        token = self._tokens.get(id_of(text))
        if token is None or not fits(text, token.hash):
            return None
        now = self._writer.clock.wall_ms()
        if token.revoked_ms is not None or token.expires_ms <= now:
            return None
        if token.used_ms is None or now - token.used_ms >= USE_NOTED_MS:
            self._note_use(replace(token, used_ms=now))
        return token

    def _note_use(self, token: Token) -> None:
        """Remember the use without waiting for the disk; a store that is behind is spared it."""
        if not self._writer.busy:
            self._tokens[token.id] = token
            self._writer.commit(self._writer.state, (), "master", [credentials.keep_token(token)])

    async def _check(self, invite: Invite, token: str) -> Refusal | None:
        now = self._writer.clock.wall_ms()
        if invite.used_ms is not None or invite.expires_ms <= now or invite.tries_left <= 0:
            return Refusal(Code.TOKEN_INVALID)
        if fits(token, invite.hash):
            return None
        invite = replace(invite, tries_left=invite.tries_left - 1)
        self._invites[invite.id] = invite
        await self._write([credentials.keep_invite(invite)])
        return Refusal(Code.TOKEN_INVALID)

    async def _register(
        self, request: wire.Enrol, received: Received, invite: Invite, change: administration.Change
    ) -> Reply:
        state, pbx, now = change.state, invite.pbx, self._writer.clock.wall_ms()
        agent, nonce = state.agents[pbx], self._writer.entropy(12).hex()
        body = msgspec.json.encode(
            wire.Enrolled(
                v=wire.VERSION,
                agent=pbx,
                installation=self._writer.name,
                epoch=agent.epoch,
                instance=state.instance,
                term=state.term,
                master_key=self._master_key,
                nonce=nonce,
                policy=self._answers.policy(pbx),
                roster=wire.Roster(state.roster_version, dict(state.roster)),
            )
        )
        signature = self._answers.sign(200, body, received.signature)
        kept = KeptAnswer(pbx, state.term, 0, received.hash, received.signature, 200, body, signature)
        self._invites[invite.id] = replace(invite, used_ms=now)
        statements = [
            credentials.keep_invite(self._invites[invite.id]),
            *self._answers.begin(pbx, agent.epoch, nonce, kept),
            *self._history.restart(pbx),
        ]
        await self._writer.commit(state, change.events, f"invite:{invite.id}", statements)
        return Reply(200, body, signature)

    async def _write(self, statements: list[Statement]) -> None:
        await self._writer.commit(self._writer.state, (), "master", statements)


def is_key(text: str) -> bool:
    """Is this an Ed25519 public key in base64?"""
    try:
        return len(base64.b64decode(text, validate=True)) == 32
    except (binascii.Error, ValueError):
        return False
