"""The sessions that are still open, of the pages that stay open: asked at once."""

from collections.abc import Iterable
from typing import NamedTuple
from uuid import UUID

from crm.accounts import hash_token
from crm.database import Database


class Who(NamedTuple):
    """Who is logged in, and as what."""

    user_id: UUID
    role: str
    business_id: UUID | None


async def look(db: Database, tokens: Iterable[str]) -> dict[str, Who]:
    """Return who is logged in by each token that opens a session."""
    by_hash = {hash_token(token): token for token in tokens}
    async with db.routing() as connection:
        rows = await connection.fetch(
            "select * from app.open_sessions($1)", list(by_hash)
        )
    return {
        by_hash[row["token_hash"]]: Who(row["user_id"], row["role"], row["business_id"])
        for row in rows
    }
