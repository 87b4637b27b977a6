"""Calls: what is written when a call has ended."""

import hashlib
from collections.abc import Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

import msgspec

from crm import admissions, leads, live_calls
from crm.call_search import WORDS_CHARS_MAX
from crm.database import Database

# Why a call has ended whose process died in it.
PROCESS_LOST = "process_lost"
# The same, and no process could read how far the call had come.
CHECKPOINT_UNREADABLE = "checkpoint_unreadable"


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """One side's words; `at_s` counts from the start of the call."""

    role: str
    item_id: str
    text: str
    interrupted: bool
    heard_ms: int | None
    at_s: float


class ToolCall(msgspec.Struct, frozen=True, kw_only=True):
    """A tool that the model called, with arguments and result as they were sent."""

    tool_call_id: str
    name: str
    arguments: str
    result: str
    ok: bool
    duration_ms: float
    at_s: float


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """A finished call."""

    call_sid: str
    stream_sid: str
    from_number: str
    to_number: str
    model: str
    # The text that all calls share, stored once by its hash, and this call's own facts.
    prompt: str
    prompt_facts: str
    started_at: datetime
    answered_at: datetime | None
    ended_at: datetime
    end_reason: str
    failed: bool
    outcome: str
    missing_fields: Sequence[str]
    rx_frames: int
    tx_frames: int
    forwarded_frames: int
    dropped_frames: int
    silence_frames: int
    barge_ins: int
    greeting_ms: float | None
    answer_ms: Sequence[float]
    barge_in_ms: Sequence[float]
    usage: dict[str, float]
    cost: float | None
    turns: Sequence[Turn]
    tools: Sequence[ToolCall]
    # How far the number was proven; only a verified number leads to a lead.
    caller_worth: str = "verified"
    # Placed from the console, not by a caller.
    is_test: bool = False
    # The generation in which its writer owned the call; 0 if no owner was written.
    generation: int = 0


_PLAIN = (
    "call_sid",
    "stream_sid",
    "from_number",
    "to_number",
    "model",
    "prompt_facts",
    "started_at",
    "answered_at",
    "ended_at",
    "end_reason",
    "failed",
    "outcome",
    "missing_fields",
    "rx_frames",
    "tx_frames",
    "forwarded_frames",
    "dropped_frames",
    "silence_frames",
    "barge_ins",
    "greeting_ms",
    "answer_ms",
    "barge_in_ms",
    "usage",
    "cost",
    "caller_worth",
    "is_test",
)
_TURN = ("role", "item_id", "text", "interrupted", "heard_ms", "at_s")
_TOOL = ("tool_call_id", "name", "arguments", "result", "ok", "duration_ms", "at_s")


async def save(
    db: Database, business_id: UUID, call: Call, *, lead_due: str | None = None
) -> bool:
    """Write a call with its turns and tools; False if it was written before.

    False, too, and nothing is written, if another generation owns the call, or its
    caller has been erased.

    `lead_due` is the number of a lead for whom this call was not counted when it came.
    """
    sha256 = hashlib.sha256(call.prompt.encode()).hexdigest()
    lead_phone = call.from_number if call.caller_worth == "verified" else ""
    async with db.tenant(business_id) as connection:
        if lead_due is not None:
            await leads.held_as(connection, business_id, lead_due)
        lead_phone = await leads.known_as(connection, business_id, lead_phone)
        owned = business_id, call.call_sid, call.generation or None
        nodes = await live_calls.nodes_of(connection, *owned)
        if not await live_calls.close(connection, *owned):
            return False
        # From here on an erasure of the lead waits for the record, or has ended.
        lead_id = await connection.fetchval(
            "select id from leads where business_id = $1 and id = coalesce((select id "
            "from leads where business_id = $1 and phone = $2), (select lead_id "
            "from claims where business_id = $1 and call_sid = $3)) for key share",
            business_id,
            lead_phone,
            call.call_sid,
        )
        if await connection.fetchval(
            "select exists (select from erased_calls where business_id = $1 "
            "and call_sid = $2)",
            business_id,
            call.call_sid,
        ):
            return False
        if call.end_reason == PROCESS_LOST and await _replaced(
            connection, business_id, call.call_sid
        ):
            reason, lead_due = CHECKPOINT_UNREADABLE, None
            call = msgspec.structs.replace(call, end_reason=reason)
        await connection.execute(
            "insert into prompts (business_id, sha256, text) values ($1, $2, $3) "
            "on conflict do nothing",
            business_id,
            sha256,
            call.prompt,
        )
        columns = ", ".join((*_PLAIN, "nodes"))
        places = ", ".join(f"${at}" for at in range(4, 5 + len(_PLAIN)))
        is_new = await connection.fetchval(
            f"insert into calls (business_id, prompt_sha256, lead_id, {columns}) "
            f"values ($1, $2, $3, {places}) "
            "on conflict (business_id, call_sid) do nothing returning true",
            business_id,
            sha256,
            lead_id,
            *(_plain(getattr(call, name)) for name in _PLAIN),
            nodes,
        )
        if not is_new:
            return False
        await connection.execute(
            "update leads set last_call_at = greatest(last_call_at, $3) "
            "where business_id = $1 and phone = $2",
            business_id,
            lead_phone,
            call.started_at,
        )
        await connection.execute(
            "update leads set calls = calls + 1, "
            "last_call_at = greatest(last_call_at, $3) from claims c "
            "where c.business_id = $1 and c.call_sid = $2 and c.proven_at is null "
            "and leads.business_id = $1 and leads.id = c.lead_id",
            business_id,
            call.call_sid,
            call.started_at,
        )
        if lead_due is not None:
            await _touch_late(connection, business_id, call, lead_due)
        await _save_parts(connection, business_id, call)
        await admissions.close(
            connection, business_id, call.call_sid, call.ended_at, call.cost
        )
    return True


async def _replaced(connection: Any, business_id: UUID, call_sid: str) -> bool:
    """Remove the record of a call whose checkpoint nobody could read: the journal of
    its own process knows more."""
    is_gone: bool = await connection.fetchval(
        "with gone as (delete from calls where business_id = $1 and call_sid = $2 "
        "and end_reason = $3 returning true) select exists (select from gone)",
        business_id,
        call_sid,
        CHECKPOINT_UNREADABLE,
    )
    return is_gone


async def _touch_late(
    connection: Any, business_id: UUID, call: Call, phone: str
) -> None:
    """Count a call for its lead, which is created if new."""
    phone = await leads.known_as(connection, business_id, phone)
    lead_id = await connection.fetchval(
        "insert into leads as l (business_id, phone, calls, last_call_at) "
        "values ($1, $2, 1, $3) on conflict (business_id, phone) do update set "
        "calls = l.calls + 1, last_call_at = greatest(l.last_call_at, $3) returning id",
        business_id,
        phone,
        call.started_at,
    )
    await connection.execute(
        "update calls set lead_id = $3 where business_id = $1 and call_sid = $2",
        business_id,
        call.call_sid,
        lead_id,
    )


async def _save_parts(connection: Any, business_id: UUID, call: Call) -> None:
    await connection.execute(
        "insert into call_words (business_id, call_sid, words) "
        "values ($1, $2, strip(to_tsvector('simple', $3)))",
        business_id,
        call.call_sid,
        " ".join(turn.text for turn in call.turns)[:WORDS_CHARS_MAX],
    )
    await connection.executemany(
        "insert into call_turns (business_id, call_sid, position, "
        f"{', '.join(_TURN)}) values ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        [
            (business_id, call.call_sid, at, *(getattr(turn, name) for name in _TURN))
            for at, turn in enumerate(call.turns)
        ],
    )
    await connection.executemany(
        f"insert into tool_calls (business_id, call_sid, {', '.join(_TOOL)}) "
        "values ($1, $2, $3, $4, $5, $6, $7, $8, $9) on conflict do nothing",
        [
            (business_id, call.call_sid, *(getattr(tool, name) for name in _TOOL))
            for tool in call.tools
        ],
    )


async def recent(db: Database, business_id: UUID, limit: int = 20) -> list[Any]:
    """Return the newest calls, newest first."""
    async with db.tenant(business_id) as connection:
        rows: list[Any] = await connection.fetch(
            "select * from calls where business_id = $1 "
            "order by started_at desc limit $2",
            business_id,
            limit,
        )
    return rows


async def summary(db: Database, business_id: UUID, first: date, last: date) -> Any:
    """Return the totals of the calls from the first to the last day, both included; the
    days begin at midnight of the business.

    Minutes are those of the stream. A caller who was rejected before the call was
    opened has no call: only the metrics count such callers.
    """
    async with db.tenant(business_id) as connection:
        return await connection.fetchrow(
            "select count(*) as calls, "
            "coalesce(sum(extract(epoch from ended_at - answered_at)), 0)::float8 / 60 "
            "as minutes, "
            "count(*) filter (where failed) as failures, "
            "count(*) filter (where failed or end_reason in "
            "('stream_failed', 'stream_error')) as fallbacks, "
            "coalesce(sum(cost), 0)::float8 as cost, "
            "count(*) filter (where cost is null) as uncosted "
            "from calls where business_id = $1 and started_at >= $2::date::timestamp "
            "at time zone (select time_zone from businesses where id = $1) "
            "and started_at < ($3::date + 1)::timestamp "
            "at time zone (select time_zone from businesses where id = $1)",
            business_id,
            first,
            last,
        )


async def find(db: Database, business_id: UUID, call_sid: str) -> Any | None:
    """Return one call, with the text of its prompt."""
    async with db.tenant(business_id) as connection:
        return await connection.fetchrow(
            "select calls.*, prompts.text as prompt from calls join prompts on "
            "prompts.business_id = calls.business_id and sha256 = prompt_sha256 "
            "where calls.business_id = $1 and call_sid = $2",
            business_id,
            call_sid,
        )


async def tools(db: Database, business_id: UUID, call_sid: str) -> list[ToolCall]:
    """Return the tools of a call in order."""
    query = (
        f"select {', '.join(_TOOL)} from tool_calls where business_id = $1 "
        "and call_sid = $2 order by at_s"
    )
    return [ToolCall(**row) for row in await _parts(db, query, business_id, call_sid)]


async def turns(db: Database, business_id: UUID, call_sid: str) -> list[Turn]:
    """Return a call's transcript in order."""
    query = (
        f"select {', '.join(_TURN)} from call_turns where business_id = $1 "
        "and call_sid = $2 order by position"
    )
    return [Turn(**row) for row in await _parts(db, query, business_id, call_sid)]


def in_order(
    turns: Sequence[Turn], tools: Sequence[ToolCall]
) -> list[tuple[Turn | None, ToolCall | None]]:
    """Return turns in the conversation's order, each tool after the last turn before
    it."""
    found: list[tuple[Turn | None, ToolCall | None]] = []
    waiting = list(tools)
    for turn in turns:
        while waiting and waiting[0].at_s < turn.at_s:
            found.append((None, waiting.pop(0)))
        found.append((turn, None))
    return found + [(None, tool) for tool in waiting]


async def _parts(
    db: Database, query: str, business_id: UUID, call_sid: str
) -> list[dict[str, Any]]:
    async with db.tenant(business_id) as connection:
        rows = await connection.fetch(query, business_id, call_sid)
    return [dict(row) for row in rows]


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
