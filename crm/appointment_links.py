"""Links to one appointment, for the calendar of the person whose it is.

Whoever has a link sees when the appointment is, for what and with whom, and nothing of
the person. A link is good as long as its appointment is in the database.
"""

import hashlib
import secrets
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from crm.database import Database

_RANDOM_BYTES = 24
TOKEN_CHARS_MAX = 64


class Linked(msgspec.Struct, frozen=True, kw_only=True):
    """An appointment as its link shows it; `person` is "" where there is no choice."""

    id: UUID
    business: str
    service: str
    person: str
    starts_at: datetime
    ends_at: datetime
    created_at: datetime
    is_booked: bool


async def of_author(connection: Any, business_id: UUID, who: str) -> list[UUID]:
    """Return what was booked by a message, and is booked still, in a transaction."""
    rows = await connection.fetch(
        "select id from appointments where business_id = $1 and status = 'booked' "
        "and made_source = 'message' and made_by = $2 order by starts_at",
        business_id,
        who,
    )
    return [row["id"] for row in rows]


async def make(connection: Any, business_id: UUID, appointment_id: UUID) -> str:
    """Return the token of a new link to an appointment, in a transaction."""
    token = secrets.token_urlsafe(_RANDOM_BYTES)
    await connection.execute(
        "insert into appointment_links (business_id, token_hash, appointment_id) "
        "values ($1, $2, $3)",
        business_id,
        _hash(token),
        appointment_id,
    )
    return token


async def find(db: Database, token: str) -> Linked | None:
    """Return the appointment of a link; None if the token opens none."""
    if len(token) > TOKEN_CHARS_MAX or not token.isascii():
        return None
    async with db.account(_hash(token)) as connection:
        found = await connection.fetchrow(
            "select business_id, appointment_id from appointment_links "
            "where token_hash = $1",
            _hash(token),
        )
    if found is None:
        return None
    async with db.tenant(found["business_id"]) as connection:
        row = await connection.fetchrow(
            "select a.id, b.name as business, coalesce(s.name, '') as service, "
            "case when (select count(*) from resources where business_id = $1 "
            "and is_active) > 1 then coalesce(r.name, '') else '' end as person, "
            "a.starts_at, a.ends_at, a.created_at, a.status = 'booked' as is_booked "
            "from appointments a join businesses b on b.id = a.business_id "
            "left join services s on s.business_id = a.business_id "
            "and s.id = a.service_id "
            "left join resources r on r.business_id = a.business_id "
            "and r.number = a.resource "
            "where a.business_id = $1 and a.id = $2",
            found["business_id"],
            found["appointment_id"],
        )
    return None if row is None else Linked(**dict(row))


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
