"""The table of a day: rows, cells and columns, without a database."""

import asyncio
from datetime import UTC, date, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from bridge.console.calendar_grid import columns, day_rows, week_of, week_rows
from crm.authors import NOBODY
from crm.businesses import Business, Closure, Hours, Person
from crm.diary import Entry

DAY = date(2026, 11, 24)  # a Tuesday
AN_HOUR = (Hours(2, 600, 660),)
BEFORE = datetime(2026, 1, 1, tzinfo=UTC)


def shop(*, staff=(), hours=AN_HOUR, closures=(), zone="UTC"):
    return Business(
        id=UUID(int=1),
        name="Salon",
        language="en",
        country="IL",
        time_zone=zone,
        greeting="",
        custom_prompt="",
        fallback_sentence="",
        hours=hours,
        staff=staff,
        closures=closures,
    )


def entry(hour, minute, minutes, *, resource=0, buffer=0):
    at = datetime(2026, 11, 24, hour, minute, tzinfo=UTC)
    ends = at + timedelta(minutes=minutes)
    return Entry(
        id=uuid4(),
        starts_at=at,
        ends_at=ends,
        busy_until=ends + timedelta(minutes=buffer),
        resource=resource,
        status="booked",
        service="Cut",
        colour="",
        lead_id=None,
        name="",
        phone="",
        is_claim=False,
        created_at=at,
        closed_at=None,
        made=NOBODY,
        closed=NOBODY,
    )


def kinds(business, entries=(), now=BEFORE):
    """Return each column's cells as `kind rows`, by the column's number."""
    found = {}
    for row in asyncio.run(day_rows(business, DAY, entries, now)):
        for cell in row.cells:
            text = f"{row.at:%H:%M} {cell.kind} {cell.rows}"
            found.setdefault(cell.column.number, []).append(text)
    return found


def test_booking_takes_the_rows_it_touches_and_its_pause_the_next_ones():
    found = kinds(shop(), [entry(10, 5, 20, buffer=15)])

    assert found == {0: ["10:00 booked 2", "10:30 buffer 1", "10:45 free 1"]}


def test_bookings_in_one_row_share_a_cell():
    found = kinds(shop(), [entry(10, 0, 5), entry(10, 5, 20)])

    assert found[0][0] == "10:00 booked 2"
    assert found[0][1] == "10:30 free 1"


def test_booking_outside_the_hours_widens_the_day():
    found = kinds(shop(), [entry(11, 30, 30)])

    assert found[0][3:6] == ["10:45 free 1", "11:00 closed 1", "11:15 closed 1"]
    assert found[0][6:] == ["11:30 booked 2"]


def test_what_is_over_cannot_be_booked():
    now = datetime(2026, 11, 24, 10, 20, tzinfo=UTC)

    assert [one.split()[1] for one in kinds(shop(), now=now)[0]] == [
        "past",
        "past",
        "free",
        "free",
    ]


def test_each_person_has_their_hours_and_who_is_gone_what_they_have():
    staff = (
        Person(0, "Anna"),
        Person(1, "Ben", hours=(Hours(2, 630, 660),)),
        Person(2, "Zoe", is_active=False),
    )
    found = kinds(shop(staff=staff), [entry(10, 0, 60, resource=7)])

    assert found[1] == [
        "10:00 closed 1",
        "10:15 closed 1",
        "10:30 free 1",
        "10:45 free 1",
    ]
    assert found[7] == ["10:00 booked 4"]
    assert 2 not in found
    late = [entry(10, 0, 15, resource=2)]
    assert [one.number for one in columns(shop(staff=staff), late)] == [0, 1, 2]


def test_closed_day_without_bookings_has_no_rows():
    closed = shop(closures=(Closure(DAY, DAY),))

    assert asyncio.run(day_rows(closed, DAY, [], BEFORE)) == []
    assert asyncio.run(day_rows(shop(hours=()), DAY, [], BEFORE)) == []


def test_a_day_off_closes_the_column_of_one_person():
    staff = (Person(0, "Anna", days_off=(Closure(DAY, DAY),)), Person(1, "Ben"))
    found = kinds(shop(staff=staff))

    assert {kind.split()[1] for kind in found[0]} == {"closed"}
    assert {kind.split()[1] for kind in found[1]} == {"free"}


def test_night_that_began_the_day_before_reaches_into_the_day():
    night = shop(hours=(Hours(1, 1320, 1560),))

    assert kinds(night)[0][0] == "00:00 free 1"
    assert len(kinds(night)[0]) == 8


@pytest.mark.parametrize(
    ("country", "first"), [("IL", 22), ("US", 22), ("DE", 23), ("AE", 23), ("BQ", 23)]
)
def test_week_begins_as_the_country_counts(country, first):
    assert week_of(DAY, country) == date(2026, 11, first)


def test_week_has_a_row_a_person_and_says_which_days_are_closed():
    first = week_of(DAY, "IL")
    ((column, days),) = asyncio.run(week_rows(shop(), first, [entry(10, 0, 30)]))

    assert column.number == 0
    assert [day.is_closed for day in days] == [True, True, False, *[True] * 4]
    assert [len(day.entries) for day in days] == [0, 0, 1, 0, 0, 0, 0]


def test_many_people_leave_the_event_loop_its_turn():
    """Each person's column is a piece of its own: calls' frames go on in between."""
    staff = tuple(Person(number, f"P{number}") for number in range(20))

    async def turns(making):
        count, task = 0, asyncio.ensure_future(making)
        while not task.done():
            await asyncio.sleep(0)
            count += 1
        return count

    busy = shop(staff=staff)
    assert asyncio.run(turns(day_rows(busy, DAY, [], BEFORE))) >= 40
    assert asyncio.run(turns(week_rows(busy, DAY, []))) >= 20
