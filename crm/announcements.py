"""What a business may write unasked: reminders, and messages after missed calls.

Which appointments and calls there is something to write about, and to whom: only to the
number of a lead, which has been proven. Whoever is not to be contacted, or has stopped
one of their conversations, gets nothing. Times are arguments.

A message may wait long before it goes out: `is_outdated` looks once more then.
"""

from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

# The purposes of messages that nobody asked for.
REMINDER, MISSED_CALL = "reminder", "missed_call"
# The oldest missed call that is written about: quiet hours delay the message.
MISSED_AGE_MAX = timedelta(hours=12)

# Of one business at a time; what is more comes with the next look.
ROWS_MAX = 500

# A conversation is its lead's: its writer may be the same number in another form, as
# WhatsApp has a mobile of Mexico.
_TO = """
  coalesce(c.writer, l.phone) as writer, coalesce(c.own_number, '') as own_number,
  coalesce(c.account_sid, '') as account_sid, c.last_inbound_at
"""
_LAST = """
left join lateral (
  select writer, own_number, account_sid, last_inbound_at from conversations
  where business_id = $1 and channel = 'whatsapp' and lead_id = l.id
  order by last_inbound_at desc nulls last, id limit 1) c on true"""
_MAY_WRITE = """
  and not l.do_not_contact and not exists (select from conversations s
    where s.business_id = $1 and s.channel = 'whatsapp' and s.lead_id = l.id
    and s.stopped_at is not null)"""
_REMINDERS = f"""
select a.id || ':' || extract(epoch from a.starts_at)::bigint as about,
  a.starts_at as at, coalesce(v.name, '') as service, {_TO}
from appointments a join leads l on l.business_id = $1 and l.id = a.lead_id {_LAST}
left join services v on v.business_id = $1 and v.id = a.service_id
where a.business_id = $1 and a.status = 'booked' and a.starts_at >= $2
  and a.starts_at < $3 and a.created_at < $4 {_MAY_WRITE}
  and not exists (select from messages m where m.business_id = $1
    and m.purpose = 'reminder' and m.about
      = a.id || ':' || extract(epoch from a.starts_at)::bigint)
order by a.starts_at, a.id limit {ROWS_MAX}"""
# One message for all missed calls; none where the caller has got through, or has
# written, since.
_MISSED = f"""
select distinct on (l.id) k.call_sid as about, k.ended_at as at, '' as service, {_TO}
from calls k join leads l on l.business_id = $1 and l.phone = k.from_number {_LAST}
where k.business_id = $1 and k.ended_at > $2 and k.ended_at <= $3 and not k.is_test
  and (k.failed or k.outcome = 'unanswered') and k.caller_worth = 'verified'
  {_MAY_WRITE}
  and (c.last_inbound_at is null or c.last_inbound_at < k.started_at)
  and not exists (select from calls o where o.business_id = $1
    and o.from_number = k.from_number and o.started_at > k.started_at)
  and not exists (select from messages m join conversations mc
    on mc.business_id = $1 and mc.id = m.conversation_id where m.business_id = $1
    and m.purpose = 'missed_call' and m.created_at > $2 and mc.lead_id = l.id)
order by l.id, k.ended_at desc limit {ROWS_MAX}"""
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
    person's last conversation: their number, "" and None where there is none.
    """

    about: str
    # When the appointment begins, or the call ended.
    at: datetime
    service: str
    writer: str
    own_number: str
    account_sid: str
    last_inbound_at: datetime | None


async def reminders(
    connection: Any,
    business_id: UUID,
    begin: datetime,
    end: datetime,
    booked_before: datetime,
) -> list[Occasion]:
    """Return the appointments between two times of whom nobody was reminded yet, in a
    transaction. Those booked or moved later than `booked_before` are fresh in mind."""
    rows = await connection.fetch(_REMINDERS, business_id, begin, end, booked_before)
    return [Occasion(**dict(row)) for row in rows]


async def missed_calls(
    connection: Any, business_id: UUID, since: datetime, until: datetime
) -> list[Occasion]:
    """Return the callers whose last call, in between, came to nothing, in a
    transaction."""
    rows = await connection.fetch(_MISSED, business_id, since, until)
    return [Occasion(**dict(row)) for row in rows]


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
