"""Erases a person: all rows of a lead, of the lead's numbers, of their calls and of
what they wrote.

What the person said while nothing proved who they are goes, too: claims that came from
one of the numbers or name it, with their calls. Files are `bridge.records.erasing`'s.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from crm import access_tokens, notices, phones as numbering
from crm.database import Database
from crm.deadlocks import despite_deadlocks
from crm.leads import PERSON

# $2: the ids of the leads, $3: their numbers.
_CALLS = """
select call_sid from calls
  where business_id = $1 and (lead_id = any ($2) or from_number = any ($3))
union select call_sid from claims where business_id = $1
  and (lead_id = any ($2) or from_number = any ($3) or phone = any ($3))
union select call_sid from admissions where business_id = $1 and caller = any ($3)"""
# In this order: rows that refer to others before them. $4: the ids of the calls.
_DELETES = {
    "notices": "data->>'call_sid' = any ($4)",
    "checkpoints": "call_sid = any ($4)",
    "admissions": "call_sid = any ($4) or caller = any ($3)",
    "appointments": "lead_id = any ($2) or claimed_by = any ($4)",
    "claims": "call_sid = any ($4)",
    # With their messages, turns, tools and work.
    # A chat of the console is the "call" of what was claimed in it.
    "conversations": "lead_id = any ($2) or writer = any ($3) or id::text = any ($4)",
    # With their turns, tools and words.
    "calls": "call_sid = any ($4)",
    "leads": "id = any ($2)",
}
# In the order in which all others lock: what was said and written, then the leads.
_LOCKS = (
    *(
        f"select from {table} where business_id = $1 and ({_DELETES[table]}) "
        "and ($2::uuid[], $3::text[], $4::text[]) is not null "
        f"order by {key} for update"
        for table, key in (("claims", "call_sid"), ("conversations", "id"))
    ),
    "select from leads where business_id = $1 and id = any ($2) "
    "and ($3::text[], $4::text[]) is not null order by id for update",
)
# A machine that was away for longer keeps its recordings of erased people.
REMEMBERED = timedelta(days=400)


class CallRuns(Exception):
    """A call of the person runs, or its record is still to be written."""


class _Whose(NamedTuple):
    """What the rows of a person have: `marks` are the business's numbers there."""

    leads: tuple[tuple[UUID, str], ...]
    phones: tuple[str, ...]
    call_sids: tuple[str, ...]
    marks: frozenset[str]

    @property
    def ids(self) -> list[UUID]:
        return [lead_id for lead_id, _ in self.leads]


class Erased(NamedTuple):
    """Whose rows were deleted, and how many by table.

    `phones` are all numbers of the person, in each form in which a carrier has them;
    `marks` are what a record of the business has beside them: its id, or its number.
    """

    phones: tuple[str, ...]
    call_sids: tuple[str, ...]
    rows: dict[str, int]
    marks: tuple[str, ...]


@despite_deadlocks
async def erase(db: Database, business_id: UUID, lead_id: UUID) -> Erased | None:
    """Delete all rows of a person in one transaction; None if there is no such lead.

    Raises CallRuns.
    """
    async with db.tenant(business_id) as connection:
        whose = await _read(connection, business_id, lead_id)
        if whose is None:
            return None
        for lock in _LOCKS:
            given = (business_id, whose.ids, whose.phones, whose.call_sids)
            await connection.execute(lock, *given)
        # Others may have written, or merged, while they were waited for.
        whose = await _read(connection, business_id, lead_id)
        if whose is None:
            return None
        ids, phones, call_sids = whose.ids, whose.phones, whose.call_sids
        await _check_over(connection, call_sids)
        told = 0
        for lead in (*whose.leads, *((None, phone) for phone in phones)):
            told += await notices.erase(connection, business_id, *lead)
        # What was answered to programs may name the person.
        await access_tokens.forget_answers(connection, business_id)
        rows = await _delete(connection, business_id, ids, phones, call_sids)
        await connection.execute(
            "delete from erased_calls where business_id = $1 "
            "and erased_at < now() - $2::interval",
            business_id,
            REMEMBERED,
        )
        await connection.executemany(
            "insert into erased_calls (business_id, call_sid) values ($1, $2) "
            "on conflict do nothing",
            [(business_id, call_sid) for call_sid in call_sids],
        )
        if told:
            rows["notices"] = rows.get("notices", 0) + told
    return Erased(phones, call_sids, rows, (str(business_id), *whose.marks))


async def erased_since(
    db: Database, moment: datetime | None
) -> tuple[set[str], datetime]:
    """Return the calls of any business that were erased since a moment, or ever, and
    the moment of this look, both by the database's clock."""
    async with db.routing() as connection:
        now = await connection.fetchval("select now()")
        rows = await connection.fetch(
            "select call_sid from erased_calls "
            "where $1::timestamptz is null or erased_at >= $1",
            moment,
        )
    return {row["call_sid"] for row in rows}, now


async def _read(connection: Any, business_id: UUID, lead_id: UUID) -> _Whose | None:
    leads = await connection.fetch(
        f"select id, phone from leads where business_id = $1 and id in ({PERSON})",
        business_id,
        lead_id,
    )
    if not leads:
        return None
    ids = [row["id"] for row in leads]
    # WhatsApp knows a mobile of Mexico as +52 1.
    writers = await connection.fetch(
        "select writer, own_number from conversations where business_id = $1 "
        "and channel = 'whatsapp' and lead_id = any ($2)",
        business_id,
        ids,
    )
    numbers = await connection.fetch(
        "select e164 from business_numbers where business_id = $1", business_id
    )
    own = {row["phone"] for row in leads} | {row["writer"] for row in writers}
    lines = {form for number in own for form in numbering.forms(number)}
    # A line's other form may be a lead that the business keeps.
    others = await connection.fetch(
        "select phone from leads where business_id = $1 and phone = any ($2) "
        "and id <> all ($3)",
        business_id,
        list(lines - own),
        ids,
    )
    lines -= {row["phone"] for row in others}
    found = await connection.fetch(_CALLS, business_id, ids, list(lines))
    marks = {row["own_number"] for row in writers} | {row["e164"] for row in numbers}
    return _Whose(
        tuple((row["id"], row["phone"]) for row in leads),
        tuple(lines),
        tuple(row["call_sid"] for row in found),
        frozenset(marks - {""}),
    )


async def _check_over(connection: Any, call_sids: Sequence[str]) -> None:
    if await connection.fetchval(
        "select exists (select from call_owners where call_sid = any ($1))", call_sids
    ):
        raise CallRuns


async def _delete(
    connection: Any,
    business_id: UUID,
    ids: Sequence[UUID],
    phones: Sequence[str],
    call_sids: Sequence[str],
) -> dict[str, int]:
    rows = {}
    for table, whose in _DELETES.items():
        # Each statement names all parameters, whether it uses them or not.
        done: str = await connection.execute(
            f"delete from {table} where business_id = $1 and ({whose}) "
            "and ($2::uuid[], $3::text[], $4::text[]) is not null",
            business_id,
            ids,
            phones,
            call_sids,
        )
        if count := int(done.split()[-1]):
            rows[table] = count
    return rows
