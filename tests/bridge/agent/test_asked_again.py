"""What a caller asks for again is theirs already, and told so: on a real database."""

import asyncio
from datetime import UTC, datetime, timedelta, timezone

import pytest

from crm import appointments, businesses, leads
from crm.appointment_rows import Request
from crm.businesses import Service
from crm.calendar import Rules
from tests.bridge.agent.test_calendar_tools import DAN, DANA, in_shop


def test_a_booking_asked_for_many_times_at_once_is_told_of_each_time(database_url):
    async def story(shop):
        at = (await shop.slots())[0]["starts_at"]

        answers = await asyncio.gather(
            *(shop.book(at, key=f"c{n}", sid=f"CA{n % 2}") for n in range(8))
        )

        assert [one["booked"]["starts_at"] for one in answers] == [at] * 8
        assert sum("note" not in one for one in answers) == 1
        async with shop.db.tenant(shop.business.id) as connection:
            assert await connection.fetchval("select count(*) from appointments") == 1

    in_shop(database_url, story, pool_max=8)


def test_the_last_that_a_caller_may_have_is_told_of_each_time(database_url):
    async def story(shop):
        at = datetime.fromisoformat((await shop.slots())[0]["starts_at"])
        service = shop.business.services[0]
        request = Request(service, at, DANA, open_max=1)

        def book():
            now = datetime.now(UTC)
            return appointments.book(shop.db, shop.business, request, Rules(), now)

        booked = await asyncio.gather(*(book() for _ in range(8)))

        assert sum(one.is_new for one in booked) == 1
        assert len({one.appointment.id for one in booked}) == 1

    in_shop(database_url, story, pool_max=8)


def test_who_proves_nothing_is_told_of_their_own_calls_booking_alone(database_url):
    async def story(shop):
        at = (await shop.slots())[0]["starts_at"]
        asked = {"starts_at": at, "phone": DAN, "name": "Dan"}

        def book(sid):
            name = "calendar_create_appointment"
            return shop.ask(name, asked, caller=None, sid=sid)

        first, again = await book("CA1"), await book("CA1")
        assert again["booked"] == first["booked"]
        assert "note" in again
        other = await book("CA2")
        assert "is taken" in other["error"]
        assert "own" not in other
        # Nor the number's own, who has proven that it is theirs; nor, of what that one
        # has booked, whoever only names the number.
        assert "own" not in await shop.book(at, caller=DAN)
        asked["starts_at"] = (await shop.slots())[0]["starts_at"]
        assert "booked" in await shop.book(asked["starts_at"], caller=DAN)
        named = await book("CA3")
        assert "is taken" in named["error"]
        assert "own" not in named

    in_shop(database_url, story)


def test_a_name_that_comes_with_the_second_asking_is_kept(database_url):
    async def story(shop):
        at = (await shop.slots())[0]["starts_at"]
        await shop.book(at)

        asked = {"starts_at": at, "name": "Dana"}
        assert "booked" in await shop.ask("calendar_create_appointment", asked)
        assert (await leads.find(shop.db, shop.business.id, DANA)).name == "Dana"

    in_shop(database_url, story)


@pytest.mark.parametrize("line", [{"caller": DANA}, {"caller": None, "phone": DANA}])
def test_another_of_one_line_has_not_the_time_that_the_first_has(embedded_url, line):
    async def story(shop):
        at = (await shop.slots())[0]["starts_at"]

        def book(name):
            asked = {"starts_at": at, "name": name, "phone": line.get("phone", "")}
            create = "calendar_create_appointment"
            return shop.ask(create, asked, caller=line["caller"])

        assert "note" not in await book("Dana Levi")
        for name in ("dana levi", "Dana", ""):
            assert "note" in await book(name)
        told = await book("Tom Levi")
        assert "nothing was changed" in told["error"]
        assert "where that was misheard, leads_upsert corrects it" in told["error"]
        assert told["own"]["starts_at"] == at
        assert told["alternatives"]
        # It stands under the first name.
        assert "note" in await book("Dana Levi")
        corrected = {"name": "Dana Levy", "phone": line.get("phone", "")}
        await shop.ask("leads_upsert", corrected, caller=line["caller"])
        assert "note" in await book("Dana Levy")

    in_shop(embedded_url, story)


def test_who_wants_another_service_at_his_own_time_is_told_that_it_is_his(database_url):
    async def story(shop):
        await businesses.add_service(shop.db, shop.business.id, Service("Shave", 15))
        shop.business = await businesses.get(shop.db, shop.business.id)
        found = await shop.ask("calendar_find_slots", {"service": "Cut"})
        at = found["slots"][0]["starts_at"]
        cut, shave = ({"starts_at": at, "service": name} for name in ("cut", "SHAVE"))
        assert "booked" in await shop.ask("calendar_create_appointment", cut)

        told = await shop.ask("calendar_create_appointment", shave)
        assert "an appointment of their own then (Cut)" in told["error"]
        assert "misheard" not in told["error"]
        assert told["own"]["starts_at"] == at
        foreign = await shop.ask("calendar_create_appointment", shave, caller=DAN)
        assert "own" not in foreign
        assert "is taken" in foreign["error"]

    in_shop(database_url, story)


def test_moving_to_where_it_is_and_cancelling_twice_are_told_as_done(database_url):
    async def story(shop):
        slots = [one["starts_at"] for one in await shop.slots()]
        await shop.book(slots[0])
        move, cancel = "calendar_reschedule_appointment", "calendar_cancel_appointment"

        there = await shop.ask(move, {"new_starts_at": slots[0]})
        assert there["moved"]["starts_at"] == slots[0]
        assert "note" in there
        asked = {"new_starts_at": slots[-1], "starts_at": slots[0]}
        first, *others = await asyncio.gather(
            *(shop.ask(move, asked, key=f"m{n}") for n in range(3))
        )
        again = [*others, await shop.ask(move, {"new_starts_at": slots[-1]})]
        assert {one["moved"]["starts_at"] for one in (first, *again)} == {slots[-1]}
        never = {"new_starts_at": slots[-1], "starts_at": slots[3]}
        assert "ask which" in (await shop.ask(move, never))["error"]

        for asked in ({"starts_at": slots[-1]}, {"starts_at": slots[-1]}, {}):
            gone = await shop.ask(cancel, asked)
            assert gone["cancelled"]["starts_at"] == slots[-1]
        assert "note" in gone
        for caller in (DAN, None):
            assert "error" in await shop.ask(cancel, asked, caller=caller)
        assert "note" not in await shop.book(slots[-1])

    in_shop(database_url, story, pool_max=4)


def test_who_has_several_and_names_none_is_asked_which(database_url):
    async def story(shop):
        move, cancel = "calendar_reschedule_appointment", "calendar_cancel_appointment"
        times = []
        for _ in range(3):
            times.append((await shop.slots())[0]["starts_at"])
            assert "booked" in await shop.book(times[-1])
        first, _, third = times

        assert "cancelled" in await shop.ask(cancel, {"starts_at": third})
        for tool, asked in ((cancel, {}), (move, {"new_starts_at": first})):
            told = await shop.ask(tool, asked)
            assert "ask which" in told["error"]
            assert len(told["appointments"]) == 2
        assert "note" in await shop.ask(cancel, {"starts_at": third})

    in_shop(database_url, story)


def test_the_hour_of_another_clock_neither_books_nor_cancels_nor_moves(database_url):
    async def story(shop):
        slots = [datetime.fromisoformat(one["starts_at"]) for one in await shop.slots()]
        own = max(slots)
        assert "booked" in await shop.book(own.isoformat())
        # The same moments, as of a clock in London or New York.
        for zone in (UTC, timezone(timedelta(hours=-5))):
            meant, free = (
                one.astimezone(zone).isoformat() for one in (own, min(slots))
            )
            for name, asked in (
                ("calendar_create_appointment", {"starts_at": free}),
                ("calendar_reschedule_appointment", {"new_starts_at": free}),
                ("calendar_cancel_appointment", {"starts_at": meant}),
            ):
                told = await shop.ask(name, asked)
                assert "starts_at: expected the offset" in told["error"]
        found = await shop.ask("calendar_cancel_appointment")
        assert found["cancelled"]["starts_at"] == own.isoformat()

    in_shop(database_url, story)


@pytest.mark.parametrize(
    ("at", "words", "then"),
    [
        ("2027-10-31T01:30", "comes twice: give the offset", "outside of the hours"),
        ("2027-03-26T02:30", "is left out: ask for another", "T03:30:00+03:00"),
    ],
)
def test_an_hour_of_a_clock_change_needs_its_offset(database_url, at, words, then):
    async def story(shop):
        for name, asked in (
            ("calendar_create_appointment", {"starts_at": at}),
            ("calendar_reschedule_appointment", {"new_starts_at": at}),
            ("calendar_cancel_appointment", {"starts_at": at}),
        ):
            assert words in (await shop.ask(name, asked))["error"]
        offset = {"starts_at": f"{at}+02:00"}
        taken = await shop.ask("calendar_create_appointment", offset)
        assert then in taken["error"]

    in_shop(database_url, story)


@pytest.mark.parametrize(
    ("stored", "typed"),
    [
        ("Women\u2019s cut", "women's  CUT "),
        ("Cafe\u0301", "Caf\u00e9"),
        (
            "\u05e4\u05d3\u05d9\u05e7\u05d5\u05e8 \u05d2\u05f3\u05dc",
            "\u05e4\u05d3\u05d9\u05e7\u05d5\u05e8 \u05d2'\u05dc",
        ),
        ("Shave ", "Shave"),
    ],
)
def test_a_service_is_found_however_it_is_typed(database_url, stored, typed):
    async def story(shop):
        await businesses.add_service(shop.db, shop.business.id, Service(stored, 20))
        shop.business = await businesses.get(shop.db, shop.business.id)

        assert (await shop.ask("calendar_find_slots", {"service": typed}))["slots"]

    in_shop(database_url, story)
