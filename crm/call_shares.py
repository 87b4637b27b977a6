"""Links to one call, for somebody without an account; each ends, and can be revoked.

A link's token is shown once; the database has its hash alone.
"""

import hashlib
import secrets
from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from crm.database import Database

DAYS_MAX = 30
SHARES_MAX = 20
TOKEN_CHARS_MAX = 64
_RANDOM_BYTES = 32
_COLUMNS = "id, business_id, call_sid, made_by, created_at, expires_at, with_sound"


class Share(msgspec.Struct, frozen=True, kw_only=True):
    """A link, without what opens it."""

    id: UUID
    business_id: UUID
    call_sid: str
    made_by: str
    created_at: datetime
    expires_at: datetime
    # Whether whoever has the link hears the call, where it is recorded.
    with_sound: bool


async def make(
    db: Database,
    business_id: UUID,
    call_sid: str,
    made_by: str,
    days: int,
    *,
    with_sound: bool = False,
) -> str | None:
    """Make a link to a call and return its token; None if the call has too many."""
    assert 1 <= days <= DAYS_MAX, days
    token = secrets.token_urlsafe(_RANDOM_BYTES)
    async with db.tenant(business_id) as connection:
        await connection.execute(
            "delete from call_shares where business_id = $1 and expires_at <= now()",
            business_id,
        )
        done = await connection.execute(
            "insert into call_shares "
            "(business_id, call_sid, token_hash, made_by, expires_at, with_sound) "
            "select $1, $2, $3, $4, now() + $5::interval, $7 where (select count(*) "
            "from call_shares where business_id = $1 and call_sid = $2) < $6",
            business_id,
            call_sid,
            _hash(token),
            made_by,
            timedelta(days=days),
            SHARES_MAX,
            with_sound,
        )
    return token if done.endswith(" 1") else None


async def listed(db: Database, business_id: UUID, call_sid: str) -> list[Share]:
    """Return the links to a call that have not ended, oldest first."""
    async with db.tenant(business_id) as connection:
        rows = await connection.fetch(
            f"select {_COLUMNS} from call_shares where business_id = $1 "
            "and call_sid = $2 and expires_at > now() order by created_at, id",
            business_id,
            call_sid,
        )
    return [Share(**row) for row in rows]


async def revoke(db: Database, business_id: UUID, call_sid: str, id: UUID) -> bool:
    """End a link now; False if there is none."""
    async with db.tenant(business_id) as connection:
        done = await connection.execute(
            "delete from call_shares where business_id = $1 and call_sid = $2 "
            "and id = $3",
            business_id,
            call_sid,
            id,
        )
    return bool(done.endswith(" 1"))


async def find(db: Database, token: str) -> Share | None:
    """Return the link that a token opens; None if it has ended, or never was."""
    if len(token) > TOKEN_CHARS_MAX:
        return None
    async with db.account(key=_hash(token)) as connection:
        row = await connection.fetchrow(
            f"select {_COLUMNS} from call_shares where token_hash = $1 "
            "and expires_at > now()",
            _hash(token),
        )
    return None if row is None else Share(**row)


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()
