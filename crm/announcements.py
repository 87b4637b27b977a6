"""What a business may write unasked: reminders, and messages after missed calls.

Which appointments and calls there is something to write about, and to whom: only to the
number of a lead, which has been proven. Whoever is not to be contacted, or has stopped
one of their conversations, gets nothing. Times are arguments.

A message may wait long before it goes out: `is_outdated` looks once more then.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from crm.database import Database
from crm.leads import SAME_PERSON

# The purposes of messages that nobody asked for.
REMINDER, MISSED_CALL = "reminder", "missed_call"
# The oldest missed call that is written about: quiet hours delay the message.
MISSED_AGE_MAX = timedelta(hours=12)

# Of one business at a time; what is more comes with the next look. Whoever can be
# written to without a template comes first: where there is none, the others stay.
ROWS_MAX = 500

# Of `Own`: $2 are the business's numbers; who has written to one of them later than $3
# needs no template.
# A conversation is its lead's: its writer may be the same number in another form, as
# WhatsApp has a mobile of Mexico. A person of several numbers, whom the business has
# merged, is written to where they have written.
_TO = """
  coalesce(c.writer, l.phone) as writer, coalesce(c.own_number, '') as own_number,
  coalesce(c.account_sid, '') as account_sid,
  case when c.is_own then c.last_inbound_at end as last_inbound_at
"""
_LAST = f"""
left join lateral (
  select writer, own_number, account_sid, last_inbound_at,
    own_number = any ($2) as is_own from conversations
  where business_id = $1 and channel = 'whatsapp' and lead_id = {SAME_PERSON}
  order by is_own desc, last_inbound_at desc nulls last, id limit 1) c on true"""
_OPEN_FIRST = "coalesce(last_inbound_at > $3, false) desc"
_MAY_WRITE = f"""
  and not l.do_not_contact and not exists (select from conversations s
    where s.business_id = $1 and s.channel = 'whatsapp'
    and s.lead_id = {SAME_PERSON} and s.stopped_at is not null)"""
_REMINDERS = f"""
select * from (select a.id || ':' || extract(epoch from a.starts_at)::bigint as about,
  a.starts_at as at, coalesce(v.name, '') as service, {_TO}
from appointments a join leads l on l.business_id = $1 and l.id = a.lead_id {_LAST}
left join services v on v.business_id = $1 and v.id = a.service_id
where a.business_id = $1 and a.status = 'booked' and a.starts_at >= $4
  and a.starts_at < $5 and a.created_at < $6 {_MAY_WRITE}
  and not exists (select from messages m where m.business_id = $1
    and m.purpose = 'reminder' and m.about
      = a.id || ':' || extract(epoch from a.starts_at)::bigint)) found
order by {_OPEN_FIRST}, at, about limit {ROWS_MAX}"""
# One message for all missed calls; none where the caller has got through, or has
# written, since.
_MISSED = f"""
select * from (select distinct on (coalesce(l.merged_into, l.id))
  k.call_sid as about, k.ended_at as at, '' as service, {_TO}
from calls k join leads l on l.business_id = $1 and l.phone = k.from_number {_LAST}
where k.business_id = $1 and k.ended_at > $4 and k.ended_at <= $5 and not k.is_test
  and (k.failed or k.outcome = 'unanswered') and k.caller_worth = 'verified'
  {_MAY_WRITE}
  and (c.last_inbound_at is null or c.last_inbound_at < k.started_at)
  and not exists (select from calls o where o.business_id = $1
    and o.from_number = k.from_number and o.started_at > k.started_at)
  and not exists (select from calls o where o.business_id = $1
    and o.lead_id = {SAME_PERSON} and o.started_at > k.started_at)
  and not exists (select from messages m join conversations mc
    on mc.business_id = $1 and mc.id = m.conversation_id where m.business_id = $1
    and m.purpose = 'missed_call' and m.created_at > $4
    and mc.lead_id = {SAME_PERSON})
order by coalesce(l.merged_into, l.id), k.ended_at desc) found
order by {_OPEN_FIRST}, at, about limit {ROWS_MAX}"""
# A number that was written to on WhatsApp is a sender there, and so is one that a
# message has gone out from.
_SENDERS = (
    """
select own_number, account_sid from conversations where business_id = $1
  and channel = 'whatsapp' and own_number = any ($2) and last_inbound_at is not null
order by last_inbound_at desc, id limit 1""",
    """
select c.own_number, c.account_sid from messages m join conversations c
  on c.business_id = $1 and c.id = m.conversation_id and c.own_number = any ($2)
where m.business_id = $1 and m.purpose in ('reminder', 'missed_call')
  and m.about is not null and m.sent_at is not null
order by m.sent_at desc, m.id limit 1""",
)
# A reminder says that the appointment is tomorrow.
_REMINDS = """
select exists (select from appointments a join businesses b on b.id = a.business_id
  where a.business_id = $1 and a.id = $2 and a.status = 'booked'
  and extract(epoch from a.starts_at)::bigint = $3
  and (a.starts_at at time zone b.time_zone)::date
    = (now() at time zone b.time_zone)::date + 1)"""
_IS_MISSED = """
select exists (select from calls k where k.business_id = $1 and k.call_sid = $2
  and k.ended_at > now() - $3::interval
  and not exists (select from calls o where o.business_id = $1
    and o.from_number = k.from_number and o.started_at > k.started_at
    and not o.failed and o.outcome is distinct from 'unanswered'))"""


class Occasion(NamedTuple):
    """Something to write about: once for each `about`.

    `writer`, `own_number`, `account_sid` and `last_inbound_at` are those of the
    person's last conversation with a number that the business has. Where there is none,
    they are the person's number, a number of the business, its account or "", and None.
    """

    about: str
    # When the appointment begins, or the call ended.
    at: datetime
    service: str
    writer: str
    own_number: str
    account_sid: str
    last_inbound_at: datetime | None


class Own(NamedTuple):
    """A business with its numbers; who has written to one of them later than
    `open_since` needs no template."""

    business_id: UUID
    numbers: Sequence[str]
    open_since: datetime


async def now(db: Database) -> datetime:
    """Return the database's time."""
    async with db.routing() as connection:
        at: datetime = await connection.fetchval("select now()")
    return at


async def reminders(
    connection: Any, own: Own, begin: datetime, end: datetime, booked_before: datetime
) -> list[Occasion]:
    """Return the appointments between two times of whom nobody was reminded yet, in a
    transaction. Those booked or moved later than `booked_before` are fresh in mind."""
    rows = await connection.fetch(_REMINDERS, *own, begin, end, booked_before)
    return await _from_senders(connection, own, rows)


async def missed_calls(
    connection: Any, own: Own, since: datetime, until: datetime
) -> list[Occasion]:
    """Return the callers whose last call, in between, came to nothing, in a
    transaction."""
    rows = await connection.fetch(_MISSED, *own, since, until)
    return await _from_senders(connection, own, rows)


async def _from_senders(
    connection: Any, own: Own, rows: Sequence[Mapping[str, Any]]
) -> list[Occasion]:
    """Return occasions, each with a number to write from: without a conversation, one
    that is known to be a sender, else the first."""
    found = [Occasion(**dict(row)) for row in rows]
    if all(one.own_number in own.numbers for one in found):
        return found
    number, account_sid = next(iter(own.numbers), ""), ""
    for query in _SENDERS:
        row = await connection.fetchrow(query, own.business_id, own.numbers)
        if row is not None:
            number, account_sid = row["own_number"], row["account_sid"]
            break
    return [
        one
        if one.own_number in own.numbers
        else one._replace(own_number=number, account_sid=account_sid)
        for one in found
    ]


async def is_outdated(
    connection: Any, business_id: UUID, purpose: str, about: str
) -> bool:
    """Tell in a transaction whether what a message says is not so any more, by what it
    is about; False for what is about nothing that is known here."""
    if purpose == MISSED_CALL and about.startswith("CA"):
        given = (_IS_MISSED, business_id, about, MISSED_AGE_MAX)
        return not await connection.fetchval(*given)
    appointment_id, _, at = about.partition(":")
    if purpose != REMINDER or not at.isdecimal():
        return False
    return not await connection.fetchval(
        _REMINDS, business_id, UUID(appointment_id), int(at)
    )
