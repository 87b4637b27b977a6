"""Services, staff, hours and closures as they are changed in the browser."""

import asyncio
import re

import pytest

from crm import businesses
from tests.bridge.console.test_calendar_page import (
    DAY,
    booked,
    by_call,
    form,
    open_salon,
)


def run(desk, story):
    async def main():
        async with desk() as at:
            await open_salon(at)
            await at.owner.get(at.path("services"))
            await story(at)

    asyncio.run(main())


async def now(at):
    return await businesses.get(at.database, at.ours)


def service(**changes):
    fields = {"name": "Colour", "minutes": "60", "buffer_minutes": "15"}
    return {**fields, "price": "200 ₪", "colour": "#cc6600", **changes}


def test_service_is_added_renamed_with_its_bookings_raised_and_removed(desk):
    async def story(at):
        await by_call(at)
        where = at.path("services", "service")
        assert (await at.owner.post(where, **service()))[0] == 303
        assert [one.name for one in (await now(at)).services] == ["Cut", "Colour"]
        assert (await at.owner.get(f"{where}?was=Cut"))[0] == 200
        changed = service(was="Cut", name="Haircut", minutes="45")
        assert (await at.owner.post(where, **changed))[0] == 303
        assert [one.service for one in await booked(at)] == ["Haircut"]
        assert (await at.owner.post(at.path("services", "up"), was="Colour"))[0] == 303
        assert [one.name for one in (await now(at)).services] == ["Colour", "Haircut"]
        _, text = await at.owner.get(at.path("services"))
        assert "200 ₪" in text
        assert (await at.owner.post(f"{where}/remove", was="Haircut"))[0] == 303
        assert [one.name for one in (await now(at)).services] == ["Colour"]
        assert [one.service for one in await booked(at)] == [""]
        assert "service.changed" in (await at.owner.get(at.path("audit")))[1]

    run(desk, story)


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": " cut "}, "name"),
        ({"minutes": "4"}, "minutes"),
        ({"minutes": "many"}, "minutes"),
        ({"minutes": "٣٠"}, "minutes"),
        ({"minutes": "9" * 5_000}, "minutes"),
        ({"buffer_minutes": "-1"}, "buffer_minutes"),
        ({"price": "x" * 41}, "price"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_wrong_field_of_a_service_is_named(desk, wrong, field):
    async def story(at):
        status, text = await at.owner.post(
            at.path("services", "service"), **service(**wrong)
        )
        assert status == 422
        assert f'id="{field}-fault"' in text
        assert len((await now(at)).services) == 1

    run(desk, story)


def test_person_is_added_changed_and_kept_while_they_are_booked(desk):
    async def story(at):
        where = at.path("services", "person")
        for name in ("Anna", "Ben"):
            fields = {"name": name, "colour": "#3366cc", "active": "1"}
            assert (await at.owner.post(where, **fields))[0] == 303
        await at.owner.post(at.path("calendar", "new"), **form(staff="1"))
        fields = {"name": "Benny", "number": "1", "active": "1", "services": "Cut"}
        changed = {**fields, "monday": "09:00-12:00 13:00-15:00"}
        assert (await at.owner.post(where, **changed))[0] == 303
        benny = (await now(at)).staff[1]
        assert (benny.number, benny.name, benny.services) == (1, "Benny", ("Cut",))
        assert len(benny.hours) == 2
        _, text = await at.owner.get(f"{where}?number=1")
        assert "09:00-12:00 13:00-15:00" in text
        status, text = await at.owner.post(f"{where}/remove", number="1")
        assert status == 422
        assert "appointments to come" in text
        removed = at.path("services", "service", "remove")
        status, text = await at.owner.post(removed, was="Cut")
        assert (status, "change that first" in text) == (422, True)
        assert (await at.owner.post(at.path("services", "up"), number="1"))[0] == 303
        assert [one.number for one in (await now(at)).staff] == [1, 0]
        assert (await at.owner.post(f"{where}/remove", number="0"))[0] == 303
        assert [one.name for one in (await now(at)).staff] == ["Benny"]

    run(desk, story)


def test_wrong_field_of_a_person_is_named(desk):
    async def story(at):
        where = at.path("services", "person")
        assert (await at.owner.post(where, name="Anna", active="1"))[0] == 303
        for wrong, field in (
            ({"name": ""}, "name"),
            ({"name": "anna"}, "name"),
            ({"name": "Ben", "tuesday": "9-5"}, "tuesday"),
            ({"name": "Ben", "colour": "x"}, "colour"),
        ):
            status, text = await at.owner.post(where, **wrong)
            assert status == 422
            assert f'id="{field}-fault"' in text
        assert (await at.owner.post(where, name="Zoe", number="9"))[0] == 404
        assert (await at.owner.get(f"{where}?number=9"))[0] == 404

    run(desk, story)


def test_days_off_are_added_kept_with_the_form_and_removed(desk):
    async def story(at):
        where = at.path("services", "person")
        assert (await at.owner.post(where, name="Anna", active="1"))[0] == 303
        off = {"number": "0", "day": str(DAY), "until": str(DAY), "reason": "Ill"}
        for wrong, field in (
            ({"day": "soon"}, "day"),
            ({"until": "2020-01-01"}, "until"),
            ({"reason": "a\x07"}, "reason"),
        ):
            status, text = await at.owner.post(f"{where}/days-off", **{**off, **wrong})
            assert (status, f'id="{field}-fault"' in text) == (422, True), field
            assert 'value="Anna"' in text
        assert (await at.owner.post(f"{where}/days-off", **off))[0] == 303
        status, text = await at.owner.post(f"{where}/days-off", **off)
        assert (status, 'id="day-fault"' in text) == (422, True)
        saved = {"name": "Anne", "number": "0", "active": "1"}
        assert (await at.owner.post(where, **saved))[0] == 303
        (anne,) = (await now(at)).staff
        assert [one.reason for one in anne.days_off] == ["Ill"]
        removed = {"number": "0", "day": str(DAY)}
        assert (await at.owner.post(f"{where}/days-off/remove", **removed))[0] == 303
        assert (await now(at)).staff[0].days_off == ()
        for verb in ("days-off", "days-off/remove"):
            gone = {**off, "number": "9"}
            assert (await at.owner.post(f"{where}/{verb}", **gone))[0] == 404
        assert "days_off.added" in (await at.owner.get(at.path("audit")))[1]

    run(desk, story)


def test_hours_and_closures_are_changed_and_faults_named(desk):
    async def story(at):
        hours = at.path("services", "hours")
        status, text = await at.owner.post(hours, sunday="09:00-13:00", friday="9")
        assert (status, 'id="friday-fault"' in text) == (422, True)
        assert 'value="9"' in text
        await at.owner.post(hours, sunday="09:00-13:00 14:00-18:00")
        found = (await now(at)).hours
        assert [(one.dow, one.opens_minute) for one in found] == [(0, 540), (0, 840)]
        closures = at.path("services", "closures")
        for wrong, field in (
            ({"day": ""}, "day"),
            ({"day": str(DAY), "until": "2020-01-01"}, "until"),
            ({"day": str(DAY), "until": "x"}, "until"),
            ({"day": str(DAY), "reason": "\x07"}, "reason"),
        ):
            status, text = await at.owner.post(closures, **wrong)
            assert (status, f'id="{field}-fault"' in text) == (422, True), wrong
        assert (await at.owner.post(closures, day=str(DAY), reason="Feast"))[0] == 303
        status, text = await at.owner.post(closures, day=str(DAY))
        assert (status, 'id="day-fault"' in text) == (422, True)
        assert [one.reason for one in (await now(at)).closures] == ["Feast"]
        await at.owner.post(f"{closures}/remove", day=str(DAY))
        assert (await now(at)).closures == ()

    run(desk, story)


async def fields_of(browser, path):
    """Return the fields of the page's main form, as a browser would send them."""
    _, text = await browser.get(path)
    inputs = [one for one in re.findall("<(?:input|option)[^>]*>", text)]
    sent = {}
    for one in inputs:
        found = dict(re.findall(r'(\w+)="([^"]*)"', one))
        is_on = found.get("type") != "checkbox" or " checked" in one
        if "name" in found and found["name"] != "csrf" and is_on:
            sent.setdefault(found["name"], found.get("value", ""))
    return sent


def test_a_form_that_was_open_changes_only_what_was_changed_in_it(desk):
    async def story(at):
        page, person = at.path("services"), at.path("services", "person")
        cut = at.path("services", "service")
        await at.owner.post(f"{page}/hours", sunday="09:00-13:00", monday="10:00-12:00")
        await at.owner.post(person, name="Anna", active="1", services="Cut")
        hours = await fields_of(at.owner, page)
        anna = await fields_of(at.owner, f"{person}?number=0")
        old = await fields_of(at.owner, f"{cut}?was=Cut")
        assert (anna["active"], old["price"]) == ("1", "80 ₪")
        # Meanwhile, in another tab.
        await at.owner.post(f"{page}/hours", **{**hours, "monday": "10:00-16:00"})
        await at.owner.post(person, **{**anna, "number": "0", "active": ""})
        await at.owner.post(cut, **{**old, "price": "90 ₪"})

        await at.owner.post(f"{page}/hours", **{**hours, "sunday": ""})
        await at.owner.post(person, **{**anna, "number": "0", "name": "Anne"})
        await at.owner.post(cut, **{**old, "minutes": "45"})
        business = await now(at)
        assert [(one.dow, one.closes_minute) for one in business.hours] == [(1, 960)]
        (one,) = business.staff
        assert (one.name, one.is_active, one.services) == ("Anne", False, ("Cut",))
        (service,) = business.services
        assert (service.minutes, service.price) == (45, "90 ₪")

    run(desk, story)


def test_staff_may_look_and_not_change_and_others_see_nothing(desk):
    async def story(at):
        _, text = await at.staff.get(at.path("services"))
        assert "Cut" in text
        assert "Add a service" not in text
        before = await now(at)
        for parts in (
            ("service",),
            ("service", "remove"),
            ("person",),
            ("person", "remove"),
            ("person", "days-off"),
            ("person", "days-off", "remove"),
            ("up",),
            ("hours",),
            ("closures",),
            ("closures", "remove"),
        ):
            fields = {**service(was="Cut"), "number": "0", "day": str(DAY)}
            where = at.path("services", *parts)
            assert (await at.staff.post(where, **fields))[0] == 403, parts
            assert (await at.other.post(where, **fields))[0] in (403, 404), parts
        await at.other.get(at.path("services", business=at.theirs))
        assert (await at.other.get(at.path("services")))[0] == 404
        assert (await at.other.post(at.path("services", "hours")))[0] == 404
        assert await now(at) == before

    run(desk, story)
