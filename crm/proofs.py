"""What proves that a caller is a lead: a fact that the business has of the lead alone.

A name is no proof, for whoever forges a number mostly knows whose it is. An e-mail
address on file and the day and hour of an appointment to come are taken: with bookings
every quarter of an hour for two weeks some 400 hours are possible, so that a call's
tries guess one of them in a hundred calls at most.
"""

from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from crm import claims, leads
from crm.claims import Claim, Claimant
from crm.database import Database
from crm.leads import Lead

# A slip of the tongue and one of the transcript's may be put right.
TRIES_PER_CALL = 3
# Of all calls from a number in a day, so that calling again brings no more.
TRIES_PER_DAY = 6


class NoTries(Exception):
    """So many facts were wrong that no more are looked at."""


class Fact(NamedTuple):
    """What a caller says to prove who they are."""

    email: str = ""
    appointment: datetime | None = None


class Verdict(NamedTuple):
    """The caller's lead if the fact is right, and how many tries are left if not."""

    lead: Lead | None
    tries_left: int


async def prove(
    db: Database, business_id: UUID, claimant: Claimant, fact: Fact
) -> Verdict:
    """Compare a fact with what is known of the number the caller calls from.

    If it is right, what this call has claimed and booked becomes the lead's; if not, it
    is counted. The steps are the same where the number is not known. Raises NoTries.
    """
    async with db.tenant(business_id) as connection:
        claim = await claims.hold(connection, business_id, claimant, None, {})
        await claims.lock_number(connection, business_id, claimant)
        left = await _tries_left(connection, business_id, claimant)
        if left <= 0:
            raise NoTries
        if await _is_right(connection, business_id, claimant.from_number, fact):
            lead = await _take_over(connection, business_id, claimant, claim)
            return Verdict(lead, left)
        await connection.execute(
            "update claims set failed_tries = failed_tries + 1 "
            "where business_id = $1 and call_sid = $2",
            business_id,
            claimant.call_sid,
        )
    return Verdict(None, left - 1)


async def _tries_left(connection: Any, business_id: UUID, claimant: Claimant) -> int:
    row = await connection.fetchrow(
        "select coalesce(sum(failed_tries) filter (where call_sid = $2), 0) as call, "
        "coalesce(sum(failed_tries), 0) as day from claims where business_id = $1 "
        "and from_number = $3 and created_at > now() - interval '1 day'",
        business_id,
        claimant.call_sid,
        claimant.from_number,
    )
    return min(TRIES_PER_CALL - int(row["call"]), TRIES_PER_DAY - int(row["day"]))


async def _is_right(connection: Any, business_id: UUID, phone: str, fact: Fact) -> bool:
    found: bool = await connection.fetchval(
        "select exists (select from leads l where l.business_id = $1 and l.phone = $2 "
        "and ($3 <> '' and lower(replace(l.fields->>'email', ' ', '')) = $3 "
        "or exists (select from appointments a where a.business_id = $1 "
        "and a.lead_id = l.id and a.status = 'booked' and a.starts_at > now() "
        "and a.starts_at = $4)))",
        business_id,
        phone,
        fact.email.replace(" ", "").lower(),
        fact.appointment,
    )
    return found


async def _take_over(
    connection: Any, business_id: UUID, claimant: Claimant, claim: Claim
) -> Lead:
    """Let what was said and booked in this call be the lead's."""
    said = {"name": claim.name, **claim.fields}
    await leads.note_call(connection, business_id, claimant.from_number)
    lead = await leads.learn(connection, business_id, claimant.from_number, said)
    ours = (business_id, claimant.call_sid, lead.id)
    await connection.execute(
        "update claims set lead_id = $3 where business_id = $1 and call_sid = $2", *ours
    )
    moved = await connection.fetch(
        "update appointments set lead_id = $3, claimed_by = null "
        "where business_id = $1 and claimed_by = $2 returning status",
        *ours,
    )
    if any(row["status"] == "booked" for row in moved):
        await leads.set_status(connection, business_id, lead.id, "booked")
    found = await leads.read(connection, business_id, claimant.from_number)
    assert found is not None, "the lead was written in this transaction"
    return found
