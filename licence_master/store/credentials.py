"""Invites, admin tokens and people as they are kept: never the secret, only its hash.

A secret of ours is 160 random bits: SHA-256 is enough, a slow hash would add nothing. A password is chosen by
a person: its hash is slow (service/passwords.py).
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
    used_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who may sign in; `password` is an argon2id hash with its parameters (PHC text)."""

    name: str
    role: str
    password: str
    created_ms: int
    changed_ms: int
    seen_ms: int | None = None


_KEEP_INVITE = (
    "INSERT OR REPLACE INTO invite (id, hash, pbx, expires_ms, tries_left, used_ms) VALUES (?, ?, ?, ?, ?, ?)"
)
_DROP_INVITE = "DELETE FROM invite WHERE id = ?"
_KEEP_ADMIN = (
    "INSERT OR REPLACE INTO token (id, hash, role, label, created_ms, expires_ms, revoked_ms, used_ms)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
)
_KEEP_PERSON = (
    "INSERT OR REPLACE INTO person (name, role, password, created_ms, changed_ms, seen_ms)"
    " VALUES (?, ?, ?, ?, ?, ?)"
)
_DROP_PERSON = "DELETE FROM person WHERE name = ?"


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
        token.used_ms,
    )
    return (_KEEP_ADMIN, [row])


def keep_person(person: Person) -> Statement:
    """Write a person, or their next state."""
    p = person
    return (_KEEP_PERSON, [(p.name, p.role, p.password, p.created_ms, p.changed_ms, p.seen_ms)])


def drop_person(name: str) -> Statement:
    """Forget a person."""
    return (_DROP_PERSON, [(name,)])


async def invites(database: Database) -> dict[str, Invite]:
    """Every invite by its id."""
    sql = "SELECT id, hash, pbx, expires_ms, tries_left, used_ms FROM invite"
    return {row[0]: Invite(*row) for row in await database.execute_fetchall(sql)}


async def tokens(database: Database) -> dict[str, Token]:
    """Every token by its id."""
    sql = "SELECT id, hash, role, label, created_ms, expires_ms, revoked_ms, used_ms FROM token"
    return {row[0]: Token(*row) for row in await database.execute_fetchall(sql)}


async def people(database: Database) -> dict[str, Person]:
    """Everybody who may sign in, by name."""
    sql = "SELECT name, role, password, created_ms, changed_ms, seen_ms FROM person"
    return {row[0]: Person(*row) for row in await database.execute_fetchall(sql)}
