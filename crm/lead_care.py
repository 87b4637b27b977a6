"""What a business does with its leads by hand: list, edit, merge, separate.

A lead that is the same person as another one keeps its row, since callers are known by
their number, and names the other lead in `merged_into`. Name, fields and decisions are
the same in all rows of a person. `Lead` is here the row that the person is shown by.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from crm import leads
from crm.database import Database
from crm.deadlocks import despite_deadlocks
from crm.leads import PERSON

# As a first call or message makes it: nothing is known yet.
_UNSET_STATUS = "new"
# What a business may call a lead. A booking, and the cancellation of the last one, make
# it `booked` and `cancelled`.
STATUSES = (_UNSET_STATUS, "contacted", "booked", "cancelled", "customer", "closed")
_ROWS = "(l.id = $2 or l.merged_into = $2)"
# Of two people.
_BOTH = "l.business_id = $1 and (l.id in ($2, $3) or l.merged_into in ($2, $3))"
# When a number called or wrote last; one that never did comes last. An index has it.
_CONTACT = "greatest(to_timestamp(0), last_call_at, last_message_at)"
_NEXT = """
(select min(n.starts_at)
  from (select l.id union all select m.id from leads m
    where m.business_id = $1 and m.merged_into = l.id) p,
  lateral (select a.starts_at from appointments a where a.business_id = $1
    and a.lead_id = p.id and a.status = 'booked' and a.starts_at > now()
    order by a.starts_at limit 1) n)"""
_FITS = f"""
  l.business_id = $1 and l.merged_into is null and ($2 = '' or l.status = $2)
  and ($3 = '' or strpos(lower(coalesce(l.name, '')), lower($3)) > 0
    or exists (select from jsonb_each_text(l.fields) f
      where strpos(lower(f.value), lower($3)) > 0)
    or ($4 <> '' and exists (select from leads m where m.business_id = $1
      and (m.id = l.id or m.merged_into = l.id) and m.phone like '%' || $4)))
  and ($8::timestamptz is null or exists (select from leads m where m.business_id = $1
    and (m.id = l.id or m.merged_into = l.id) and m.last_call_at >= $8
    and {leads.LACKS.format(fields="$9", row="m")}))"""
# People of one number come in the order of an index, so that no page reads all of them.
# Those of several are few.
_LISTED = f"""
with several as (
  select merged_into as id, max({_CONTACT}) as last_at from leads
  where business_id = $1 and merged_into is not null group by merged_into
), found as (
  (select l.id, l.phone, l.name, l.status, l.do_not_contact, {_CONTACT} as last_at
    from leads l where {_FITS} and not exists (select from leads m
      where m.business_id = $1 and m.merged_into = l.id)
    and ($5::timestamptz is null or ({_CONTACT}, l.id) < ($5, $6))
    order by {_CONTACT} desc, l.id desc limit $7)
  union all
  select l.id, l.phone, l.name, l.status, l.do_not_contact,
    greatest({_CONTACT}, s.last_at) from leads l join several s on s.id = l.id
    where {_FITS} and ($5::timestamptz is null
      or (greatest({_CONTACT}, s.last_at), l.id) < ($5, $6))
), page as (
  select * from found order by last_at desc, id desc limit $7
)
select l.*, {_NEXT} as next_appointment_at from page l
order by l.last_at desc, l.id desc"""


class MergeError(ValueError):
    """Two leads cannot become one; the text says why."""


class Place(msgspec.Struct, frozen=True):
    """Where a page of the list ends: the next page begins after it."""

    at: datetime
    id: UUID


class Lacking(NamedTuple):
    """Who has called since a time, and lacks one of some fields."""

    since: datetime
    fields: Sequence[str]


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """A lead of the list."""

    id: UUID
    phone: str
    name: str | None
    status: str
    do_not_contact: bool
    last_at: datetime
    next_appointment_at: datetime | None

    @property
    def place(self) -> Place:
        """This lead's place in the list."""
        return Place(self.last_at, self.id)


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """A lead with all that is known; `others` are the person's other numbers."""

    id: UUID
    phone: str
    name: str | None
    status: str
    fields: dict[str, Any]
    do_not_contact: bool
    calls: int
    created_at: datetime
    others: tuple[tuple[UUID, str], ...] = ()


class Visit(msgspec.Struct, frozen=True, kw_only=True):
    """An appointment of a lead, past or future."""

    starts_at: datetime
    service: str
    status: str


async def listed(
    db: Database,
    business_id: UUID,
    text: str = "",
    status: str = "",
    limit: int = 50,
    before: Place | None = None,
    lacking: Lacking | None = None,
) -> list[Listed]:
    """Return the leads who called or wrote last, newest first.

    `text` is a part of the name or of a field, or the end of the number.
    """
    digits = re.sub("[^0-9]", "", text).lstrip("0")
    is_number = bool(digits) and not re.search(r"[^\W\d_]|@", text)
    async with db.tenant(business_id) as connection:
        # Plan for the filters that are set; compile nothing for one page.
        await connection.execute(
            "set local plan_cache_mode = force_custom_plan; set local jit = off"
        )
        rows = await connection.fetch(
            _LISTED,
            business_id,
            status,
            text,
            digits if is_number else "",
            before.at if before else None,
            before.id if before else None,
            limit,
            lacking.since if lacking else None,
            lacking.fields if lacking else (),
        )
    return [Listed(**dict(row)) for row in rows]


async def get(db: Database, business_id: UUID, lead_id: UUID) -> Person | None:
    """Return a lead; for a merged one, the lead that it is shown by."""
    async with db.tenant(business_id) as connection:
        return await _get(connection, business_id, lead_id)


async def _get(connection: Any, business_id: UUID, lead_id: UUID) -> Person | None:
    rows = await connection.fetch(
        "select l.id, l.phone, l.name, l.status, l.fields, l.do_not_contact, l.calls, "
        "l.created_at, l.merged_into from leads l where l.business_id = $1 "
        f"and l.id in ({PERSON}) order by l.merged_into is not null, l.phone",
        business_id,
        lead_id,
    )
    if not rows:
        return None
    own = dict(rows[0])
    assert own.pop("merged_into") is None, "the constraint and `merge` keep it so"
    own["calls"] = sum(row["calls"] for row in rows)
    others = tuple((row["id"], row["phone"]) for row in rows[1:])
    return Person(**own, others=others)


async def visits(
    db: Database,
    business_id: UUID,
    lead_id: UUID,
    limit: int = 50,
    before: datetime | None = None,
) -> list[Visit]:
    """Return the appointments of a person, the latest first, those before a time.

    Those that begin with the last one are there, too, also beyond the limit.
    """
    async with db.tenant(business_id) as connection:
        rows = await connection.fetch(
            "select a.starts_at, a.status, coalesce(s.name, '') as service "
            "from appointments a join leads l on l.business_id = a.business_id "
            "and l.id = a.lead_id left join services s "
            "on s.business_id = a.business_id and s.id = a.service_id "
            f"where a.business_id = $1 and {_ROWS} "
            "and ($4::timestamptz is null or a.starts_at < $4) "
            "order by a.starts_at desc fetch first $3 rows with ties",
            business_id,
            lead_id,
            limit,
            before,
        )
    return [Visit(**dict(row)) for row in rows]


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """What is changed by hand; a field with an empty value is removed."""

    name: str | None = None
    status: str | None = None
    do_not_contact: bool | None = None
    fields: Mapping[str, str] = {}


async def change(
    db: Database, business_id: UUID, lead_id: UUID, wanted: Change
) -> None:
    """Change a person in all their rows; what `wanted` does not name stays."""
    kept = {name: value for name, value in wanted.fields.items() if value}
    async with db.tenant(business_id) as connection:
        await leads.hold(connection, business_id, lead_id)
        await connection.execute(
            "update leads l set "
            "name = case when $3::text is null then name else nullif($3, '') end, "
            "status = coalesce($4, status), "
            "do_not_contact = coalesce($5, do_not_contact), "
            "fields = (fields - $6::text[]) || $7 "
            f"where business_id = $1 and {_ROWS}",
            business_id,
            lead_id,
            wanted.name,
            wanted.status,
            wanted.do_not_contact,
            list(wanted.fields),
            kept,
        )


@despite_deadlocks
async def merge(
    db: Database, business_id: UUID, lead_id: UUID, other_phone: str
) -> UUID:
    """Make the lead with another number the same person; return that lead's id.

    What is known of `lead_id` goes before what the other has. Raises MergeError.
    """
    async with db.tenant(business_id) as connection:
        # Merges of one business wait for each other: two could make a circle.
        await connection.execute(
            "select pg_advisory_xact_lock(hashtextextended($1, 0))",
            f"merge {business_id}",
        )
        own = await _get(connection, business_id, lead_id)
        found = await connection.fetchval(
            "select id from leads where business_id = $1 and phone = $2",
            business_id,
            other_phone,
        )
        other = found and await _get(connection, business_id, found)
        if own is None or other is None:
            raise MergeError("unknown")
        if own.id == other.id:
            raise MergeError("same")
        # In the order in which a message is received, and a person erased.
        await connection.execute(
            "select from conversations where business_id = $1 and lead_id in "
            f"(select id from leads l where {_BOTH}) order by id for no key update",
            business_id,
            own.id,
            other.id,
        )
        await leads.hold(connection, business_id, own.id)
        await leads.hold(connection, business_id, other.id)
        await _keep_marks(connection, business_id, own, other)
        await connection.execute(
            f"update leads l set merged_into = $3 where business_id = $1 and {_ROWS}",
            business_id,
            other.id,
            own.id,
        )
        await connection.execute(
            "update leads l set name = $3, fields = $4, do_not_contact = $5, "
            f"status = $6 where business_id = $1 and {_ROWS}",
            business_id,
            own.id,
            own.name or other.name,
            {**other.fields, **own.fields},
            own.do_not_contact or other.do_not_contact,
            other.status if own.status == _UNSET_STATUS else own.status,
        )
    return UUID(str(other.id))


async def _keep_marks(connection: Any, business_id: UUID, *people: Person) -> None:
    """Let no START of the one undo the business's own mark of the other."""
    sides = [[one.id, *(lead_id for lead_id, _ in one.others)] for one in people]
    for one, ids in zip(people, sides, strict=True):
        if one.do_not_contact and not await connection.fetchval(
            "select exists (select from conversations where business_id = $1 "
            "and lead_id = any ($2) and stop_marked_lead)",
            business_id,
            ids,
        ):
            await connection.execute(
                "update conversations set stop_marked_lead = false "
                "where business_id = $1 and lead_id = any ($2)",
                business_id,
                [lead_id for side in sides for lead_id in side],
            )


async def separate(db: Database, business_id: UUID, lead_id: UUID) -> bool:
    """Make a merged lead a person of its own again; False if it was none."""
    async with db.tenant(business_id) as connection:
        done: str = await connection.execute(
            "update leads set merged_into = null where business_id = $1 and id = $2 "
            "and merged_into is not null",
            business_id,
            lead_id,
        )
    return done.endswith(" 1")
