"""Leads: a list, one, and what a business changes in it by hand."""

import re
from http import HTTPStatus
from typing import Annotated
from uuid import UUID

import msgspec

from bridge.api.appointments import NAME_CHARS_MAX
from bridge.api.calls import Limit
from bridge.api.cursors import LIMIT_DEFAULT, Page, page, read
from bridge.api.problems import Problem, not_found, wrong_field
from bridge.api.routes import Asked, Route, id_of
from bridge.records.erasing import erase_person
from crm import lead_care, pages, phones
from crm.erasing import CallRuns
from crm.lead_care import Change
from crm.pages import LeadRow

FIELDS_MAX = 50
VALUE_CHARS_MAX = 1_000
_FIELD = re.compile(r"[a-z][a-z0-9_]{0,39}")


class LeadsQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which leads: all, or the one with a number, however it is written."""

    limit: Limit = LIMIT_DEFAULT
    cursor: str | None = None
    phone: str | None = None


class LeadChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is to change; what is not named stays. An empty field is removed."""

    name: Annotated[str, msgspec.Meta(max_length=NAME_CHARS_MAX)] | None = None
    status: Annotated[str, msgspec.Meta(min_length=1, max_length=40)] | None = None
    do_not_contact: bool | None = None
    fields: Annotated[dict[str, str], msgspec.Meta(max_length=FIELDS_MAX)] = {}


class Erased(msgspec.Struct, frozen=True):
    """What was deleted: rows by table, and files; `files_left` name the person still,
    until the service has written the record that they hold."""

    rows: dict[str, int]
    files: int
    files_left: int


async def every(asked: Asked) -> Page[LeadRow]:
    query: LeadsQuery = asked.query
    phone = query.phone
    if phone is not None:
        # In an address, a plus that is not written as %2B is a space.
        phone = phones.sent(phone, asked.business.country)
        if phone is None:
            raise wrong_field("phone", f"expected a number such as {phones.EXAMPLE}")
    rows = await pages.leads(
        asked.database,
        asked.business.id,
        query.limit + 1,
        before=read(query.cursor, is_uuid=True),
        phone=phone,
    )
    return page(rows, query.limit, "created_at", "id")


async def one(asked: Asked) -> LeadRow:
    return await found(asked, id_of(asked))


async def change(asked: Asked) -> LeadRow:
    body: LeadChange = asked.body
    lead = await found(asked, id_of(asked))
    for name, value in body.fields.items():
        if not _FIELD.fullmatch(name):
            raise wrong_field("fields", f"{name!r}: expected a word such as first_name")
        if len(value) > VALUE_CHARS_MAX:
            raise wrong_field(
                "fields", f"{name}: expected {VALUE_CHARS_MAX} characters at most"
            )
    wanted = Change(
        name=None if body.name is None else body.name.strip(),
        status=body.status,
        do_not_contact=body.do_not_contact,
        fields=body.fields,
    )
    person = await lead_care.get(asked.database, asked.business.id, lead.id)
    if person is None:
        raise not_found("lead")
    after = [one for one in {*person.fields, *body.fields} if body.fields.get(one, "-")]
    if len(after) > max(FIELDS_MAX, len(person.fields)):
        raise wrong_field("fields", f"expected {FIELDS_MAX} of a lead at most")
    await lead_care.change(asked.database, asked.business.id, person.id, wanted)
    return await found(asked, lead.id)


async def erase(asked: Asked) -> Erased:
    lead = await found(asked, id_of(asked))
    try:
        erasure = await erase_person(
            asked.database, asked.settings, asked.business.id, lead.id
        )
    except CallRuns:
        text = "a call of this person runs: try again afterwards"
        raise Problem(HTTPStatus.CONFLICT, text) from None
    if erasure is None:
        raise not_found("lead")
    return Erased(erasure.rows, erasure.files, len(erasure.left))


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
    Route("PATCH", "/leads/{id}", "Change a lead", change, LeadRow, body=LeadChange),
    Route(
        "DELETE",
        "/leads/{id}",
        "Erase a person: lead, calls, appointments, recordings",
        erase,
        Erased,
    ),
)
