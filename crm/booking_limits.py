"""How many appointments to come a caller may have, and who counts as one caller."""

from datetime import datetime
from typing import Any
from uuid import UUID

from crm.appointment_rows import Holder, Request
from crm.leads import PERSON


class TooMany(Exception):
    """The caller has as many upcoming appointments as one caller may have.

    Where `is_shared`, the limit is that of all callers with a withheld number together.
    """

    def __init__(self, limit: int, *, is_shared: bool = False) -> None:
        super().__init__(f"{limit} appointments to come")
        self.limit = limit
        self.is_shared = is_shared


async def check(
    connection: Any, business_id: UUID, request: Request, holder: Holder, now: datetime
) -> None:
    """Raise TooMany unless the caller may have one more appointment.

    A caller whose number proves nothing learns nothing about the number's lead: only
    the claims of calls from that number are counted.
    """
    claimant = request.claimed_by
    who: UUID | str | None
    if claimant is None:
        whose, who = f"a.lead_id = any (array({PERSON}))", holder.lead_id
    elif claimant.from_number:
        whose, who = "c.from_number = $2", claimant.from_number
    else:
        whose, who = "a.claimed_by = $2", claimant.call_sid
    count = await connection.fetchval(
        "select count(*) from appointments a left join claims c "
        "on c.business_id = a.business_id and c.call_sid = a.claimed_by "
        "where a.business_id = $1 and a.status = 'booked' and a.starts_at > $3 "
        f"and {whose}",
        business_id,
        who,
        now,
    )
    if count >= request.open_max:
        raise TooMany(request.open_max)
    if claimant is not None and not claimant.from_number:
        await _check_withheld(connection, business_id, request, now)


async def _check_withheld(
    connection: Any, business_id: UUID, request: Request, now: datetime
) -> None:
    count = await connection.fetchval(
        "select count(*) from appointments a join claims c "
        "on c.business_id = a.business_id and c.call_sid = a.claimed_by "
        "where a.business_id = $1 and a.claimed_by is not null "
        "and a.status = 'booked' and a.starts_at > $2 and c.from_number = ''",
        business_id,
        now,
    )
    if count >= request.withheld_max:
        raise TooMany(request.withheld_max, is_shared=True)
