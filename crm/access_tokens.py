"""Tokens of programs: of the HTTP API, and of the calendars they subscribe to.

A token is shown once, when it is made; the database has its hash alone. A token leads
to its business, and to no other.
"""

import hashlib
import secrets
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from crm.database import Database

API, FEED = "api", "feed"
READ, WRITE = SCOPES = ("read", "write")
TOKENS_MAX = 50
# What a token looks like: anything else is refused without a query.
PREFIXES = {API: "kolbridge_", FEED: ""}
_RANDOM_BYTES = 32
TOKEN_CHARS_MAX = 64
# How exactly `last_used_at` is kept.
_USE_NOTED = timedelta(minutes=1)
# How long an answer is repeated to the same Idempotency-Key.
ANSWER_KEPT = timedelta(hours=24)

_COLUMNS = "id, business_id, kind, name, scopes, resource, created_at, last_used_at"


class TooManyTokens(Exception):
    """The business has as many tokens as one business may have."""

    def __init__(self) -> None:
        super().__init__(f"{TOKENS_MAX} tokens")


class Token(msgspec.Struct, frozen=True, kw_only=True):
    """A token, without what opens it."""

    id: UUID
    business_id: UUID
    kind: str
    name: str
    scopes: tuple[str, ...]
    resource: int | None
    created_at: datetime
    last_used_at: datetime | None


class Made(NamedTuple):
    """A new token, and its secret, which is shown this once."""

    token: Token
    secret: str


class Answer(NamedTuple):
    """What was answered before; `status` is None where the first request still runs, or
    has ended without an answer."""

    status: int | None
    body: bytes


class OtherRequest(Exception):
    """The key came with another request before."""


async def make(
    db: Database,
    business_id: UUID,
    kind: str,
    name: str,
    scopes: tuple[str, ...] = (),
    resource: int | None = None,
) -> Made:
    """Make a token; raises TooManyTokens."""
    assert kind in (API, FEED) and set(scopes) <= set(SCOPES), (kind, scopes)
    secret = PREFIXES[kind] + secrets.token_urlsafe(_RANDOM_BYTES)
    async with db.tenant(business_id) as connection:
        await connection.execute(
            "select pg_advisory_xact_lock(hashtextextended('tokens:' || $1, 0))",
            str(business_id),
        )
        count = await connection.fetchval(
            "select count(*) from access_tokens where business_id = $1", business_id
        )
        if count >= TOKENS_MAX:
            raise TooManyTokens
        row = await connection.fetchrow(
            "insert into access_tokens (business_id, kind, token_hash, name, scopes, "
            f"resource) values ($1, $2, $3, $4, $5, $6) returning {_COLUMNS}",
            business_id,
            kind,
            _hash(secret),
            name,
            list(scopes),
            resource,
        )
    return Made(_token(row), secret)


async def listed(db: Database, business_id: UUID) -> list[Token]:
    """Return a business's tokens, oldest first."""
    async with db.tenant(business_id) as connection:
        rows = await connection.fetch(
            f"select {_COLUMNS} from access_tokens where business_id = $1 "
            "order by created_at, id",
            business_id,
        )
    return [_token(row) for row in rows]


async def revoke(db: Database, business_id: UUID, token_id: UUID) -> bool:
    """Revoke a token: it opens nothing from now on; False if there is none."""
    async with db.tenant(business_id) as connection:
        done = await connection.execute(
            "delete from access_tokens where business_id = $1 and id = $2",
            business_id,
            token_id,
        )
    return bool(done.endswith(" 1"))


async def find(db: Database, kind: str, secret: str) -> Token | None:
    """Return the token that a secret opens, and note that it was used."""
    prefix = PREFIXES[kind]
    if len(secret) > TOKEN_CHARS_MAX or not secret.startswith(prefix):
        return None
    async with db.account(key=_hash(secret)) as connection:
        row = await connection.fetchrow(
            f"select {_COLUMNS} from access_tokens where token_hash = $1 and kind = $2",
            _hash(secret),
            kind,
        )
    if row is None:
        return None
    token = _token(row)
    async with db.tenant(token.business_id) as connection:
        await connection.execute(
            "update access_tokens set last_used_at = now() where business_id = $1 "
            "and id = $2 and (last_used_at is null "
            "or last_used_at < now() - $3::interval)",
            token.business_id,
            token.id,
            _USE_NOTED,
        )
    return token


# --- Idempotency-Key ---


async def begin(
    db: Database, token: Token, key: str, request_hash: str
) -> Answer | None:
    """Return what was answered to a key before, or None: the request is to be done.

    Raises OtherRequest if the key came with another request. A request that gets None
    is ended by `finish`, or by `forget` if it did nothing. One that ended by neither
    may have done what it was to do, and is not done again.
    """
    async with db.tenant(token.business_id) as connection:
        await connection.execute(
            "delete from idempotent_answers where business_id = $1 "
            "and created_at < now() - $2::interval",
            token.business_id,
            ANSWER_KEPT,
        )
        is_new = await connection.fetchval(
            "insert into idempotent_answers (business_id, token_id, key, request_hash) "
            "values ($1, $2, $3, $4) on conflict do nothing returning true",
            token.business_id,
            token.id,
            key,
            request_hash,
        )
        if is_new:
            return None
        row = await connection.fetchrow(
            "select request_hash, status, body from idempotent_answers "
            "where business_id = $1 and token_id = $2 and key = $3",
            token.business_id,
            token.id,
            key,
        )
    if row["request_hash"] != request_hash:
        raise OtherRequest
    return Answer(row["status"], row["body"])


async def finish(
    db: Database, token: Token, key: str, status: int, body: bytes
) -> None:
    """Keep an answer for the same key."""
    async with db.tenant(token.business_id) as connection:
        await connection.execute(
            "update idempotent_answers set status = $4, body = $5 "
            "where business_id = $1 and token_id = $2 and key = $3",
            token.business_id,
            token.id,
            key,
            status,
            body,
        )


async def forget(db: Database, token: Token, key: str) -> None:
    """Forget a request that failed: the same key may try again."""
    async with db.tenant(token.business_id) as connection:
        await connection.execute(
            "delete from idempotent_answers "
            "where business_id = $1 and token_id = $2 and key = $3",
            token.business_id,
            token.id,
            key,
        )


async def forget_answers(connection: Any, business_id: UUID) -> None:
    """Forget all answers of a business in a transaction: they may name a person."""
    await connection.execute(
        "delete from idempotent_answers where business_id = $1", business_id
    )


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()


def _token(row: Any) -> Token:
    return Token(**{**dict(row), "scopes": tuple(row["scopes"])})
