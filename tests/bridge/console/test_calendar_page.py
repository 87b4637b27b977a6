"""The calendar's pages: what is shown, and what is booked, moved, cancelled by hand."""

import asyncio
import re
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from msgspec.structs import replace

from crm import appointments, businesses, diary, leads, saving
from crm.appointment_rows import Request
from crm.authors import By
from crm.businesses import Hours, Person, Service
from crm.calendar import Rules
from tests.bridge.console.conftest import add_user

ZONE = "Asia/Jerusalem"
CUT = Service("Cut", 30, 0, "80 ₪", "#336699")
PHONE = "+972501234567"
DAY = (datetime.now(ZoneInfo(ZONE)) + timedelta(days=3)).date()
TEN = datetime(DAY.year, DAY.month, DAY.day, 10, tzinfo=ZoneInfo(ZONE))


async def open_salon(at, *, staff=(), day_and_night=False, zone=ZONE):
    hours = (0, 1440) if day_and_night else (540, 1080)

    def edit(business):
        return replace(
            business,
            time_zone=zone,
            country="IL",
            services=(CUT,),
            staff=staff,
            hours=tuple(Hours(dow, *hours) for dow in range(7)),
        )

    return await saving.change(at.database, at.ours, edit, By("hand", "Test"))


def form(**changes):
    fields = {"service": "Cut", "day": str(DAY), "time": "10:00", "phone": PHONE}
    return {**fields, "name": "Dana", **changes}


async def by_call(at, starts_at=TEN, phone="+972501234568"):
    business = await businesses.get(at.database, at.ours)
    request = Request(CUT, starts_at, phone, "Caller", by=By("call", "CA1"))
    booked = await appointments.book(
        at.database, business, request, Rules(), datetime.now(UTC)
    )
    return booked.appointment


def run(desk, story, **salon):
    async def main():
        async with desk() as at:
            await open_salon(at, **salon)
            await story(at)

    asyncio.run(main())


async def booked(at):
    span = (TEN - timedelta(days=2), TEN + timedelta(days=30))
    return await diary.entries(at.database, at.ours, *span)


def test_what_is_booked_by_hand_is_shown_with_its_author_and_audited(desk):
    async def story(at):
        await at.owner.get(at.path("calendar"))
        status, _ = await at.owner.post(at.path("calendar", "new"), **form())
        assert status == 303
        where = at.owner.headers["Location"]
        assert where == f"{at.path('calendar')}?day={DAY}"
        _, text = await at.owner.get(where)
        assert "Dana" in text
        assert 'fill="#336699"' in text
        (one,) = await booked(at)
        assert (one.made, one.phone) == (By("hand", "Owner"), PHONE)
        _, text = await at.owner.get(at.path("calendar", one.id))
        assert "by hand:" in text
        assert PHONE not in text
        assert "appointment.booked" in (await at.owner.get(at.path("audit")))[1]
        _, text = await at.owner.get(f"{at.path('calendar')}?day={DAY}&view=week")
        assert "Dana" in text
        # As the language orders month and day.
        assert f">{DAY:%a}, {DAY.month}/{DAY.day}</a>" in text

    run(desk, story)


def test_today_is_the_day_on_which_it_is_pressed(desk):
    async def story(at):
        here = at.path("calendar")
        _, text = await at.owner.get(f"{here}?day={DAY}&view=week")
        (link,) = re.findall('href="([^"]+)"[^>]*>Today<', text)
        # The page may have been open since yesterday.
        assert link == f"{here}?view=week"

    run(desk, story)


def test_what_is_wrong_in_the_form_is_named(desk):
    async def story(at):
        await at.staff.get(at.path("calendar"))
        for wrong, words in (
            ({"day": "soon"}, 'id="day-fault"'),
            ({"day": "9999-01-01"}, 'id="day-fault"'),
            ({"time": "25:00"}, 'id="time-fault"'),
            ({"time": "10:00+02:00"}, 'id="time-fault"'),
            ({"phone": "12"}, 'id="phone-fault"'),
            ({"service": "Shave"}, 'id="service-fault"'),
            ({"staff": "7"}, "Choose one of these people."),
            ({"staff": "1"}, "This person does not do this service."),
            ({"day": str(DAY - timedelta(days=30))}, "This time is over."),
            ({"time": "03:00"}, "This time is taken, or outside of the hours."),
        ):
            status, text = await at.staff.post(
                at.path("calendar", "new"), **form(**wrong)
            )
            assert status == 422, wrong
            assert words in text, wrong
        assert await booked(at) == []

    colour = Person(None, "Ben", services=("Cut",))
    other = Person(None, "Zoe")

    async def with_staff(at):
        def edit(business):
            services = (CUT, Service("Colour", 60))
            zoe = replace(other, services=("Colour",))
            return replace(business, services=services, staff=(colour, zoe))

        await saving.change(at.database, at.ours, edit, By())
        await story(at)

    run(desk, with_staff)


def test_slot_that_a_caller_has_won_is_told_with_free_times_that_can_be_chosen(desk):
    async def story(at):
        await at.owner.get(at.path("calendar"))
        found = await asyncio.gather(
            at.owner.post(at.path("calendar", "new"), **form()),
            by_call(at),
            return_exceptions=True,
        )
        (status, text), call = found
        assert (status == 303) == isinstance(call, Exception)
        if status == 303:
            other = form(phone="+972501234569")
            status, text = await at.owner.post(at.path("calendar", "new"), **other)
        assert status == 422
        instead = re.findall(r'name="instead" value="([^"]+)"', text)
        assert len(instead) == 3
        # Enter books none of them: it presses the first button of the form.
        first = re.search(
            r'<form method="post" action="[^"]+/new">.*?<button(.*?)>', text, re.S
        )
        assert "name=" not in first[1]
        chosen = form(phone="+972501234569", instead=instead[0])
        status, _ = await at.owner.post(at.path("calendar", "new"), **chosen)
        assert status == 303
        assert len(await booked(at)) == 2

    run(desk, story)


def test_booking_of_the_assistant_appears_by_itself_and_nothing_is_sent_again(desk):
    async def story(at):
        _, text = await at.owner.get(f"{at.path('calendar')}?day={DAY}")
        poll = re.search(r'hx-get="([^"]+)" hx-trigger="every 1500ms"', text)[1]
        poll = poll.replace("&amp;", "&")
        assert (await at.owner.get(poll))[0] == 204
        await by_call(at)
        status, text = await at.owner.get(poll)
        assert status == 200
        assert "Caller" in text
        assert "in a call" in text
        newer = re.search(r'hx-get="([^"]+)"', text)[1].replace("&amp;", "&")
        assert (await at.owner.get(newer))[0] == 204
        status, _ = await at.nobody.get(poll, headers={"HX-Request": "true"})
        assert status == 401

    run(desk, story)


def test_appointment_is_moved_and_cancelled(desk):
    async def story(at):
        made = await by_call(at)
        where = at.path("calendar", made.id)
        _, text = await at.staff.get(where)
        assert "Booked" in text
        assert f'href="{at.path("calls", "CA1")}"' in text
        fields = {"day": str(DAY), "time": "11:00", "staff": "1"}
        status, _ = await at.staff.post(f"{where}/move", **fields)
        assert status == 303
        (moved,) = await booked(at)
        assert (moved.starts_at, moved.resource) == (TEN + timedelta(hours=1), 1)
        assert moved.made == By("hand", "Staff")
        status, text = await at.staff.post(f"{where}/move", **fields)
        assert status == 409
        assert "was moved to another time" in text
        assert (await at.staff.post(f"{where}/cancel"))[0] == 409
        where = at.path("calendar", moved.id)
        assert (await at.staff.post(f"{where}/move", day=str(DAY)))[0] == 422
        status, text = await at.staff.post(f"{where}/move", **{**fields, "time": "4:0"})
        assert status == 422
        assert (await at.staff.post(f"{where}/cancel"))[0] == 303
        assert await booked(at) == []
        _, text = await at.staff.get(where)
        assert "was cancelled" in text

    run(desk, story, staff=(Person(None, "Anna"), Person(None, "Ben")))


def test_move_to_a_taken_time_changes_nothing(desk):
    async def story(at):
        made = await by_call(at)
        await by_call(at, TEN + timedelta(hours=1), "+972501234569")
        await at.owner.get(at.path("calendar"))
        status, text = await at.owner.post(
            at.path("calendar", made.id, "move"), day=str(DAY), time="11:00"
        )
        assert status == 422
        assert text.count('name="instead"') == 3
        assert [one.id for one in await booked(at) if one.starts_at == TEN] == [made.id]

    run(desk, story)


def test_number_is_masked_until_it_is_asked_for_and_that_is_written_down(desk):
    async def story(at):
        made = await by_call(at)
        _, text = await at.owner.get(at.path("calendar", made.id))
        assert "+972501234568" not in text
        _, text = await at.owner.post(at.path("calendar", made.id, "phone"))
        assert "+972501234568" in text
        assert "appointment.phone_seen" in (await at.owner.get(at.path("audit")))[1]

    run(desk, story)


def test_the_caller_found_last_is_booked_for(desk):
    async def story(at):
        first = await leads.upsert(at.database, at.ours, PHONE, {"name": "First"})
        found = await leads.upsert(
            at.database, at.ours, "+972501234569", {"name": "Found"}
        )
        await at.owner.get(at.path("calendar"))
        # The box that the form came with, and what the search put below it.
        both = [("lead", str(first.id)), ("lead", str(found.id))]
        given = {"csrf": at.owner.csrf, **form(phone="")}
        where = at.owner.base + at.path("calendar", "new")
        async with at.owner.http.post(
            where, data=[*given.items(), *both], allow_redirects=False
        ) as answer:
            assert answer.status == 303
        assert [one.name for one in await booked(at)] == ["Found"]

    run(desk, story)


def test_lead_is_found_by_name_or_number_and_booked_for(desk):
    async def story(at):
        await by_call(at)
        for text in ("call", "999 9999", "050-123-4568"):
            _, page = await at.owner.get(f"{at.path('calendar', 'leads')}?q={text}")
            found = re.findall(r'name="lead" value="([^"]+)"', page)
            assert len(found) == (0 if text.startswith("9") else 1), text
        status, _ = await at.owner.get(f"{at.path('calendar', 'leads')}?q=call%00")
        assert status == 200
        _, page = await at.owner.get(f"{at.path('calendar', 'leads')}?q=%25")
        assert "Nobody found" in page
        _, page = await at.owner.get(f"{at.path('calendar', 'new')}?lead={found[0]}")
        assert "Caller" in page
        fields = form(time="12:00", lead=found[0], phone="")
        status, _ = await at.owner.post(at.path("calendar", "new"), **fields)
        assert status == 303
        assert {one.name for one in await booked(at)} == {"Caller"}
        _, page = await at.other.get(
            f"{at.path('calendar', 'leads', business=at.theirs)}?q=call"
        )
        assert found[0] not in page
        theirs = at.path("calendar", "new", business=at.theirs)
        status, page = await at.other.post(theirs, **fields)
        assert status == 422
        assert "phone-fault" in page

    run(desk, story)


def test_days_of_23_and_25_hours_have_as_many_rows(desk):
    async def story(at):
        for day, rows in (("2027-03-26", 92), ("2026-10-25", 100), ("2027-03-27", 96)):
            _, text = await at.owner.get(f"{at.path('calendar')}?day={day}")
            assert text.count('<th scope="row">') == rows, day
        _, text = await at.owner.get(f"{at.path('calendar')}?day=2027-10-31")
        assert text.count("again</small>") == 4
        missing = form(day="2027-03-26", time="02:30")
        status, text = await at.owner.post(at.path("calendar", "new"), **missing)
        assert (status, "there is no such time" in text) == (422, True)
        twice = form(day="2027-10-31", time="01:30")
        status, text = await at.owner.post(at.path("calendar", "new"), **twice)
        assert (status, "comes twice" in text) == (422, True)
        status, _ = await at.owner.post(at.path("calendar", "new"), **twice, fold="1")
        assert status == 303
        (one,) = await diary.entries(
            at.database,
            at.ours,
            datetime(2027, 10, 30, tzinfo=UTC),
            datetime(2027, 11, 1, tzinfo=UTC),
        )
        assert one.starts_at == datetime(2027, 10, 30, 23, 30, tzinfo=UTC)

    run(desk, story, day_and_night=True)


def test_empty_calendar_says_what_to_do(desk):
    async def main():
        async with desk() as at:

            def edit(business):
                return replace(business, hours=(), closures=())

            await saving.change(at.database, at.ours, edit, By())
            _, text = await at.owner.get(at.path("calendar"))
            assert "Nothing can be booked until the hours are set." in text
            await open_salon(at)
            closed = businesses.Closure(DAY, DAY, "Feast")
            await saving.change(
                at.database, at.ours, lambda now: replace(now, closures=(closed,)), By()
            )
            _, text = await at.owner.get(f"{at.path('calendar')}?day={DAY}")
            assert "Closed on this day." in text
            status, _ = await at.owner.get(f"{at.path('calendar')}?day=0001-01-01")
            assert status == 200

    asyncio.run(main())


def test_nothing_of_it_is_another_businesss(desk):
    async def story(at):
        made = await by_call(at)
        await at.other.get("/console/account")
        for parts in ((), ("part",), ("new",), ("leads",), (made.id,)):
            assert (await at.other.get(at.path("calendar", *parts)))[0] == 404
            theirs = at.path("calendar", *parts, business=at.theirs)
            assert ("Caller" in (await at.other.get(theirs))[1]) is False
        for parts in (("new",), *((made.id, do) for do in ("move", "cancel", "phone"))):
            for business in (None, at.theirs):
                status, _ = await at.other.post(
                    at.path("calendar", *parts, business=business),
                    **form(),
                )
                assert status in (404, 422), parts
        assert [one.id for one in await booked(at)] == [made.id]

    run(desk, story)


def test_pages_are_written_from_right_to_left(desk):
    async def story(at):
        login = await add_user(at.database, "owner", at.ours)
        browser = at.new_browser(**{"Accept-Language": "he"})
        await browser.log_in(login)
        _, text = await browser.get(f"{at.path('calendar')}?day={DAY}")
        assert 'dir="rtl"' in text
        assert "יומן" in text

    run(desk, story)
