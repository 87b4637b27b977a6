"""Leads: who calls a business and writes to it, by their phone number."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from crm import phones
from crm.database import Database


class FieldError(ValueError):
    """A field has an invalid value; the text begins with the field's name."""


class Lead(msgspec.Struct, frozen=True, kw_only=True):
    """What a business knows about a caller; `fields` holds what has no column."""

    id: UUID
    phone: str
    name: str | None
    status: str
    fields: dict[str, Any]
    calls: int
    last_call_at: datetime | None
    next_appointment_at: datetime | None = None

    def missing(self, required: tuple[str, ...]) -> tuple[str, ...]:
        """Return the required fields that are not known yet."""
        return missing(required, self.name, self.phone, self.fields)


def missing(
    required: tuple[str, ...],
    name: str | None,
    phone: str | None,
    fields: Mapping[str, Any],
) -> tuple[str, ...]:
    """Return the required fields that have no value."""
    known = {**fields, "name": name, "phone": phone}
    return tuple(field for field in required if not known.get(field))


_PERSON = """
with one as (select coalesce(merged_into, id) as id from leads
  where business_id = $1 and {} = $2)
select id from one union all select p.id from leads p, one
  where p.business_id = $1 and p.merged_into = one.id"""
# The leads that are one person with $2: the business has merged them.
PERSON = _PERSON.format("id")
_HOLD = """
select from leads where business_id = $1 and id = any (array({}))
order by id for no key update"""
# The leads that are one person with one of `leads as l`. As an array, or for each of
# many leads PostgreSQL reads all leads.
SAME_PERSON = """
any (array(select coalesce(l.merged_into, l.id) union all select p.id from leads p
  where p.business_id = l.business_id
  and p.merged_into = coalesce(l.merged_into, l.id)))"""
# Of a row of leads: it has no value of one of some fields.
LACKS = (
    "exists (select from unnest({fields}::text[]) f where coalesce(case f "
    "when 'name' then {row}.name when 'phone' then {row}.phone "
    "else {row}.fields ->> f end, '') = '')"
)
# Of `leads as l`.
_COLUMNS = (
    "l.id, l.phone, l.name, l.status, l.fields, l.calls, l.last_call_at, "
    "(select min(a.starts_at) from appointments a where a.business_id = l.business_id "
    f"and a.lead_id = {SAME_PERSON} "
    "and a.status = 'booked' and a.starts_at > now()) as next_appointment_at"
)


def unknown(phone: str) -> Lead:
    """Return a lead about whom nothing can be known now; the lead is in no table."""
    return Lead(
        id=UUID(int=0),
        phone=phone,
        name=None,
        status="new",
        fields={},
        calls=1,
        last_call_at=None,
    )


async def known_as(connection: Any, business_id: UUID, phone: str) -> str:
    """Return a line's number as its lead has it, in a transaction; the same number for
    a line without a lead, and for all lines that have but one number."""
    forms = phones.forms(phone)
    if len(forms) == 1:
        return phone
    found: str | None = await connection.fetchval(
        "select phone from leads where business_id = $1 and phone = any ($2) "
        "order by phone <> $3, created_at, id limit 1",
        business_id,
        list(forms),
        phone,
    )
    return found or phone


async def held_as(connection: Any, business_id: UUID, phone: str) -> str:
    """Return what `known_as` does, and let nobody else create or rename the line's
    lead until the transaction ends.

    One who calls and writes at one moment, by the line's two numbers, would be two
    leads. The lock is taken before those of leads.
    """
    forms = phones.forms(phone)
    if len(forms) > 1:
        await connection.execute(
            "select pg_advisory_xact_lock(hashtextextended($1, 0))",
            f"line {business_id} {min(forms)}",
        )
    return await known_as(connection, business_id, phone)


async def touch(db: Database, business_id: UUID, phone: str) -> Lead:
    """Note that this number calls: create its lead if new, and set `last_call_at`."""
    async with db.tenant(business_id) as connection:
        return await note_call(connection, business_id, phone)


async def note_call(connection: Any, business_id: UUID, phone: str) -> Lead:
    """Note in a transaction that this number calls, as `touch` does.

    A lead that has the line's other number, which they wrote from, has this one from
    now on: it can be called.
    """
    known = await held_as(connection, business_id, phone)
    if known != phone:
        await connection.execute(
            "update leads set phone = $3 where business_id = $1 and phone = $2",
            business_id,
            known,
            check_phone(phone),
        )
    row = await connection.fetchrow(
        "insert into leads as l (business_id, phone, calls, last_call_at) "
        "values ($1, $2, 1, now()) on conflict (business_id, phone) do update set "
        f"calls = l.calls + 1, last_call_at = now() returning {_COLUMNS}",
        business_id,
        check_phone(phone),
    )
    return Lead(**dict(row))


async def note_message(connection: Any, business_id: UUID, phone: str) -> UUID:
    """Note in a transaction that this number writes; return its lead, created if
    new."""
    phone = await held_as(connection, business_id, phone)
    lead_id: UUID = await connection.fetchval(
        "insert into leads as l (business_id, phone, last_message_at) "
        "values ($1, $2, now()) on conflict (business_id, phone) do update set "
        "last_message_at = now() returning id",
        business_id,
        check_phone(phone),
    )
    return lead_id


async def upsert(
    db: Database, business_id: UUID, phone: str, fields: Mapping[str, Any]
) -> Lead:
    """Write what was learnt about a caller; an empty value never erases a known one.

    Use it only for a caller who has proven to be this lead; `claims` is for all others.
    """
    async with db.tenant(business_id) as connection:
        return await learn(connection, business_id, phone, fields)


async def learn(
    connection: Any, business_id: UUID, phone: str, fields: Mapping[str, Any]
) -> Lead:
    """Write in a transaction what was learnt about a caller, as `upsert` does.

    The person's other numbers, which the business has merged, learn it, too.
    """
    known = {name: value for name, value in fields.items() if value not in ("", None)}
    name = known.pop("name", None)
    phone = await held_as(connection, business_id, phone)
    held = _HOLD.format(_PERSON.format("phone"))
    await connection.execute(held, business_id, phone)
    row = await connection.fetchrow(
        "insert into leads as l (business_id, phone, name, fields) "
        "values ($1, $2, $3, $4) on conflict (business_id, phone) do update "
        "set name = coalesce(excluded.name, l.name), "
        f"fields = l.fields || excluded.fields returning {_COLUMNS}",
        business_id,
        check_phone(phone),
        name,
        known,
    )
    await connection.execute(
        "update leads set name = coalesce($3, name), fields = fields || $4 "
        f"where business_id = $1 and id <> $2 and id in ({PERSON})",
        business_id,
        row["id"],
        name,
        known,
    )
    return Lead(**dict(row))


async def hold(connection: Any, business_id: UUID, lead_id: UUID) -> None:
    """Lock all numbers of a person until the transaction ends; everybody takes them in
    this order, or two who write to all of them would deadlock."""
    await connection.execute(_HOLD.format(PERSON), business_id, lead_id)


async def lock(connection: Any, business_id: UUID, phone: str, name: str = "") -> UUID:
    """Return a number's lead, created if new, locked until the transaction ends."""
    return (await learn(connection, business_id, phone, {"name": name})).id


async def set_status(
    connection: Any, business_id: UUID, lead_id: UUID, status: str
) -> None:
    """Set the status of a person in a transaction, at each of their numbers."""
    await connection.execute(
        f"update leads set status = $3 where business_id = $1 and id in ({PERSON})",
        business_id,
        lead_id,
        status,
    )


async def find(db: Database, business_id: UUID, phone: str) -> Lead | None:
    """Return the lead with this number."""
    async with db.tenant(business_id) as connection:
        return await read(connection, business_id, phone)


async def read(connection: Any, business_id: UUID, phone: str) -> Lead | None:
    """Return the lead with this number, in a transaction."""
    phone = await known_as(connection, business_id, phone)
    row = await connection.fetchrow(
        f"select {_COLUMNS} from leads as l where business_id = $1 and phone = $2",
        business_id,
        phone,
    )
    return None if row is None else Lead(**dict(row))


async def recent(db: Database, business_id: UUID, limit: int = 20) -> list[Lead]:
    """Return the leads who called or wrote last, newest first."""
    async with db.tenant(business_id) as connection:
        rows = await connection.fetch(
            f"select {_COLUMNS} from leads as l where business_id = $1 "
            "order by greatest(last_call_at, last_message_at) desc nulls last, l.id "
            "limit $2",
            business_id,
            limit,
        )
    return [Lead(**dict(row)) for row in rows]


def check_phone(phone: str) -> str:
    """Return an E.164 number, or raise FieldError saying what is wrong."""
    try:
        return phones.check(phone)
    except phones.PhoneError as error:
        raise FieldError(str(error)) from None
