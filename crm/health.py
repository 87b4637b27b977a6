"""Health: how the processes did of late, what the checks said, today's usage.

The samples and the checks belong to nodes, not to businesses, and hold nothing of any
call. Today's usage of a business is read as that tenant.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Any
from uuid import UUID

import msgspec

from crm import admissions
from crm.admissions import Usage
from crm.database import Database

KEPT = timedelta(days=8)
# The upper bounds of a sample's `lag_counts`; the last count is of what is over all.
LAG_BOUNDS_MS = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0)
_COUNTS = range(1, len(LAG_BOUNDS_MS) + 2)
_SUMS = ", ".join(f"sum(lag_counts[{at}])::bigint" for at in _COUNTS)
LIMITS = ("limit_cost_per_day", "limit_minutes_per_day")

# What runs at once is added up over the processes in each minute; all else is added up
# over the span.
_SPANS = f"""
with recent as (select * from health_samples where at > now() - $2::interval),
minutes as (
  select date_trunc('minute', at) as minute, sum(calls) as calls from recent group by 1
),
at_once as (
  select date_trunc($1, minute) as begins_at, max(calls)::int as calls_max
  from minutes group by 1
),
sums as (
  select date_trunc($1, at) as begins_at, max(lag_ms_p99) as lag_ms_p99_max,
    sum(rx_frames)::bigint as rx_frames,
    sum(forwarded_frames)::bigint as forwarded_frames, array[{_SUMS}] as lag_counts
  from recent group by 1
)
select * from at_once join sums using (begins_at) order by begins_at desc"""


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """One process in one minute."""

    node: str
    worker: int
    calls: int
    # Of the worst ten seconds.
    lag_ms_p99: float
    rx_frames: int
    forwarded_frames: int
    lag_counts: tuple[int, ...] = ()


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """All processes in a minute, an hour or a day."""

    begins_at: datetime
    calls_max: int
    # Of the worst ten seconds.
    lag_ms_p99_max: float
    rx_frames: int
    forwarded_frames: int
    # None where only older versions wrote samples.
    lag_counts: tuple[int, ...] | None

    @property
    def gate_share(self) -> float | None:
        """The share of the callers' frames that the gate let through."""
        return self.forwarded_frames / self.rx_frames if self.rx_frames else None

    @property
    def lag_ms_p99(self) -> float | None:
        """By how much one look in a hundred at the loops was late, in all of the
        span."""
        return None if self.lag_counts is None else percentile_99(self.lag_counts)


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
            "with old as (delete from health_samples where at < now() - $8::interval) "
            "insert into health_samples (node, worker, calls, lag_ms_p99, rx_frames, "
            "forwarded_frames, lag_counts) values ($1, $2, $3, $4, $5, $6, $7) "
            "on conflict do nothing",
            *msgspec.structs.astuple(sample),
            KEPT,
        )


async def spans(db: Database, length: str, since: timedelta) -> list[Span]:
    """Return the spans since then, newest first; `length` is minute, hour or day."""
    assert length in ("minute", "hour", "day"), length
    async with db.routing() as connection:
        rows = await connection.fetch(_SPANS, length, since)
    return [_span(row) for row in rows]


def _span(row: Any) -> Span:
    counts = tuple(row["lag_counts"])
    is_known = None not in counts
    return Span(**{**dict(row), "lag_counts": counts if is_known else None})


def days_of(hours: Sequence[Span]) -> list[Span]:
    """Return the days of UTC that these hours make, in the hours' order."""
    return [_joined([*some]) for _, some in groupby(hours, _day_of)]


def _day_of(span: Span) -> datetime:
    at = span.begins_at.astimezone(UTC)
    return at.replace(hour=0, minute=0, second=0, microsecond=0)


def _joined(spans: Sequence[Span]) -> Span:
    counts = [one.lag_counts for one in spans if one.lag_counts is not None]
    return Span(
        begins_at=_day_of(spans[0]),
        calls_max=max(one.calls_max for one in spans),
        lag_ms_p99_max=max(one.lag_ms_p99_max for one in spans),
        rx_frames=sum(one.rx_frames for one in spans),
        forwarded_frames=sum(one.forwarded_frames for one in spans),
        lag_counts=tuple(map(sum, zip(*counts, strict=True))) if counts else None,
    )


def lag_ms_p99_of(spans: Sequence[Span]) -> float | None:
    """Return by how much one look in a hundred was late, in all of these spans."""
    return _joined(spans).lag_ms_p99 if spans else None


def percentile_99(counts: Sequence[int]) -> float | None:
    """Return what one look in a hundred exceeds, in ms; None without a look.

    Within its bounds it is interpolated; over the last bound it is that bound.
    """
    rank, seen = sum(counts) * 0.99, 0
    if not rank:
        return None
    low = 0.0
    for count, high in zip(counts, LAG_BOUNDS_MS, strict=False):
        if seen + count >= rank:
            return low + (high - low) * (rank - seen) / count
        seen, low = seen + count, high
    return LAG_BOUNDS_MS[-1]


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
