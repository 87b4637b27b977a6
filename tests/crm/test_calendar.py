"""Free times by hours, closures, buffers, lead time and the clock changes of a zone."""

from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import msgspec
import pytest

from crm.businesses import Business, Closure, Hours, Service
from crm.calendar import Rules, Span, Wish, free_slots, nearest, weeks

DAY = date(2026, 11, 24)  # a Tuesday
BEFORE = datetime(2026, 1, 1, tzinfo=UTC)
ANY_TIME = Rules(step_minutes=30, lead_minutes=0, days_max=366)


def business(zone="UTC", hours=((2, 600, 720),), closures=()):
    return Business(
        id=UUID(int=1),
        name="Salon",
        language="en",
        country="IL",
        time_zone=zone,
        greeting="",
        custom_prompt="",
        fallback_sentence="",
        hours=tuple(Hours(*one) for one in hours),
        closures=closures,
    )


def starts(shop, wish, service=None, busy=(), rules=ANY_TIME, now=BEFORE):
    cut = service or Service("Cut", 30)
    slots = free_slots(shop, cut, wish, busy, rules, now)
    return [f"{slot.starts_at:%d %H:%M}" for slot in slots]


def test_a_service_ends_before_the_hours_do():
    wish = Wish(DAY, DAY)

    assert starts(business(), wish) == ["24 10:00", "24 10:30", "24 11:00", "24 11:30"]
    assert starts(business(), wish, Service("Long", 90)) == ["24 10:00", "24 10:30"]


def test_what_is_booked_and_the_buffers_are_not_free():
    at = datetime(2026, 11, 24, 11, tzinfo=UTC)
    busy = [Span(at, at + timedelta(minutes=30))]

    assert starts(business(), Wish(DAY, DAY), busy=busy) == [
        "24 10:00",
        "24 10:30",
        "24 11:30",
    ]
    assert starts(business(), Wish(DAY, DAY), Service("Cut", 30, 10), busy) == [
        "24 10:00",
        "24 11:30",
    ]


def test_closed_days_lead_time_and_horizon_are_kept():
    wish = Wish(DAY, DAY)
    now = datetime(2026, 11, 24, 10, 5, tzinfo=UTC)

    assert starts(business(closures=(Closure(DAY, DAY),)), wish) == []
    assert starts(business(), wish, rules=Rules(30, 45, 90), now=now) == [
        "24 11:00",
        "24 11:30",
    ]
    assert starts(business(), wish, rules=Rules(30, 0, 90)) == []


def test_a_closed_day_ends_the_night_before_it():
    late = business("Asia/Jerusalem", ((2, 21 * 60, 27 * 60),))
    both = Wish(DAY, DAY + timedelta(days=1))
    hour = Service("Long", 60)
    every_hour = Rules(60, 0, 366)
    closed = [Closure(DAY + timedelta(days=n), DAY + timedelta(days=n)) for n in (0, 1)]

    def left(*closures):
        shop = msgspec.structs.replace(late, closures=closures)
        return starts(shop, both, hour, rules=every_hour)

    evening = ["24 19:00", "24 20:00", "24 21:00"]
    assert left() == [*evening, "24 22:00", "24 23:00", "25 00:00"]
    assert left(closed[1]) == evening
    assert left(closed[0]) == []
    long = starts(
        msgspec.structs.replace(late, closures=(closed[1],)),
        both,
        Service("Longer", 120),
        rules=every_hour,
    )
    assert long == evening[:2]


def test_weeks_are_the_whole_wish():
    wish = Wish(DAY, DAY + timedelta(days=15), "morning")

    parts = list(weeks(wish))

    days = [(part.last_day - part.first_day).days + 1 for part in parts]
    assert days == [7, 7, 2]
    assert {part.part_of_day for part in parts} == {"morning"}
    assert (parts[0].first_day, parts[-1].last_day) == (DAY, wish.last_day)
    assert list(weeks(Wish(DAY, DAY))) == [Wish(DAY, DAY)]


def test_parts_of_the_day_and_nights_are_local():
    shop = business("Asia/Jerusalem", ((2, 22 * 60, 25 * 60),))

    assert starts(shop, Wish(DAY, DAY, "evening")) == [
        "24 20:00",
        "24 20:30",
        "24 21:00",
        "24 21:30",
    ]
    after_midnight = Wish(DAY + timedelta(days=1), DAY + timedelta(days=1), "morning")
    assert starts(shop, after_midnight) == ["24 22:00", "24 22:30"]


def test_a_service_goes_on_where_the_next_hours_begin():
    day_and_night = business("Asia/Jerusalem", [(dow, 0, 1440) for dow in range(7)])
    late = Wish(DAY, DAY, "evening")
    assert starts(day_and_night, late, Service("Wide", 90))[-3:] == [
        "24 20:30",
        "24 21:00",
        "24 21:30",
    ]
    whole_days = Service("Stay", 1440)
    assert len(starts(day_and_night, Wish(DAY, DAY), whole_days)) == 48

    closed = (Closure(DAY + timedelta(days=1), DAY + timedelta(days=1)),)
    shut = business("UTC", [(dow, 0, 1440) for dow in range(7)], closed)
    assert starts(shut, late, Service("Wide", 90))[-1] == "24 22:30"
    # Each hours' starts are counted from their own opening.
    two = business("UTC", ((2, 600, 640), (2, 640, 700)))
    assert starts(two, Wish(DAY, DAY)) == [
        "24 10:00",
        "24 10:30",
        "24 10:40",
        "24 11:10",
    ]


@pytest.mark.parametrize(
    ("zone", "day", "slots"),
    [
        ("Asia/Jerusalem", date(2026, 3, 27), 46),
        ("Asia/Jerusalem", date(2026, 10, 25), 50),
        ("America/New_York", date(2026, 3, 8), 46),
        ("Australia/Lord_Howe", date(2026, 10, 4), 47),  # half an hour
        ("Asia/Kolkata", date(2026, 3, 27), 48),
    ],
)
def test_days_of_clock_changes_have_the_slots_they_last(zone, day, slots):
    shop = business(zone, [(dow, 0, 1440) for dow in range(7)])

    assert len(starts(shop, Wish(day, day))) == slots


def test_nearest_comes_first():
    shop = business()
    slots = free_slots(shop, Service("Cut", 30), Wish(DAY, DAY), (), ANY_TIME, BEFORE)

    found = nearest(slots, datetime(2026, 11, 24, 11, 10, tzinfo=UTC), 2)

    assert [f"{slot.starts_at:%H:%M}" for slot in found] == ["11:00", "11:30"]
