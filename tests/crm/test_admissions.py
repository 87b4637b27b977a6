"""What is counted for a business's limits: in a real database, by any process."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from crm import admissions, businesses, conversations
from crm.admissions import KEPT, STALE, YOUNG, Usage
from crm.database import Database

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
ANN, BEN = "+12025550123", "+12025550145"


class CallsOfBusiness:
    """A business and its calls."""

    def __init__(self, db, business_id):
        self.db = db
        self.business_id = business_id
        self.seen = []

    async def admit(self, call_sid, at=NOON, caller=ANN, refuse=None):
        def decide(usage):
            self.seen.append(usage)
            return refuse

        return await admissions.admit(
            self.db,
            self.business_id,
            call_sid,
            caller,
            at,
            decide=decide,
        )

    async def see(self, at, **costs):
        return await admissions.see(self.db, self.business_id, costs, at)

    async def close(self, call_sid, at, cost=None):
        async with self.db.tenant(self.business_id) as connection:
            await admissions.close(connection, self.business_id, call_sid, at, cost)

    async def used(self, at=NOON, caller=ANN):
        asked = await self.admit("CAprobe", at, caller, refuse="asked")
        assert asked.refused_by == "asked"
        return asked.usage


def told(story):
    def test(database_url):
        async def main():
            db = await Database.open(database_url)
            try:
                zone = {"time_zone": "Asia/Jerusalem"}
                await story(
                    CallsOfBusiness(db, await businesses.create(db, "Salon", **zone))
                )
            finally:
                await db.close()

        asyncio.run(main())

    test.__name__ = story.__name__
    return test


def minutes(number):
    return timedelta(minutes=number)


@told
async def test_calls_are_counted_while_they_run_and_by_their_caller(salon):
    await salon.admit("CA1")
    await salon.admit("CA2", caller=BEN)
    await salon.admit("CA3", caller="")
    await salon.close("CA1", NOON + minutes(2))
    await salon.see(NOON + minutes(3), CA2=None, CA3=None)
    used = await salon.used(NOON + minutes(3))

    assert (used.running, used.by_caller) == (2, 1)
    assert (await salon.used(NOON + minutes(3), caller="")).by_caller == 1
    assert used.seconds_today == (2 + 3 + 3) * 60


@told
async def test_an_hour_passes(salon):
    await salon.admit("CA1")
    await salon.close("CA1", NOON + minutes(1))

    assert (await salon.used(NOON + minutes(59))).by_caller == 1
    assert (await salon.used(NOON + minutes(61))).by_caller == 0


@told
async def test_day_is_the_businesss_own(salon):
    # Midnight in Jerusalem is 22:00 UTC in winter.
    eve = NOON.replace(hour=21, minute=50)
    await salon.admit("CA1", eve)
    await salon.close("CA1", eve + minutes(20), cost=2.5)
    await salon.admit("CA2", eve + minutes(30))
    await salon.close("CA2", eve + minutes(31), cost=0.5)

    before = await salon.used(eve + minutes(9))
    assert before.cost_today == 3.0
    after = await salon.used(eve + minutes(40))
    assert (after.seconds_today, after.cost_today) == (60.0, 0.5)


@told
async def test_answers_in_writing_of_the_day_are_counted_apart(salon):
    eve = NOON.replace(hour=21, minute=50)
    async with salon.db.tenant(salon.business_id) as connection:
        conversation_id = await conversations.open_for(
            connection, salon.business_id, ANN, BEN, "AC1"
        )
        for at, cost in ((eve, 4.0), (eve + minutes(20), 0.5), (eve, None)):
            await connection.execute(
                "insert into message_turns (business_id, conversation_id, begun_at, "
                "cost) values ($1, $2, $3, $4)",
                salon.business_id,
                conversation_id,
                at,
                cost,
            )

    before = await salon.used(eve + minutes(9))
    assert (before.cost_today, before.written_cost_today) == (0.0, 4.5)
    after = await salon.used(eve + minutes(30))
    assert (after.cost_today, after.written_cost_today) == (0.0, 0.5)


@told
async def test_call_that_nobody_sees_any_more_does_not_run(salon):
    """Its process died, or it came to nothing after it was let in."""
    await salon.admit("CA1")
    assert (await salon.used(NOON + STALE / 2)).running == 1
    assert (await salon.used(NOON + STALE)).running == 0

    await salon.see(NOON + minutes(10), CA1=0.5)
    assert (await salon.used(NOON + minutes(10) + STALE / 2)).running == 1
    used = await salon.used(NOON + minutes(20))
    assert (used.running, used.cost_today) == (0, 0.5)
    assert used.seconds_today == 10 * 60 + STALE.total_seconds()


@told
async def test_call_of_yesterday_still_runs(salon):
    eve = NOON.replace(hour=21, minute=50)
    await salon.admit("CA1", eve)
    used = await salon.see(eve + minutes(90), CA1=None)

    assert (used.running, used.seconds_today) == (1, 0.0)


@told
async def test_refused_call_leaves_no_trace(salon):
    await salon.admit("CA1", refuse="no")

    assert (await salon.used()).by_caller == 0
    assert (await salon.admit("CA1")).is_repeated is False


@told
async def test_webhook_that_comes_again_after_the_end_is_a_repeat(salon):
    assert not (await salon.admit("CA1")).is_repeated
    await salon.close("CA1", NOON + minutes(1))
    again = await salon.admit("CA1", NOON + minutes(1))

    assert again.is_repeated
    assert (await salon.used(NOON + minutes(1))).by_caller == 1
    # Only the first was decided on.
    assert len(salon.seen) == 2


@told
async def test_call_of_a_process_that_died_at_once_may_be_opened_again(salon):
    await salon.admit("CA1")

    assert not (await salon.admit("CA1", NOON + YOUNG)).is_repeated
    assert (await salon.admit("CA1", NOON + YOUNG + minutes(1))).is_repeated


@told
async def test_running_calls_say_what_they_have_cost(salon):
    await salon.admit("CA1")
    await salon.admit("CA2", caller=BEN)
    await salon.close("CA2", NOON + minutes(1), cost=1.0)
    used = await admissions.see(
        salon.db,
        salon.business_id,
        # What has ended keeps what its record says.
        {"CA1": 0.25, "CA2": 9.0},
        NOON + minutes(2),
    )

    assert used == Usage(
        running=1, by_caller=0, seconds_today=3 * 60.0, cost_today=1.25
    )
    # A record without a cost leaves what was known.
    await salon.close("CA1", NOON + minutes(2), cost=None)
    assert (await salon.used(NOON + minutes(2))).cost_today == 1.25


@told
async def test_limit_holds_where_many_ask_at_once(salon):
    """As many processes do: one is decided on at a time."""

    async def ask(number):
        asked = await admissions.admit(
            salon.db,
            salon.business_id,
            f"CA{number}",
            f"+1202555{number:04}",
            NOON,
            decide=lambda usage: "full" if usage.running >= 3 else None,
        )
        return asked.refused_by

    answers = await asyncio.gather(*map(ask, range(12)))
    assert answers.count(None) == 3


@told
async def test_old_calls_are_forgotten(salon):
    await salon.admit("CA1")
    await salon.admit("CA2", NOON + KEPT + minutes(1))
    async with salon.db.tenant(salon.business_id) as connection:
        rows = await connection.fetch("select call_sid from admissions")

    assert [row["call_sid"] for row in rows] == ["CA2"]


@pytest.mark.parametrize("zone", ["America/New_York", "Pacific/Kiritimati", "UTC"])
def test_every_time_zone_has_a_day(database_url, zone):
    async def main():
        db = await Database.open(database_url)
        try:
            salon = CallsOfBusiness(
                db, await businesses.create(db, "Salon", time_zone=zone)
            )
            await salon.admit("CA1")
            await salon.see(NOON + minutes(1), CA1=None)
            assert (await salon.used(NOON + minutes(1))).seconds_today == 60.0
        finally:
            await db.close()

    asyncio.run(main())
