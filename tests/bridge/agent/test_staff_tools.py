"""The calendar's tools where a business has people: whom the model may name."""

from datetime import UTC, date, datetime

from msgspec.structs import replace

from bridge.agent.crm_tools import crm_tools
from bridge.agent.tools import specifications
from crm import by_hand, saving
from crm.authors import By
from crm.businesses import Closure, Person, Service
from crm.by_hand import Place
from tests.bridge.agent.test_calendar_tools import DAN, DANA, in_shop

STAFF = (Person(None, "Anna"), Person(None, "Ben", services=("Cut",)))
FIND, CREATE = "calendar_find_slots", "calendar_create_appointment"
MOVE = "calendar_reschedule_appointment"
CANCEL = "calendar_cancel_appointment"


def with_staff(url, story, staff=STAFF):
    async def staffed(shop):
        services = (Service("Cut", 30), Service("Colour", 60))

        def edit(business):
            return replace(business, services=services, staff=staff)

        shop.business = await saving.change(
            shop.db, shop.business.id, edit, By("hand", "Owner")
        )
        await story(shop)

    in_shop(url, staffed, pool_max=4)


def fields(shop):
    tools = specifications(crm_tools(shop.db, shop.business, DANA))
    return {one.name: one.parameters["properties"] for one in tools}


def test_staff_is_an_argument_only_where_there_is_a_choice(embedded_url):
    async def one(shop):
        assert not any("staff" in found for found in fields(shop).values())
        slots = (await shop.ask(FIND, {"service": "Cut"}))["slots"]
        assert "staff" not in slots[0]

    async def two(shop):
        found = fields(shop)
        assert {name for name in found if "staff" in found[name]} == {
            FIND,
            CREATE,
            MOVE,
        }
        assert {name for name in found if "staff_now" in found[name]} == {CANCEL, MOVE}
        wrong = {"staff": "Anna", "colour": "red"}
        assert "unknown field `colour`" in (await shop.ask(FIND, wrong))["error"]

    with_staff(embedded_url, one, (Person(None, "Anna"),))
    with_staff(embedded_url, one, (STAFF[0], Person(None, "Ben", is_active=False)))
    with_staff(embedded_url, two)


def test_times_name_who_is_free_and_bookings_with_whom_they_are(embedded_url):
    async def story(shop):
        slots = (await shop.ask(FIND, {"service": "Cut"}))["slots"]
        assert slots[0]["staff"] == ["Anna", "Ben"]
        colours = (await shop.ask(FIND, {"service": "Colour"}))["slots"]
        assert colours[0]["staff"] == ["Anna"]
        asked = {"starts_at": slots[0]["starts_at"], "service": "Cut", "staff": "ben"}
        booked = await shop.ask(CREATE, asked)
        assert booked["booked"]["staff"] == "Ben"
        async with shop.db.tenant(shop.business.id) as connection:
            row = await connection.fetchrow(
                "select resource, made_source, made_by from appointments"
            )
        assert tuple(row) == (1, "call", "CA1")

        lost = await shop.ask(CREATE, asked, caller=DAN)
        assert lost["free_then"] == ["Anna"]
        assert lost["alternatives"][0]["staff"] == ["Ben"]
        again = await shop.ask(CREATE, {**asked, "staff": ""})
        assert "nothing new was done" in again["note"]

        moved = await shop.ask(
            MOVE, {"new_starts_at": slots[0]["starts_at"], "staff": "Anna"}
        )
        assert moved["moved"]["staff"] == "Anna"

    with_staff(embedded_url, story)


def test_nobody_of_that_name_or_who_does_not_do_it_is_an_error(embedded_url):
    async def story(shop):
        wrong = await shop.ask(FIND, {"service": "Colour", "staff": "Ben"})
        assert wrong["error"] == "staff: expected one of Anna for Colour, got 'Ben'"
        wrong = await shop.ask(FIND, {"service": "Cut", "staff": "Zoe"})
        assert "expected one of Anna, Ben for Cut" in wrong["error"]

    with_staff(embedded_url, story)


def test_time_that_was_booked_by_hand_is_refused_to_the_caller_in_words(embedded_url):
    async def story(shop):
        slot = (await shop.ask(FIND, {"service": "Cut"}))["slots"][0]["starts_at"]
        cut = next(one for one in shop.business.services if one.name == "Cut")
        by, now = By("hand", "Owner"), datetime.now(UTC)
        place = Place(datetime.fromisoformat(slot), 1)
        await by_hand.book(shop.db, shop.business, cut, place, DANA, "Dana", by, now)

        asked = {"starts_at": slot, "service": "Cut", "staff": "Ben"}
        lost = await shop.ask(CREATE, asked, caller=DAN)

        assert lost["error"].startswith("this time is taken")
        assert lost["free_then"] == ["Anna"]
        assert len(lost["alternatives"]) == 3

    with_staff(embedded_url, story)


def test_move_to_the_callers_own_other_time_is_refused_unless_they_name_whom(
    embedded_url,
):
    async def story(shop):
        times = []
        for _ in range(2):
            found = await shop.ask(FIND, {"service": "Cut", "near_time": "00:00"})
            # Free with both: nobody is booked then.
            free = [one for one in found["slots"] if len(one["staff"]) == 2]
            times.append(free[0]["starts_at"])
            asked = {"starts_at": times[-1], "service": "Cut"}
            assert "booked" in await shop.ask(CREATE, asked)

        move = {"starts_at": times[1], "new_starts_at": times[0]}
        told = await shop.ask(MOVE, move)
        assert "an appointment of their own then (Cut)" in told["error"]
        assert told["own"]["starts_at"] == times[0]
        # A mother and her son.
        moved = await shop.ask(MOVE, {**move, "staff": "Ben"})
        assert moved["moved"]["starts_at"] == times[0]

    with_staff(embedded_url, story)


def test_one_of_two_at_one_time_is_moved_and_cancelled_by_whom_it_is_with(embedded_url):
    async def story(shop):
        at = (await shop.ask(FIND, {"service": "Cut"}))["slots"][0]["starts_at"]
        for name in ("Anna", "Ben"):
            asked = {"starts_at": at, "service": "Cut", "staff": name}
            assert "booked" in await shop.ask(CREATE, asked)
        later = (await shop.ask(FIND, {"service": "Cut"}))["slots"][-1]["starts_at"]

        told = await shop.ask(CANCEL, {"starts_at": at})
        assert "ask which" in told["error"]
        assert [one["staff"] for one in told["appointments"]] == ["Anna", "Ben"]
        wrong = await shop.ask(CANCEL, {"starts_at": at, "staff_now": "Carl"})
        assert "staff_now: expected one of Anna, Ben, got 'Carl'" in wrong["error"]
        move = {"starts_at": at, "staff_now": "anna", "new_starts_at": later}
        for _ in range(2):
            moved = await shop.ask(MOVE, move)
            assert moved["moved"]["starts_at"] == later
        assert "note" in moved
        for _ in range(2):
            gone = await shop.ask(CANCEL, {"starts_at": at, "staff_now": "Ben"})
            assert gone["cancelled"]["staff"] == "Ben"
        assert "note" in gone
        assert "note" not in await shop.ask(CANCEL)

    with_staff(embedded_url, story)


def test_what_is_gone_since_the_call_began_is_not_booked(embedded_url):
    async def story(shop):
        at = (await shop.ask(FIND, {"service": "Cut"}))["slots"][-1]["starts_at"]
        day = date.fromisoformat(at[:10])

        async def changed(**values):
            """Change the business; the call has it as it was."""

            def edit(business):
                return replace(business, **values)

            await saving.change(shop.db, shop.business.id, edit, By("hand", "Owner"))

        async def told(tool, **asked):
            return (await shop.ask(tool, asked))["error"]

        cut = {"starts_at": at, "service": "Cut"}
        anna, ben = shop.business.staff
        away = (Closure(day, day, "ill"),)
        await changed(staff=(anna, replace(ben, days_off=away)))
        assert "taken or outside" in await told(CREATE, **cut, staff="Ben")
        assert (await shop.ask(CREATE, cut))["booked"]["staff"] == "Anna"
        assert "taken or outside" in await told(MOVE, new_starts_at=at, staff="Ben")
        await changed(staff=(replace(anna, name="Ann"), replace(ben, days_off=away)))
        gone = await shop.ask(CANCEL, {"starts_at": at, "staff_now": "Ann"})
        assert gone["cancelled"]["staff"] == "Ann"
        await changed(staff=(anna, replace(ben, is_active=False)))
        assert "expected one of Anna" in await told(CREATE, **cut, staff="Ben")
        await changed(closures=away)
        assert "taken or outside" in await told(CREATE, **cut)
        await changed(services=(Service("Colour", 60),), closures=())
        assert "expected one of Colour" in await told(FIND, service="Cut")
        assert "expected one of Colour" in await told(CREATE, **cut)

    with_staff(embedded_url, story)
