"""What proves that a caller is a lead: a fact that only the lead's record has.

A name is no proof: somebody who forges a number mostly knows its owner. An e-mail
address on file, and the day and hour of an upcoming appointment, are accepted. With
bookings every quarter of an hour for two weeks about 400 times are possible, so the
tries of a call guess one of them in a hundred calls at most.
"""

from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from msgspec.structs import replace

from crm import claims, leads
from crm.claims import Claim, Claimant
from crm.database import Database
from crm.deadlocks import despite_deadlocks
from crm.leads import Lead

# A slip of the tongue and an error of the transcript may be corrected.
TRIES_PER_CALL = 3
# The tries of all calls from a number in a day: calling again brings no more tries.
TRIES_PER_DAY = 6
# Tests a row's fields and its appointments: $3 is the e-mail address, $4 the time.
_IS_RIGHT = (
    "($3 <> '' and lower(replace({}->>'email', ' ', '')) = $3 or exists (select "
    "from appointments a where a.business_id = $1 and {} and a.status = 'booked' "
    "and a.starts_at > now() and a.starts_at = $4))"
)
# What was booked from another number of the person, whom the business has merged, too.
_OF_PERSON = f"a.lead_id = {leads.SAME_PERSON}"

_NOTE = "update claims set proven_at = now() where business_id = $1 and call_sid = $2"
# The record of the call, if it is written; a later one is the lead's by its claim.
_TAKE_CALL = """
with taken as (update calls set lead_id = $3 where business_id = $1 and call_sid = $2
  and lead_id is null returning started_at)
update leads set calls = calls + 1, last_call_at = greatest(last_call_at, started_at)
  from taken where business_id = $1 and id = $3"""
# The lead may have been deleted since, or have got another number.
_IS_PROVEN = """
select exists (select from claims c
  join leads l on l.business_id = c.business_id and l.id = c.lead_id
  where c.business_id = $1 and c.call_sid = $2 and c.from_number = $3
    and c.from_number <> '' and l.phone = $3 and c.proven_at is not null)"""


class NoTries(Exception):
    """So many facts were wrong that no more are checked."""


class Fact(NamedTuple):
    """What a caller says to prove who they are."""

    email: str = ""
    appointment: datetime | None = None


class Verdict(NamedTuple):
    """What the fact opens, and how many tries are left if it opens nothing.

    A fact of an earlier claim from the same number opens the present claim, which now
    holds what the earlier claim held. Such a fact opens no lead: the same stranger may
    have made both claims.
    """

    opened: Lead | Claim | None
    tries_left: int


async def prove(
    db: Database, business_id: UUID, claimant: Claimant, fact: Fact
) -> Verdict:
    """Compare a fact with what is known about the number that the caller calls from.

    If the fact is the lead's, the claims and bookings of this call become the lead's.
    If the fact matches nothing, it counts as a failed try. The steps are the same for
    an unknown number. Raises NoTries.
    """
    async with db.tenant(business_id) as connection:
        await claims.lock_number(connection, business_id, claimant)
        claim = await claims.hold(connection, business_id, claimant, None, {})
        left = await _tries_left(connection, business_id, claimant)
        if left <= 0:
            raise NoTries
        phone = claimant.from_number
        known = await leads.known_as(connection, business_id, phone)
        if await _is_of_lead(connection, business_id, known, fact):
            await leads.note_call(connection, business_id, phone)
            lead = await _take_over(connection, business_id, phone, claim)
            await connection.execute(_NOTE, business_id, claimant.call_sid)
            return Verdict(lead, left)
        earlier = await _earlier_claim(connection, business_id, claimant, fact)
        if earlier is not None:
            adopted = await _adopt(connection, business_id, claimant, earlier)
            return Verdict(adopted, left)
        await connection.execute(
            "update claims set failed_tries = failed_tries + 1 "
            "where business_id = $1 and call_sid = $2",
            business_id,
            claimant.call_sid,
        )
    return Verdict(None, left - 1)


async def is_proven(db: Database, business_id: UUID, claimant: Claimant) -> bool:
    """Tell whether the caller of this very call has proven that the number is theirs.

    A claim that the business gave to a lead proves nothing of its caller.
    """
    async with db.tenant(business_id) as connection:
        found: bool = await connection.fetchval(
            _IS_PROVEN, business_id, claimant.call_sid, claimant.from_number
        )
    return found


@despite_deadlocks
async def accept(db: Database, business_id: UUID, call_sid: str) -> Lead | None:
    """Give a claim to the lead of the number it names, as the business has decided.

    What is known about the lead stands. Return None if there is no such claim, or if it
    names no number.
    """
    async with db.tenant(business_id) as connection:
        claim = await claims.read(connection, business_id, call_sid, locks=True)
        if claim is None or claim.phone is None:
            return None
        phone = claim.phone
        # What is read before the lock may be changed, or erased, meanwhile.
        await leads.lock(connection, business_id, phone)
        known = await leads.read(connection, business_id, phone)
        assert known is not None, "it is locked"
        fields = {**claim.fields, **known.fields}
        claim = replace(claim, name=known.name or claim.name, fields=fields)
        lead = await _take_over(connection, business_id, phone, claim)
        await connection.execute(_TAKE_CALL, business_id, call_sid, lead.id)
        return lead


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


async def _is_of_lead(
    connection: Any, business_id: UUID, phone: str, fact: Fact
) -> bool:
    found: bool = await connection.fetchval(
        "select exists (select from leads l where l.business_id = $1 and l.phone = $2 "
        f"and {_IS_RIGHT.format('l.fields', _OF_PERSON)})",
        business_id,
        phone,
        *_plain(fact),
    )
    return found


async def _earlier_claim(
    connection: Any, business_id: UUID, claimant: Claimant, fact: Fact
) -> Claim | None:
    """Return the newest claim of another call from the number, if the fact fits it."""
    call_sid: str | None = await connection.fetchval(
        "select c.call_sid from claims c where c.business_id = $1 "
        "and c.from_number = $2 and c.from_number <> '' and c.lead_id is null "
        "and c.call_sid <> $5 "
        f"and {_IS_RIGHT.format('c.fields', 'a.claimed_by = c.call_sid')} "
        "order by c.created_at desc limit 1",
        business_id,
        claimant.from_number,
        *_plain(fact),
        claimant.call_sid,
    )
    if call_sid is None:
        return None
    return await claims.read(connection, business_id, call_sid, locks=True)


def _plain(fact: Fact) -> tuple[str, datetime | None]:
    return fact.email.replace(" ", "").lower(), fact.appointment


async def _adopt(
    connection: Any, business_id: UUID, claimant: Claimant, earlier: Claim
) -> Claim:
    """Move the contents of an earlier claim to a call's claim.

    The earlier claim keeps its failed tries.
    """
    now = await claims.read(connection, business_id, claimant.call_sid)
    assert now is not None, "the claim is held in this transaction"
    said = {"name": now.name or earlier.name, **earlier.fields, **now.fields}
    both = (business_id, earlier.call_sid)
    await connection.execute(
        "update appointments set claimed_by = $3 where business_id = $1 "
        "and claimed_by = $2",
        *both,
        claimant.call_sid,
    )
    await connection.execute(
        "update claims set name = null, fields = '{}' where business_id = $1 "
        "and call_sid = $2",
        *both,
    )
    return await claims.hold(connection, business_id, claimant, None, said)


async def _take_over(
    connection: Any, business_id: UUID, phone: str, claim: Claim
) -> Lead:
    """Give what was said and booked in a call to the lead."""
    said = {"name": claim.name, **claim.fields}
    lead = await leads.learn(connection, business_id, phone, said)
    ours = (business_id, claim.call_sid, lead.id)
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
    found = await leads.read(connection, business_id, phone)
    assert found is not None, "the lead was written in this transaction"
    return found
