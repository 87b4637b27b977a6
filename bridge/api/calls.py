"""Calls: a list, and one with its transcript and tools."""

from typing import Annotated

import msgspec

from bridge.api.cursors import LIMIT_DEFAULT, Page, page, read
from bridge.api.problems import not_found
from bridge.api.routes import Asked, Route
from crm import calls, pages
from crm.calls import ToolCall, Turn
from crm.pages import ROWS_MAX, CallRow

Limit = Annotated[int, msgspec.Meta(ge=1, le=ROWS_MAX)]


class CallsQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which calls: only failed ones, or only others."""

    limit: Limit = LIMIT_DEFAULT
    cursor: str | None = None
    failed: bool | None = None


class Call(CallRow, frozen=True, kw_only=True):
    """A call with its transcript and its tools, in order."""

    turns: list[Turn]
    tools: list[ToolCall]


async def every(asked: Asked) -> Page[CallRow]:
    query: CallsQuery = asked.query
    rows = await pages.calls(
        asked.database,
        asked.business.id,
        query.limit + 1,
        before=read(query.cursor, is_uuid=False),
        failed=query.failed,
    )
    return page(rows, query.limit, "started_at", "call_sid")


async def one(asked: Asked) -> Call:
    database, business_id = asked.database, asked.business.id
    call_sid = asked.path["call_sid"]
    row = None
    if call_sid.isalnum():
        row = await pages.call(database, business_id, call_sid)
    if row is None:
        raise not_found("call")
    return Call(
        **msgspec.structs.asdict(row),
        turns=await calls.turns(database, business_id, call_sid),
        tools=await calls.tools(database, business_id, call_sid),
    )


ROUTES = (
    Route(
        "GET", "/calls", "List calls, newest first", every, Page[CallRow], CallsQuery
    ),
    Route("GET", "/calls/{call_sid}", "Read a call with its words", one, Call),
)
