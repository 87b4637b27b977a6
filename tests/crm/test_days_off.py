"""Days off of a person: on a real database, as callers and people book."""

from datetime import timedelta

import pytest
from msgspec.structs import replace

from crm import by_hand
from crm.appointments import Taken
from crm.businesses import Closure
from crm.by_hand import Place
from tests.crm.test_staff import DAN, DANA, NOON, NOW, OWNER, in_salon


def test_a_day_off_is_that_person_s_alone(database_url):
    async def story(salon):
        off = (Closure(NOON.date(), NOON.date(), "Ill"),)
        anna, ben = salon.business.staff
        await salon.edit(staff=(replace(anna, days_off=off), ben))
        assert salon.business.staff[0].days_off == off
        assert await salon.free(person=0) == []
        assert {one.people for one in await salon.free()} == {(1,)}
        assert (await salon.book(DANA)).resource == 1
        with pytest.raises(Taken):
            await salon.book(DAN, person=0)
        with pytest.raises(Taken):
            await salon.book(DAN)
        await salon.edit(staff=(replace(anna, days_off=()), ben))
        assert (await salon.book(DAN)).resource == 0

    in_salon(database_url, story)


def test_a_day_off_refuses_a_booking_and_a_move_by_hand(database_url):
    async def story(salon):
        anna, ben = salon.business.staff
        booked = await salon.book(DANA, at=NOON + timedelta(days=1), person=0)
        off = (Closure(NOON.date(), NOON.date()),)
        await salon.edit(staff=(replace(anna, days_off=off), ben))
        with pytest.raises(Taken):
            await by_hand.move(
                salon.db, salon.business, booked.id, Place(NOON, 0), OWNER, NOW
            )
        moved = await by_hand.move(
            salon.db, salon.business, booked.id, Place(NOON, 1), OWNER, NOW
        )
        assert moved.resource == 1

    in_salon(database_url, story)
