"""The calendar's tools against a real database: booked once, and by whom."""

import asyncio
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import orjson
import pytest

from bridge.agent.calendar_tools import BookingLimits
from bridge.agent.crm_tools import crm_tools
from bridge.agent.tools import ToolRunner
from bridge.call.plan import RunTool
from bridge.telemetry.log import CallLogger
from bridge.telemetry.metrics import Metrics
from crm import businesses, by_hand, claims, leads
from crm.authors import By
from crm.businesses import Service
from crm.by_hand import Place
from crm.database import Database

DANA, DAN = "+972501234567", "+972501234568"


class Shop:
    """One business, open day and night."""

    def __init__(self, db, business):
        self.db, self.business = db, business
        self.metrics = Metrics()
        self.limits = BookingLimits()

    async def ask(self, name, arguments=None, *, caller=DANA, key="c1", sid="CA1"):
        """Run a tool as a call of `caller` does; return its output."""
        result = await self.result(name, arguments, caller=caller, key=key, sid=sid)
        return orjson.loads(result.output)

    async def result(self, name, arguments=None, *, caller=DANA, key="c1", sid="CA1"):
        runner = ToolRunner(
            crm_tools(self.db, self.business, caller, call_sid=sid, limits=self.limits),
            deadline_ms=20_000,
            log=CallLogger(sid),
            metrics=self.metrics,
        )
        text = orjson.dumps(arguments or {}).decode()
        return await runner.run(RunTool(key, name, text))

    async def slots(self):
        return (await self.ask("calendar_find_slots"))["slots"]

    async def book(self, starts_at, **more):
        asked = {"starts_at": starts_at}
        return await self.ask("calendar_create_appointment", asked, **more)


def in_shop(url, story, **pool):
    async def main():
        db = await Database.open(url, **pool)
        try:
            made = await businesses.create(
                db, "Shop", language="he", country="IL", time_zone="Asia/Jerusalem"
            )
            for dow in range(7):
                await businesses.set_hours(db, made, dow, [(0, 1440)])
            await businesses.add_service(db, made, Service("Cut", 30, 10))
            await story(Shop(db, await businesses.get(db, made)))
        finally:
            await db.close()

    asyncio.run(main())


def test_what_is_asked_for_again_is_booked_once_and_the_lead_is_booked(database_url):
    async def story(shop):
        at, *_, other = (one["starts_at"] for one in await shop.slots())

        first = await shop.book(at)
        assert "note" not in first
        # The vendor's id says nothing: the same one, another one, in another call.
        for more in ({}, {"key": "c2"}, {"key": "c1", "sid": "CA2"}):
            again = await shop.book(at, **more)
            assert again["booked"] == first["booked"]
            assert "nothing new was done" in again["note"]
        assert "error" in await shop.book(at, caller=DAN, key="c1")
        second = await shop.book(other)
        assert second["booked"]["starts_at"] == other
        assert "note" not in second
        await shop.ask("calendar_cancel_appointment", {"starts_at": other})
        lead = await leads.touch(shop.db, shop.business.id, DANA)
        assert lead.status == "booked"
        assert lead.next_appointment_at == datetime.fromisoformat(at)
        await shop.ask("calendar_cancel_appointment", key="c3")
        lead = await leads.find(shop.db, shop.business.id, DANA)
        assert (lead.status, lead.next_appointment_at) == ("cancelled", None)

    in_shop(database_url, story)


def test_fifty_callers_for_one_time_have_one_winner(database_url):
    async def story(shop):
        at = (await shop.slots())[0]["starts_at"]

        answers = await asyncio.gather(
            *(
                shop.book(at, caller=f"+9725012345{n:02}", sid=f"CA{n}")
                for n in range(50)
            )
        )

        lost = [one for one in answers if "booked" not in one]
        assert len(lost) == 49
        assert all(len(one["alternatives"]) == 3 for one in lost)
        assert at not in [one["starts_at"] for one in lost[0]["alternatives"]]
        async with shop.db.tenant(shop.business.id) as connection:
            assert await connection.fetchval("select count(*) from appointments") == 1
            # The losers were nobody before, and nothing else was learnt of them.
            statuses = await connection.fetch("select status from leads")
            assert [row["status"] for row in statuses] == ["booked"]

    in_shop(database_url, story, pool_max=40)


def test_record_of_a_lost_booking_says_so_and_leaves_the_lead_as_it_was(database_url):
    async def story(shop):
        slots = await shop.slots()
        at = slots[0]["starts_at"]
        await shop.book(at)
        await leads.touch(shop.db, shop.business.id, DAN)
        before = await leads.find(shop.db, shop.business.id, DAN)

        asked = {"starts_at": at, "name": "Dan"}
        of_dan = {"caller": DAN, "sid": "CA2"}
        lost = await shop.result("calendar_create_appointment", asked, **of_dan)
        none = await shop.result("calendar_cancel_appointment", **of_dan)
        new = {"new_starts_at": at}
        move = await shop.result("calendar_reschedule_appointment", new, **of_dan)

        assert (lost.ok, none.ok, move.ok) == (False, False, False)
        told = orjson.loads(lost.output)
        assert "nothing was changed" in told["error"]
        assert len(told["alternatives"]) == 3
        assert orjson.loads(none.output)["appointments"] == []
        assert await leads.find(shop.db, shop.business.id, DAN) == before

    in_shop(database_url, story)


def test_booking_tells_what_is_still_missing(database_url):
    async def story(shop):
        await businesses.update(
            shop.db, shop.business.id, required_fields=["name", "email"]
        )
        shop.business = await businesses.get(shop.db, shop.business.id)
        at = (await shop.slots())[0]["starts_at"]
        asked = {"starts_at": at, "name": "Dana"}

        for _ in range(2):
            booked = await shop.result("calendar_create_appointment", asked)
            assert booked.missing_fields == ("email",)

    in_shop(database_url, story)


def test_booking_of_a_hidden_caller_is_a_claims_whoever_has_the_number(database_url):
    async def story(shop):
        await businesses.update(shop.db, shop.business.id, required_fields=["name"])
        shop.business = await businesses.get(shop.db, shop.business.id)
        before = await leads.upsert(shop.db, shop.business.id, DANA, {"name": "Dana"})

        answers = []
        for sid, phone in (("CA1", DANA), ("CA2", DAN)):
            at = (await shop.slots())[0]["starts_at"]
            asked = {"starts_at": at, "phone": phone}
            booked = await shop.ask(
                "calendar_create_appointment", asked, caller=None, sid=sid
            )
            assert booked.pop("booked")["starts_at"] == at
            answers.append(booked)

        assert answers[0] == answers[1] == {"missing": ["name"]}
        assert await leads.recent(shop.db, shop.business.id) == [before]
        found = await claims.recent(shop.db, shop.business.id)
        assert {one.phone for one in found} == {DANA, DAN}
        assert all(one.next_appointment_at for one in found)
        # Nor does it become theirs who call from the number.
        gone = await shop.ask("calendar_cancel_appointment", key="c")
        assert gone["appointments"] == []

    in_shop(database_url, story)


@pytest.mark.parametrize(("caller", "most"), [(DANA, 5), (None, 2)])
def test_open_bookings_of_a_caller_have_a_limit(database_url, caller, most):
    async def story(shop):
        async def book(number):
            slot = (await shop.slots())[0]["starts_at"]
            # Another number each time, which tells nobody apart.
            asked = {"starts_at": slot, "phone": f"05012345{number:02}"}
            return await shop.ask(
                "calendar_create_appointment", asked, caller=caller, key=f"k{number}"
            )

        for number in range(most):
            assert "booked" in await book(number)
        refused = await book(most)
        assert refused["error"].startswith("nothing was booked")
        assert f"{most} appointments to come" in refused["error"]
        which = "per_caller" if caller else "unverified"
        limit = f"limit_open_bookings_{which}"
        assert shop.metrics.value("limits_reached", limit=limit) == 1
        if caller is not None:
            first = (await shop.ask("calendar_cancel_appointment"))["appointments"][0]
            asked = {"starts_at": first["starts_at"]}
            assert "cancelled" in await shop.ask("calendar_cancel_appointment", asked)
            assert "booked" in await book(most)

    in_shop(database_url, story)


def test_hidden_callers_share_a_limit_however_often_they_call(database_url):
    async def story(shop):
        shop.limits = BookingLimits(withheld=3)
        answers = []
        for number in range(5):
            at = (await shop.slots())[0]["starts_at"]
            asked = {"starts_at": at, "phone": f"05012345{number:02}"}
            hidden = {"caller": None, "sid": f"CA{number}"}
            answers.append(
                await shop.ask("calendar_create_appointment", asked, **hidden)
            )

        assert ["booked" in one for one in answers] == [True] * 3 + [False] * 2
        assert "call again with their number shown" in answers[-1]["error"]
        limit = "limit_open_bookings_withheld"
        assert shop.metrics.value("limits_reached", limit=limit) == 2
        at = (await shop.slots())[0]["starts_at"]
        assert "booked" in await shop.book(at)

    in_shop(database_url, story)


def test_two_bookings_at_once_pass_no_limit(database_url):
    async def story(shop):
        today = datetime.fromisoformat((await shop.slots())[0]["starts_at"])
        first = (today + timedelta(days=2)).replace(hour=8, minute=0)
        slots = [(first + timedelta(hours=n)).isoformat() for n in range(6)]
        for at in slots[:4]:
            assert "booked" in await shop.book(at, key=at)

        answers = await asyncio.gather(
            *(shop.book(at, key=f"n{at}", sid=f"CA{at}") for at in slots[4:6])
        )

        assert sorted("booked" in one for one in answers) == [False, True]

    in_shop(database_url, story)


def test_a_hidden_caller_changes_what_was_booked_in_the_same_call_alone(database_url):
    async def story(shop):
        slots = [one["starts_at"] for one in await shop.slots()]
        asked = {"starts_at": slots[0], "phone": DANA}
        hidden = {"caller": None, "sid": "CA1"}
        assert "booked" in await shop.ask(
            "calendar_create_appointment", asked, **hidden
        )

        cancel, move = "calendar_cancel_appointment", "calendar_reschedule_appointment"
        new, old = {"new_starts_at": slots[-1]}, {"starts_at": slots[0]}
        for who in ({"caller": None, "sid": "CA2"}, {"caller": DANA, "sid": "CA3"}):
            for name, asked in ((cancel, {}), (cancel, old), (move, {**new, **old})):
                refused = await shop.ask(name, asked, **who)
                assert refused["appointments"] == []
        moved = await shop.ask(move, new, **hidden)
        assert moved["moved"]["starts_at"] == slots[-1]
        gone = await shop.ask(cancel, **hidden)
        assert gone["cancelled"]["starts_at"] == slots[-1]
        assert await leads.recent(shop.db, shop.business.id) == []

    in_shop(database_url, story)


def test_only_the_callers_own_appointment_is_cancelled_or_moved(database_url):
    async def story(shop):
        slots = [one["starts_at"] for one in await shop.slots()]
        await shop.book(slots[0])
        other = {"starts_at": slots[0]}
        new = {"new_starts_at": slots[-1]}

        for caller in (DAN, None):
            for name, asked in (
                ("calendar_cancel_appointment", other),
                ("calendar_reschedule_appointment", {**new, **other}),
            ):
                assert "error" in await shop.ask(name, asked, caller=caller, key=name)
        moved = await shop.ask("calendar_reschedule_appointment", new, key="m")
        assert moved["moved"]["starts_at"] == slots[-1]
        assert "booked" in await shop.book(slots[0], caller=DAN, key="d")
        back = {"new_starts_at": slots[0]}
        lost = await shop.ask("calendar_reschedule_appointment", back, key="n")
        assert lost["alternatives"]
        gone = await shop.ask("calendar_cancel_appointment")
        assert gone["cancelled"]["starts_at"] == slots[-1]
        assert (await leads.find(shop.db, shop.business.id, DANA)).status == "cancelled"

    in_shop(database_url, story)


def test_an_appointment_is_cancelled_and_moved_however_many_are_before_it(embedded_url):
    async def story(shop):
        hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
        zone = ZoneInfo(shop.business.time_zone)
        weeks = [hour + timedelta(days=7 * week) for week in range(1, 13)]
        for at in weeks:
            await by_hand.book(
                shop.db,
                shop.business,
                shop.business.services[0],
                Place(at),
                DANA,
                "Dana",
                By("hand", "Owner"),
                hour,
            )
        later = weeks[-1] + timedelta(hours=1)
        *_, eleventh, last, later = (
            at.astimezone(zone).isoformat() for at in (*weeks, later)
        )

        cancelled = await shop.ask("calendar_cancel_appointment", {"starts_at": last})
        assert datetime.fromisoformat(cancelled["cancelled"]["starts_at"]) == weeks[-1]
        asked = {"starts_at": eleventh, "new_starts_at": later}
        for _ in range(2):
            moved = await shop.ask("calendar_reschedule_appointment", asked)
            assert datetime.fromisoformat(moved["moved"]["starts_at"]) > weeks[-1]
        assert "note" in moved

    in_shop(embedded_url, story)


def test_two_who_swap_their_times_both_get_an_answer(database_url):
    async def story(shop):
        one, *_, two = (slot["starts_at"] for slot in await shop.slots())
        await shop.book(one)
        await shop.book(two, caller=DAN, key="c2")

        name = "calendar_reschedule_appointment"
        answers = await asyncio.gather(
            shop.ask(name, {"new_starts_at": two}, key="m"),
            shop.ask(name, {"new_starts_at": one}, key="m2", caller=DAN),
        )

        assert all("alternatives" in answer for answer in answers)

    in_shop(database_url, story)


def test_national_number_is_of_the_businesss_country(database_url):
    async def story(shop):
        at = (await shop.slots())[0]["starts_at"]
        asked = {"starts_at": at, "phone": "050-123-4567", "name": "Dana"}

        await shop.ask("calendar_create_appointment", asked, caller=None)

        (claim,) = await claims.recent(shop.db, shop.business.id)
        assert (claim.name, claim.phone) == ("Dana", DANA)

    in_shop(database_url, story)


@pytest.mark.parametrize(
    ("name", "asked", "error"),
    [
        ("calendar_find_slots", {"date_from": "2026-02-30"}, "date_from: expected"),
        ("calendar_find_slots", {"date_to": "2020-01-01"}, "date_to: expected"),
        ("calendar_find_slots", {"date_from": "9999-12-31"}, "date_from: expected"),
        ("calendar_find_slots", {"date_to": "0001-01-01"}, "date_to: expected"),
        ("calendar_find_slots", {"service": "Massage"}, "service: expected one of Cut"),
        ("calendar_find_slots", {"near_time": "25:00"}, "near_time: expected"),
        ("calendar_create_appointment", {"starts_at": "soon"}, "starts_at: expected"),
        *(
            ("calendar_create_appointment", {"starts_at": at}, "starts_at: expected")
            for at in ("9999-12-31", "0001-01-01T00:00:00-14:00", "9999-12-31T23:59Z")
        ),
        ("calendar_cancel_appointment", {"phone": DAN}, "unknown field `phone`"),
    ],
)
def test_bad_arguments_name_the_field(database_url, name, asked, error):
    async def story(shop):
        assert error in (await shop.ask(name, asked))["error"]

    in_shop(database_url, story)
