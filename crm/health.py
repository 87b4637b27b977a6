"""Health: how the processes did of late, what the checks said, today's usage.

The samples and the checks belong to nodes, not to businesses, and hold nothing of any
call. Today's usage of a business is read as that tenant.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec

from crm import admissions
from crm.admissions import Usage
from crm.database import Database

KEPT = timedelta(days=8)
LIMITS = ("limit_cost_per_day", "limit_minutes_per_day")


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """One process in one minute."""

    node: str
    worker: int
    calls: int
    lag_ms_p99: float
    rx_frames: int
    forwarded_frames: int


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """All processes in an hour or a day; figures are None without a sample."""

    begins_at: datetime
    calls_max: int
    lag_ms_p99_max: float
    # The share of the callers' frames that the gate let through.
    gate_share: float | None


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """A line of `kolbridge doctor` on a node; `mark` is ok, warning or fault."""

    node: str
    mark: str
    name: str
    text: str
    checked_at: datetime


class Day(msgspec.Struct, frozen=True, kw_only=True):
    """What a business used today, and the limits that it sets itself."""

    usage: Usage
    own_limits: dict[str, Any]


async def add_sample(db: Database, sample: Sample) -> None:
    """Write a sample, and forget those that are older than KEPT."""
    async with db.routing() as connection:
        await connection.execute(
            "with old as (delete from health_samples where at < now() - $7::interval) "
            "insert into health_samples (node, worker, calls, lag_ms_p99, rx_frames, "
            "forwarded_frames) values ($1, $2, $3, $4, $5, $6) on conflict do nothing",
            *msgspec.structs.astuple(sample),
            KEPT,
        )


async def spans(db: Database, length: str, since: timedelta) -> list[Span]:
    """Return the spans since then, newest first; `length` is minute, hour or day."""
    assert length in ("minute", "hour", "day"), length
    async with db.routing() as connection:
        rows = await connection.fetch(
            "select begins_at, max(calls)::int as calls_max, "
            "max(lag_ms_p99_max) as lag_ms_p99_max, "
            "(sum(forwarded)::float8 / nullif(sum(rx), 0)) as gate_share from ("
            "select date_trunc($1, at) as begins_at, "
            "date_trunc('minute', at) as minute, "
            "sum(calls) as calls, max(lag_ms_p99) as lag_ms_p99_max, "
            "sum(rx_frames) as rx, sum(forwarded_frames) as forwarded "
            "from health_samples where at > now() - $2::interval group by 1, 2) m "
            "group by begins_at order by begins_at desc",
            length,
            since,
        )
    return [Span(**dict(row)) for row in rows]


async def save_checks(
    db: Database, node: str, checks: Sequence[tuple[str, str, str]]
) -> None:
    """Replace what the checks said on a node: each is a mark, a name and a text."""
    async with db.routing() as connection:
        await connection.execute("delete from health_checks where node = $1", node)
        await connection.executemany(
            "insert into health_checks (node, position, mark, name, text, checked_at) "
            "values ($1, $2, $3, $4, $5, now())",
            [(node, at, *check) for at, check in enumerate(checks)],
        )
        # A node that is gone says nothing any more.
        await connection.execute(
            "delete from health_checks where checked_at < now() - $1::interval", KEPT
        )


async def checks(db: Database) -> list[Checked]:
    """Return what the checks said last, by node."""
    async with db.routing() as connection:
        rows = await connection.fetch(
            "select node, mark, name, text, checked_at from health_checks "
            "order by node, position"
        )
    return [Checked(**dict(row)) for row in rows]


async def day(db: Database, business_id: UUID, now: datetime) -> Day:
    """Return what a business used today, and its own limits."""
    async with db.tenant(business_id) as connection:
        usage = await admissions.usage(connection, business_id, now)
        rows = await connection.fetch(
            "select name, value from business_settings "
            "where business_id = $1 and name = any ($2)",
            business_id,
            list(LIMITS),
        )
    return Day(usage=usage, own_limits={row["name"]: row["value"] for row in rows})
