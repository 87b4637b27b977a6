"""People who can be booked: each has a time of their own, on a real database."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from msgspec.structs import replace

from crm import appointments, businesses, by_hand, free_times, saving
from crm.appointment_rows import ANY, Request
from crm.appointments import Taken
from crm.authors import By
from crm.businesses import Hours, Person, Service
from crm.by_hand import Closed, Place, Unknown
from crm.calendar import Rules, Wish
from crm.database import Database
from crm.free_times import Wanted
from crm.staff import StillBooked

DANA, DAN = "+972501234567", "+972501234568"
OWNER = By("hand", "Owner")
CUT, COLOUR = Service("Cut", 30), Service("Colour", 60)
DAY_AND_NIGHT = tuple(Hours(dow, 0, 1440) for dow in range(7))
NOW = datetime.now(UTC)
# Noon, three days from now.
NOON = (NOW + timedelta(days=3)).replace(hour=12, minute=0, second=0, microsecond=0)


class Salon:
    """A business with Anna, who does all, and Ben, who cuts only."""

    def __init__(self, db, business):
        self.db, self.business = db, business

    async def edit(self, **changes):
        def edit(business):
            return replace(business, **changes)

        self.business = await saving.change(self.db, self.business.id, edit, OWNER)

    async def book(self, phone=DANA, at=NOON, service=CUT, **more):
        request = Request(service, at, phone, **more)
        booked = await appointments.book(self.db, self.business, request, Rules(), NOW)
        return booked.appointment

    async def free(self, service=CUT, person=None):
        day = NOON.date()
        return await free_times.free(
            self.db,
            self.business,
            Wanted(service, person),
            Wish(day, day),
            Rules(30),
            NOW,
        )


def in_salon(url, story, staff=None, **pool):
    async def main():
        db = await Database.open(url, **pool)
        try:
            made = await businesses.create(db, f"Salon {uuid4().hex}")
            salon = Salon(db, await businesses.get(db, made))
            people = (Person(None, "Anna"), Person(None, "Ben", services=("Cut",)))
            await salon.edit(
                services=(CUT, COLOUR),
                hours=DAY_AND_NIGHT,
                staff=people if staff is None else staff,
            )
            await story(salon)
        finally:
            await db.close()

    asyncio.run(main())


def test_search_ends_with_the_week_that_has_enough(database_url):
    async def story(salon):
        wish = Wish(NOON.date(), NOON.date() + timedelta(days=60))
        asked = salon.db, salon.business, Wanted(CUT), wish, Rules(30), NOW
        every = await free_times.free(*asked)
        few = await free_times.free(*asked, most=100)
        assert 100 < len(few) <= 7 * 48 < len(every)
        assert few == every[: len(few)]

    in_salon(database_url, story)


def test_each_person_is_booked_once_at_a_time_and_the_next_is_told(database_url):
    async def story(salon):
        first, second = await salon.book(DANA), await salon.book(DAN)

        assert (first.starts_at, second.starts_at) == (NOON, NOON)
        assert {first.resource, second.resource} == {0, 1}
        with pytest.raises(Taken) as taken:
            await salon.book("+972501234569")
        assert len(taken.value.alternatives) == 3
        assert NOON not in [one.starts_at for one in taken.value.alternatives]

    in_salon(database_url, story)


def test_thirty_callers_for_one_time_have_as_many_winners_as_people(database_url):
    async def story(salon):
        phones = [f"+9725012345{n:02}" for n in range(30)]

        found = await asyncio.gather(
            *(salon.book(phone) for phone in phones), return_exceptions=True
        )

        won = [one for one in found if not isinstance(one, Exception)]
        assert {one.resource for one in won} == {0, 1}
        assert len(won) == 2
        assert {type(one) for one in found} == {type(won[0]), Taken}

    in_salon(database_url, story, pool_max=20)


def test_service_is_booked_with_who_does_it(database_url):
    async def story(salon):
        colour = await salon.book(DANA, service=COLOUR)
        assert free_times.name_of(salon.business, colour.resource) == "Anna"
        with pytest.raises(Taken):
            await salon.book(DAN, service=COLOUR)
        cut = await salon.book(DAN, person=None)
        assert free_times.name_of(salon.business, cut.resource) == "Ben"

    in_salon(database_url, story)


def test_asked_for_person_who_is_busy_is_not_replaced_but_others_are_named(
    database_url,
):
    async def story(salon):
        await salon.book(DANA, person=0)

        with pytest.raises(Taken) as taken:
            await salon.book(DAN, person=0)
        assert taken.value.others == (1,)
        assert all(one.people == (0,) for one in taken.value.alternatives)
        with pytest.raises(Taken):
            await salon.book(DAN, person=7)

    in_salon(database_url, story)


def test_who_has_least_to_do_on_the_day_is_booked_first(database_url):
    async def story(salon):
        await salon.book(DANA, at=NOON - timedelta(hours=3), person=0)
        booked = await salon.book(DAN)
        assert booked.resource == 1

    in_salon(database_url, story)


def test_caller_who_asks_again_has_it_already_and_gets_no_second_person(database_url):
    async def story(salon):
        first = await salon.book(DANA)
        again = await asyncio.gather(*(salon.book(DANA) for _ in range(4)))
        assert {one.id for one in again} == {first.id}
        with pytest.raises(Taken) as taken:
            await salon.book(DANA, service=COLOUR)
        assert taken.value.own.id == first.id
        # For somebody whom they bring along.
        other = await salon.book(DANA, person=1 - first.resource)
        assert other.id != first.id

    in_salon(database_url, story, pool_max=6)


def test_own_hours_replace_the_businesss_and_closures_bind_all(database_url):
    async def story(salon):
        dow = NOON.isoweekday() % 7
        own = (Hours(dow, 600, 660),)
        staff = (Person(0, "Anna", hours=own), Person(1, "Ben", is_active=False))
        await salon.edit(staff=staff)
        assert [f"{one.starts_at:%H:%M}" for one in await salon.free()] == [
            "10:00",
            "10:30",
        ]
        assert await salon.free(person=1) == []
        await salon.edit(
            closures=(businesses.Closure(NOON.date(), NOON.date(), "Feast"),)
        )
        assert await salon.free() == []

    in_salon(database_url, story)


def test_business_without_people_is_booked_as_a_whole(database_url):
    async def story(salon):
        booked = await salon.book(DANA)
        assert booked.resource == 0
        with pytest.raises(Taken) as taken:
            await salon.book(DAN)
        assert taken.value.alternatives[0].people == (0,)
        with pytest.raises(Taken):
            await salon.book(DAN, at=NOON + timedelta(hours=2), person=1)

    in_salon(database_url, story, staff=())


def test_first_person_takes_what_was_booked_before(database_url):
    async def story(salon):
        await salon.book(DANA)
        await salon.edit(staff=(Person(None, "Anna"), Person(None, "Ben")))
        assert [one.number for one in salon.business.staff] == [0, 1]
        assert (await salon.book(DAN)).resource == 1

    in_salon(database_url, story, staff=())


def test_person_keeps_their_number_under_a_new_name_and_none_is_given_twice(
    database_url,
):
    async def story(salon):
        await salon.book(DANA, person=1)
        # They exchange their names.
        await salon.edit(staff=(Person(0, "Ben"), Person(1, "Anna")))
        assert [(one.number, one.name) for one in salon.business.staff] == [
            (0, "Ben"),
            (1, "Anna"),
        ]
        with pytest.raises(StillBooked, match="'Anna' has 1 appointments to come"):
            await salon.edit(staff=(Person(0, "Ben"),))
        assert len((await businesses.get(salon.db, salon.business.id)).staff) == 2
        async with salon.db.tenant(salon.business.id) as connection:
            await connection.execute("update appointments set status = 'cancelled'")
        await salon.edit(staff=(Person(0, "Ben"),))
        await salon.edit(staff=(Person(0, "Ben"), Person(None, "Carl")))
        assert salon.business.staff[1].number == 2

    in_salon(database_url, story)


def test_move_keeps_the_person_if_they_are_free_and_else_takes_another(database_url):
    async def story(salon):
        later = NOON + timedelta(hours=2)
        await salon.book(DANA, person=1)
        moved = await by_hand_move(salon, DANA, NOON, Place(later))
        assert (moved.starts_at, moved.resource) == (later, 1)
        await salon.book(DAN, person=1)
        back = await by_hand_move(salon, DANA, later, Place(NOON))
        assert (back.starts_at, back.resource) == (NOON, 0)
        # To another person at the same time.
        await salon.book(DANA, at=later, person=0)
        moved = await by_hand_move(salon, DANA, later, Place(later, 1))
        assert (moved.starts_at, moved.resource) == (later, 1)

    in_salon(database_url, story)


async def by_hand_move(salon, phone, at, place):
    which = await id_of(salon, phone, at)
    return await by_hand.move(salon.db, salon.business, which, place, OWNER, NOW)


async def id_of(salon, phone, at):
    async with salon.db.tenant(salon.business.id) as connection:
        return await connection.fetchval(
            "select a.id from appointments a join leads l on l.id = a.lead_id "
            "where l.phone = $1 and starts_at = $2 and a.status = 'booked'",
            phone,
            at,
        )


def test_caller_moves_to_another_person_at_the_same_time(database_url):
    async def story(salon):
        await salon.book(DANA, person=0)
        request = Request(CUT, NOON, DANA, person=1)

        async def move():
            return await appointments.move(
                salon.db, salon.business, request, ANY, Rules(), NOW
            )

        moved, is_new = await move()
        assert (moved.resource, is_new) == (1, True)
        assert not (await move()).is_new

    in_salon(database_url, story)


def test_by_hand_and_by_call_one_wins_and_the_other_is_told(database_url):
    async def story(salon):
        def hand():
            return by_hand.book(
                salon.db, salon.business, CUT, Place(NOON), DAN, "Dan", OWNER, NOW
            )

        for at in range(1, 6):
            noon = NOON + timedelta(hours=at)
            place = Place(noon)
            found = await asyncio.gather(
                salon.book(DANA, at=noon, by=By("call", "CA1")),
                by_hand.book(
                    salon.db, salon.business, CUT, place, DAN, "Dan", OWNER, NOW
                ),
                return_exceptions=True,
            )
            lost = [one for one in found if isinstance(one, Taken)]
            assert len(lost) == 1
            assert len(lost[0].alternatives) == 3
        assert (await hand()).is_new
        async with salon.db.tenant(salon.business.id) as connection:
            rows = await connection.fetch(
                "select distinct made_source, made_by from appointments "
                "where starts_at = $1",
                NOON,
            )
        assert [tuple(row) for row in rows] == [("hand", "Owner")]

    in_salon(database_url, story, staff=(), pool_max=4)


def test_what_was_cancelled_meanwhile_is_said_with_who_did_it(database_url):
    async def story(salon):
        booked = await salon.book(DANA)
        by = By("call", "CA1")
        await appointments.cancel(salon.db, salon.business.id, DANA, ANY, NOW, None, by)

        for change in (
            by_hand.cancel(salon.db, salon.business.id, booked.id, OWNER, NOW),
            by_hand.move(salon.db, salon.business, booked.id, Place(NOON), OWNER, NOW),
        ):
            with pytest.raises(Closed) as closed:
                await change
            assert (closed.value.status, closed.value.by) == ("cancelled", by)
        with pytest.raises(Unknown):
            await by_hand.cancel(salon.db, salon.business.id, uuid4(), OWNER, NOW)

    in_salon(database_url, story)


def test_cancelled_by_hand_the_lead_is_cancelled_and_the_time_is_free(database_url):
    async def story(salon):
        booked = await salon.book(DANA)
        await by_hand.cancel(salon.db, salon.business.id, booked.id, OWNER, NOW)
        async with salon.db.tenant(salon.business.id) as connection:
            row = await connection.fetchrow(
                "select a.status, l.status, closed_source, closed_by "
                "from appointments a join leads l on l.id = a.lead_id"
            )
        assert tuple(row) == ("cancelled", "cancelled", "hand", "Owner")
        assert len(await salon.free()) == 48

    in_salon(database_url, story)


def test_failed_move_by_hand_changes_nothing(database_url):
    async def story(salon):
        mine = await salon.book(DANA)
        later = NOON + timedelta(hours=1)
        await salon.book(DAN, at=later)

        with pytest.raises(Taken):
            await by_hand.move(
                salon.db, salon.business, mine.id, Place(later), OWNER, NOW
            )
        assert await id_of(salon, DANA, NOON) == mine.id
        same = await by_hand.move(
            salon.db, salon.business, mine.id, Place(NOON), OWNER, NOW
        )
        assert same.id == mine.id

    in_salon(database_url, story, staff=())


def test_other_business_cannot_touch_an_appointment(database_url):
    async def story(salon):
        booked = await salon.book(DANA)
        other = await businesses.create(salon.db, f"Other {uuid4().hex}")
        theirs = await businesses.get(salon.db, other)

        with pytest.raises(Unknown):
            await by_hand.cancel(salon.db, other, booked.id, OWNER, NOW)
        with pytest.raises(Unknown):
            await by_hand.move(salon.db, theirs, booked.id, Place(NOON), OWNER, NOW)
        assert await id_of(salon, DANA, NOON) == booked.id

    in_salon(database_url, story)
