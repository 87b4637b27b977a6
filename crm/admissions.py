"""Admissions: the calls that were admitted for a business, counted for its limits.

A row is inserted at the webhook and closed with the call's record, so that all
processes of a service, and its next run, count the same. Times are arguments.
"""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from crm import notices
from crm.database import Database

# The counts go back a day, in any time zone; the records of calls go back further.
KEPT = timedelta(days=2)
# A running call is noted every ten seconds. A call that was not noted for this long is
# over: its process died, or the call came to nothing after it was admitted.
STALE = timedelta(seconds=30)
# A webhook is repeated within its 15 s, if the process that had it died.
YOUNG = timedelta(seconds=15)


class Usage(NamedTuple):
    """The usage of a business at a time; today is the business's own day."""

    # Running calls.
    running: int
    # Calls of this caller, or of all callers without a number, within an hour.
    by_caller: int
    # Of the calls admitted today; the cost is in the currency of the price table.
    seconds_today: float
    cost_today: float
    # Of the answers in writing that began today.
    written_cost_today: float = 0.0


class Admission(NamedTuple):
    """The answer for a call; `refused_by` is what `decide` returned."""

    usage: Usage
    is_repeated: bool
    refused_by: Any


_USAGE = """
with today as (
  select date_trunc('day', $2::timestamptz at time zone time_zone)
    at time zone time_zone as begins
  from businesses where id = $1
), counted as (
  select caller, admitted_at, cost,
    ended_at is null and coalesce(seen_at, admitted_at) > $2 - $4::interval
      as is_running,
    coalesce(ended_at, least($2, coalesce(seen_at, admitted_at) + $4)) as until,
    admitted_at >= (select begins from today) as is_today
  from admissions
  where business_id = $1 and (admitted_at >= least(
    (select begins from today), $2 - interval '1 hour') or ended_at is null)
)
select count(*) filter (where is_running) as running,
  count(*) filter (where caller = $3 and admitted_at > $2 - interval '1 hour')
    as by_caller,
  coalesce(sum(extract(epoch from greatest(until - admitted_at, interval '0')))
    filter (where is_today), 0)::float as seconds_today,
  coalesce(sum(cost) filter (where is_today), 0)::float as cost_today,
  (select coalesce(sum(cost), 0)::float from message_turns where business_id = $1
    and begun_at >= (select begins from today)) as written_cost_today
from counted"""
# When a call was admitted before, if it was, and whether it has a record.
_KNOWN = """
select a.admitted_at, a.ended_at, exists (
    select from calls where business_id = $1 and call_sid = $2) as is_recorded
from (select 1) one left join admissions a on a.business_id = $1 and a.call_sid = $2"""


async def admit(
    db: Database,
    business_id: UUID,
    call_sid: str,
    caller: str,
    now: datetime,
    *,
    decide: Callable[[Usage], Any],
) -> Admission:
    """Admit a call, unless `decide` returns what refuses it, given the usage.

    The calls of a business are decided one at a time, across all processes. A call that
    was admitted before, and has ended or runs in another process, is repeated.
    """
    async with db.tenant(business_id) as connection:
        await connection.execute(
            "select pg_advisory_xact_lock(hashtextextended('admissions:' || $1, 0))",
            str(business_id),
        )
        usage = await _usage(connection, business_id, caller, now)
        known = await connection.fetchrow(_KNOWN, business_id, call_sid)
        if known["is_recorded"] or known["admitted_at"] is not None:
            return Admission(usage, _is_over(known, now), None)
        refused_by = decide(usage)
        if refused_by is not None:
            name = getattr(refused_by, "value", refused_by)
            await notices.note_limit(connection, business_id, name)
        else:
            await connection.execute(
                "with old as (delete from admissions where business_id = $1 "
                "and admitted_at < $5) insert into admissions "
                "(business_id, call_sid, caller, admitted_at) values ($1, $2, $3, $4)",
                business_id,
                call_sid,
                caller,
                now,
                now - KEPT,
            )
    return Admission(usage, False, refused_by)


def _is_over(known: Mapping[str, Any], now: datetime) -> bool:
    if known["is_recorded"] or known["ended_at"] is not None:
        return True
    return bool(now - known["admitted_at"] > YOUNG)


async def see(
    db: Database,
    business_id: UUID,
    costs: Mapping[str, float | None],
    now: datetime,
) -> Usage:
    """Note that calls run, by id, with the cost of each so far; return the usage of all
    calls.

    An unknown cost is None.
    """
    async with db.tenant(business_id) as connection:
        await connection.execute(
            "update admissions a set seen_at = $4, cost = coalesce(v.cost, a.cost) "
            "from unnest($2::text[], $3::float8[]) as v (call_sid, cost) "
            "where a.business_id = $1 and a.call_sid = v.call_sid "
            "and a.ended_at is null",
            business_id,
            list(costs),
            list(costs.values()),
            now,
        )
        return await _usage(connection, business_id, "", now)


async def note_limit(db: Database, business_id: UUID, name: str) -> None:
    """Add a notice of a limit that ends running calls."""
    async with db.tenant(business_id) as connection:
        await notices.note_limit(connection, business_id, name)


async def close(
    connection: Any,
    business_id: UUID,
    call_sid: str,
    ended_at: datetime,
    cost: float | None,
) -> None:
    """Note a call's end, in the transaction that writes its record."""
    await connection.execute(
        "update admissions set ended_at = $3, cost = coalesce($4, cost) "
        "where business_id = $1 and call_sid = $2",
        business_id,
        call_sid,
        ended_at,
        cost,
    )


async def usage(connection: Any, business_id: UUID, now: datetime) -> Usage:
    """Return the usage of a business, in a transaction."""
    return await _usage(connection, business_id, "", now)


async def _usage(
    connection: Any,
    business_id: UUID,
    caller: str,
    now: datetime,
) -> Usage:
    row = await connection.fetchrow(_USAGE, business_id, now, caller, STALE)
    return Usage(**dict(row))
