"""Leads: a list, and one."""

from uuid import UUID

import msgspec

from bridge.api.calls import Limit
from bridge.api.cursors import LIMIT_DEFAULT, Page, page, read
from bridge.api.problems import not_found
from bridge.api.routes import Asked, Route, id_of
from crm import pages
from crm.pages import LeadRow


class LeadsQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which leads: all, or the one with a number."""

    limit: Limit = LIMIT_DEFAULT
    cursor: str | None = None
    phone: str | None = None


async def every(asked: Asked) -> Page[LeadRow]:
    query: LeadsQuery = asked.query
    rows = await pages.leads(
        asked.database,
        asked.business.id,
        query.limit + 1,
        before=read(query.cursor, is_uuid=True),
        phone=query.phone,
    )
    return page(rows, query.limit, "created_at", "id")


async def one(asked: Asked) -> LeadRow:
    return await found(asked, id_of(asked))


async def found(asked: Asked, lead_id: UUID | None) -> LeadRow:
    """Return a lead of the business; raises Problem."""
    row = None
    if lead_id is not None:
        row = await pages.lead(asked.database, asked.business.id, lead_id)
    if row is None:
        raise not_found("lead")
    return row


ROUTES = (
    Route(
        "GET", "/leads", "List leads, newest first", every, Page[LeadRow], LeadsQuery
    ),
    Route("GET", "/leads/{id}", "Read a lead", one, LeadRow),
)
