"""Deletes a whole business: every row of its own, and no other business's row."""

import asyncio
from pathlib import Path
from typing import Any
from uuid import UUID

from crm.database import Database
from crm.deadlocks import despite_deadlocks
from crm.tables import Table, tables


async def count(db: Database, business_id: UUID) -> dict[str, int]:
    """Return how many rows a business has in each table; omit tables with none."""
    async with db.owner() as connection:
        found = await _own_tables(connection, business_id)
        return {
            one.name: rows
            for one in found
            if (rows := await _count(connection, one, business_id))
        }


@despite_deadlocks
async def delete(db: Database, business_id: UUID) -> dict[str, int]:
    """Delete a business in one transaction; return the deleted rows by table.

    Its calls lock what they change, and then need the business; this goes the other way
    round.
    """
    gone = {}
    async with db.owner() as connection:
        found = await _own_tables(connection, business_id)
        # A concurrent write for the business waits, and is refused afterwards.
        await connection.execute(
            "select from businesses where id = $1 for update", business_id
        )
        for one in reversed(found):
            done = await connection.execute(
                f"delete from {one.name} where {one.tenant_column} = $1", business_id
            )
            if rows := int(done.split()[-1]):
                gone[one.name] = rows
    return gone


async def recordings(db: Database, business_id: UUID, folder: Path) -> list[Path]:
    """Return the flight recordings of a business's calls."""
    async with db.tenant(business_id) as connection:
        rows = await connection.fetch(
            "select call_sid from calls where business_id = $1", business_id
        )
    call_sids = {row["call_sid"] for row in rows}
    return await asyncio.to_thread(_recordings, folder, call_sids)


def _recordings(folder: Path, call_sids: set[str]) -> list[Path]:
    """Return the files of calls; one of several processes has CA0123.2.zip, too."""
    files = folder.glob("*.zip")
    return [path for path in files if path.name.split(".")[0] in call_sids]


async def _own_tables(connection: Any, business_id: UUID) -> list[Table]:
    """Return the tables with rows of businesses, and set the business as the tenant."""
    await connection.fetchval(
        "select set_config('app.business_id', $1, true)", str(business_id)
    )
    return [one for one in await tables(connection) if one.tenant_column is not None]


async def _count(connection: Any, table: Table, business_id: UUID) -> int:
    rows: int = await connection.fetchval(
        f"select count(*) from {table.name} where {table.tenant_column} = $1",
        business_id,
    )
    return rows
