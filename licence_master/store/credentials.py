"""Invites and admin tokens as they are kept: never the secret, only its SHA-256.

A secret is 160 random bits, so a slow hash would add nothing.
"""

from dataclasses import dataclass

from runtime.store import Database, Statement


@dataclass(frozen=True, slots=True)
class Invite:
    """One permission to enrol one PBX once; times are UTC milliseconds."""

    id: str
    hash: bytes
    pbx: str
    expires_ms: int
    tries_left: int
    used_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Token:
    """One administrator's token; `role` is admin, operator, auditor or site:NAME."""

    id: str
    hash: bytes
    role: str
    label: str
    created_ms: int
    expires_ms: int
    revoked_ms: int | None = None


_KEEP_INVITE = (
    "INSERT OR REPLACE INTO invite (id, hash, pbx, expires_ms, tries_left, used_ms) VALUES (?, ?, ?, ?, ?, ?)"
)
_DROP_INVITE = "DELETE FROM invite WHERE id = ?"
_KEEP_ADMIN = (
    "INSERT OR REPLACE INTO token (id, hash, role, label, created_ms, expires_ms, revoked_ms)"
    " VALUES (?, ?, ?, ?, ?, ?, ?)"
)


def keep_invite(invite: Invite) -> Statement:
    """Write an invite, or its next state."""
    row = (invite.id, invite.hash, invite.pbx, invite.expires_ms, invite.tries_left, invite.used_ms)
    return (_KEEP_INVITE, [row])


def drop_invites(ids: list[str]) -> Statement:
    """Forget invites that are over."""
    return (_DROP_INVITE, [(id_,) for id_ in ids])


def keep_token(token: Token) -> Statement:
    """Write a token, or its next state."""
    row = (
        token.id,
        token.hash,
        token.role,
        token.label,
        token.created_ms,
        token.expires_ms,
        token.revoked_ms,
    )
    return (_KEEP_ADMIN, [row])


async def invites(database: Database) -> dict[str, Invite]:
    """Every invite by its id."""
    sql = "SELECT id, hash, pbx, expires_ms, tries_left, used_ms FROM invite"
    return {row[0]: Invite(*row) for row in await database.execute_fetchall(sql)}


async def tokens(database: Database) -> dict[str, Token]:
    """Every token by its id."""
    sql = "SELECT id, hash, role, label, created_ms, expires_ms, revoked_ms FROM token"
    return {row[0]: Token(*row) for row in await database.execute_fetchall(sql)}
