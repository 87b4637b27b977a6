"""The audit log of a business: who saw or changed what in the console.

`subject` is an id. No name, number or word of a caller stands in this log: it outlives
their data.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from crm.database import Database


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One act of one user."""

    id: UUID
    at: datetime
    user_id: UUID | None
    user_name: str
    action: str
    subject: str
    details: dict[str, Any]


class Place(msgspec.Struct, frozen=True):
    """Where a page of a list ends: the next page begins after it."""

    at: datetime
    id: UUID


async def write(
    db: Database,
    business_id: UUID,
    user_id: UUID | None,
    user_name: str,
    action: str,
    subject: str = "",
    details: dict[str, Any] | None = None,
) -> None:
    """Write down an act in a business."""
    async with db.tenant(business_id) as connection:
        await connection.execute(
            "insert into audit_log "
            "(business_id, user_id, user_name, action, subject, details) "
            "values ($1, $2, $3, $4, $5, $6)",
            business_id,
            user_id,
            user_name,
            action,
            subject,
            details or {},
        )


async def recent(
    db: Database, business_id: UUID, limit: int = 50, before: Place | None = None
) -> list[Entry]:
    """Return the newest acts first, or those before a place of the list."""
    async with db.tenant(business_id) as connection:
        rows = await connection.fetch(
            "select id, at, user_id, user_name, action, subject, details "
            "from audit_log where business_id = $1 "
            "and ($3::timestamptz is null or (at, id) < ($3, $4)) "
            "order by at desc, id desc limit $2",
            business_id,
            limit,
            *((before.at, before.id) if before else (None, None)),
        )
    return [Entry(**dict(row)) for row in rows]
