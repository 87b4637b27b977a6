"""Free times of a business with its bookings: when, and with whom.

A business without people is booked as a whole, as number 0. A business with people is
free whenever one of them is who does the service; each keeps their own hours and has
their own days off.
"""

import asyncio
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from msgspec.structs import replace

from crm import calendar
from crm.businesses import Business, Person, Service
from crm.calendar import Rules, Span, Wish
from crm.database import Database
from crm.names import same_name_key

# The number of a business that is booked as a whole.
WHOLE = 0


class Offer(NamedTuple):
    """A free time, and the numbers of those who are free then."""

    starts_at: datetime
    ends_at: datetime
    people: tuple[int, ...] = (WHOLE,)


class Diary(NamedTuple):
    """Who is booked, and the business with the hours and days off of that person."""

    number: int
    business: Business


class Wanted(NamedTuple):
    """What is looked for; `person` is the only one who will do, `keeps` the one who has
    the appointment already, whatever services they do."""

    service: Service
    person: int | None = None
    keeps: int | None = None


def people(business: Business) -> list[Person]:
    """Return the people who can be booked, in order."""
    return [one for one in business.staff if one.is_active]


def does(person: Person, service: Service) -> bool:
    """Tell whether a person does a service."""
    wanted = same_name_key(service.name)
    return not person.services or wanted in map(same_name_key, person.services)


def diaries(business: Business, wanted: Wanted) -> list[Diary]:
    """Return whose times are looked at, in order."""
    if not business.staff:
        return [Diary(WHOLE, business)] if not wanted.person else []
    return [
        Diary(one.number, as_of(business, one))
        for one in people(business)
        if one.number is not None
        and wanted.person in (None, one.number)
        and (one.number == wanted.keeps or does(one, wanted.service))
    ]


def as_of(business: Business, person: Person) -> Business:
    """Return a business with the hours of a person, closed on their days off, too."""
    return replace(
        business,
        hours=person.hours or business.hours,
        closures=business.closures + person.days_off,
    )


async def free(
    db: Database,
    business: Business,
    wanted: Wanted,
    wish: Wish,
    rules: Rules,
    now: datetime,
    most: int | None = None,
) -> list[Offer]:
    """Return the free times of a wish, in order; of those beyond `most` only a few."""
    found = diaries(business, wanted)
    async with db.tenant(business.id) as connection:
        busy = await _busy(connection, business, found, wish)
    return await _offers(found, wanted.service, wish, busy, rules, now, most)


async def read(
    connection: Any,
    business: Business,
    wanted: Wanted,
    wish: Wish,
    rules: Rules,
    now: datetime,
) -> list[Offer]:
    """Return the free times of a wish, as `free` does, in a transaction.

    The people of a time are in the order in which they are to be tried: who has the
    appointment already, then who has the least to do on that day.
    """
    found = diaries(business, wanted)
    busy = await _busy(connection, business, found, wish)
    offers = await _offers(found, wanted.service, wish, busy, rules, now)
    if len(found) < 2:
        return offers
    load = _Load(busy, ZoneInfo(business.time_zone), wanted.keeps)
    return [one._replace(people=load.order(one)) for one in offers]


async def _offers(
    found: Sequence[Diary],
    service: Service,
    wish: Wish,
    busy: dict[int, list[Span]],
    rules: Rules,
    now: datetime,
    most: int | None = None,
) -> list[Offer]:
    merged: dict[datetime, Offer] = {}
    for part in calendar.weeks(wish):
        for number, own in found:
            taken = busy.get(number, ())
            for slot in calendar.free_slots(own, service, part, taken, rules, now):
                known = merged.get(slot.starts_at)
                others = () if known is None else known.people
                merged[slot.starts_at] = Offer(*slot, (*others, number))
            # A week open day and night is 2 ms of work, two months are 25 ms: other
            # calls' frames are processed in between.
            await asyncio.sleep(0)
        if most is not None and len(merged) > most:
            break
    return [merged[start] for start in sorted(merged)]


async def _busy(
    connection: Any, business: Business, found: Sequence[Diary], wish: Wish
) -> dict[int, list[Span]]:
    # The query is bounded by `starts_at` alone: under row-level security a range
    # operator would not use the index.
    span = calendar.absolute_span(business, wish)
    rows = await connection.fetch(
        "select resource, starts_at, busy_until from appointments "
        "where business_id = $1 and resource = any ($2) and status = 'booked' "
        "and starts_at >= $3 and starts_at < $4",
        business.id,
        [one.number for one in found],
        *span,
    )
    busy: dict[int, list[Span]] = {}
    for number, *times in map(tuple, rows):
        busy.setdefault(number, []).append(Span(*times))
    return busy


class _Load:
    """Who is to be tried first."""

    def __init__(
        self, busy: dict[int, list[Span]], zone: ZoneInfo, keeps: int | None
    ) -> None:
        self._busy = busy
        self._zone = zone
        self._keeps = keeps

    def order(self, offer: Offer) -> tuple[int, ...]:
        day = offer.starts_at.astimezone(self._zone).date()
        # Stable: who has as little to do stays in the order of the staff.
        return tuple(
            sorted(
                offer.people,
                key=lambda one: (one != self._keeps, sum(self._on(one, day))),
            )
        )

    def _on(self, number: int, day: Any) -> Iterator[float]:
        for span in self._busy.get(number, ()):
            if span.starts_at.astimezone(self._zone).date() == day:
                yield (span.ends_at - span.starts_at) / timedelta(minutes=1)


def name_of(business: Business, number: int) -> str:
    """Return the name of a person, "" where the business is booked as a whole."""
    return next((one.name for one in business.staff if one.number == number), "")
