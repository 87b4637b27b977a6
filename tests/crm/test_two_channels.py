"""What a lead said in the other channel, as a chat and a call are told of it."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from crm import businesses, calls, conversations, lead_care, leads, two_channels
from crm.conversations import Arrived
from crm.database import Database
from tests.crm.test_crm import PHONE, call

OTHER = "+15550000009"


@pytest.fixture
def told(database_url):
    """Run a story with a database and a new business, each with its own numbers."""

    def run(story):
        async def main():
            db = await Database.open(database_url, pool_max=4)
            try:
                return await story(db, await businesses.create(db, "Salon"))
            finally:
                await db.close()

        return asyncio.run(main())

    return run


def arrived(body, writer=PHONE, **more):
    return Arrived(f"SM{uuid4().hex}", body, "+15550000002", writer=writer, **more)


async def written(db, business_id, phone=PHONE):
    async with db.tenant(business_id) as connection:
        found = await two_channels.written(connection, business_id, phone)
    return [tuple(one) for one in found]


async def spoken(db, business_id, phone=PHONE, limit=3):
    lead = await leads.find(db, business_id, phone)
    async with db.tenant(business_id) as connection:
        return await two_channels.calls(connection, business_id, lead.id, limit)


def test_last_messages_of_a_number_and_of_no_other_are_told_in_order(told):
    async def story(db, business_id):
        for number in range(two_channels.WORDS_MAX + 2):
            await conversations.receive(db, business_id, arrived(f"text {number}"))
        await conversations.receive(db, business_id, arrived("not mine", OTHER))
        await conversations.receive(db, business_id, arrived(""))
        await conversations.receive(
            db, business_id, arrived("tried", channel="console")
        )
        return await written(db, business_id), await written(db, business_id, "+1555")

    mine, nobodys = told(story)
    assert mine == [("writer", f"text {number}") for number in range(2, 10)]
    assert nobodys == []


def test_what_was_written_from_mexico_is_told_in_a_call(told):
    async def story(db, business_id):
        await conversations.receive(db, business_id, arrived("hola", "+5215512345678"))
        return await written(db, business_id, "+525512345678")

    assert told(story) == [("writer", "hola")]


def test_what_was_written_yesterday_or_never_arrived_is_not_told(told):
    async def story(db, business_id):
        for body in ("old", "lost", "new"):
            await conversations.receive(db, business_id, arrived(body))
        async with db.tenant(business_id) as connection:
            await connection.execute(
                "update messages set created_at = now() - interval '25 hours' "
                "where body = 'old'"
            )
            await connection.execute(
                "update messages set status = 'failed' where body = 'lost'"
            )
        return await written(db, business_id)

    assert told(story) == [("writer", "new")]


def test_last_calls_of_a_lead_are_told_with_their_last_words(told):
    async def story(db, business_id):
        await leads.touch(db, business_id, PHONE)
        now = datetime.now(UTC)
        turns = [
            calls.Turn(
                role="caller",
                item_id=f"i{at}",
                text=f"words {at}",
                interrupted=False,
                heard_ms=None,
                at_s=float(at),
            )
            for at in range(10)
        ]
        for sid, age, more in (
            ("CA1", timedelta(days=91), {}),
            ("CA2", timedelta(days=2), {"outcome": "booked", "turns": turns}),
            ("CA3", timedelta(days=1), {}),
            ("CA4", timedelta(hours=1), {"is_test": True}),
        ):
            at = now - age
            await calls.save(
                db, business_id, call(sid, started_at=at, **{"tools": [], **more})
            )
        return await spoken(db, business_id), await spoken(db, business_id, limit=1)

    (last, before), [only] = told(story)
    assert (last.outcome, last.said) == ("talked", (("ai", "Hello"),))
    assert before.outcome == "booked"
    assert before.said == tuple(("caller", f"words {at}") for at in range(2, 10))
    assert only == last


def test_what_a_merged_person_said_at_the_other_number_is_told(told):
    async def story(db, business_id):
        await leads.touch(db, business_id, PHONE)
        lead = await leads.touch(db, business_id, OTHER)
        await conversations.receive(db, business_id, arrived("hello"))
        await calls.save(db, business_id, call("CA1"))
        before = await written(db, business_id, OTHER)
        await lead_care.merge(db, business_id, lead.id, PHONE)
        now = await written(db, business_id, OTHER)
        return before, now, await spoken(db, business_id, OTHER)

    before, now, [last] = told(story)
    assert (before, now) == ([], [("writer", "hello")])
    assert last.outcome == "talked"
