"""Businesses, leads, calls and migrations, on every PostgreSQL there is."""

import asyncio
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from crm import businesses, calls, leads
from crm.database import Database

PHONE = "+15550000001"


def run(story, url):
    async def main():
        db = await Database.open(url, pool_max=8)
        try:
            return await story(db)
        finally:
            await db.close()

    return asyncio.run(main())


def call(sid="CA1", **more):
    now = datetime.now(UTC)
    fields = {
        "call_sid": sid,
        "stream_sid": "MZ1",
        "from_number": PHONE,
        "to_number": "+15550000002",
        "model": "gpt-realtime-2.1",
        "prompt": "Be brief.",
        "prompt_facts": "Now: Sunday",
        "started_at": now,
        "answered_at": now,
        "ended_at": now,
        "end_reason": "caller_hung_up",
        "failed": False,
        "outcome": "talked",
        "missing_fields": ("name",),
        "rx_frames": 1,
        "tx_frames": 2,
        "forwarded_frames": 3,
        "dropped_frames": 4,
        "silence_frames": 5,
        "barge_ins": 1,
        "greeting_ms": 120.0,
        "answer_ms": (700.0, 810.0),
        "barge_in_ms": (120.0,),
        "usage": {"total_tokens": 9},
        "cost": 0.25,
        "turns": [
            calls.Turn(
                role="ai",
                item_id="i1",
                text="Hello",
                interrupted=True,
                heard_ms=400,
                at_s=1.5,
            )
        ],
        "tools": [
            calls.ToolCall(
                tool_call_id="t1",
                name="leads_upsert",
                arguments="{}",
                result="{}",
                ok=True,
                duration_ms=3.0,
                at_s=2.0,
            )
        ],
    }
    return calls.Call(**{**fields, **more})


def test_a_number_leads_to_its_business_with_all_it_has(database_url):
    async def story(db):
        business_id = await businesses.create(
            db, "Salon", language="he", country="IL", required_fields=["name"]
        )
        number = f"+1555{business_id.int % 10**7:07}"
        await businesses.add_number(db, business_id, number)
        await businesses.set_setting(db, business_id, "openai_voice", "cedar")
        await businesses.set_hours(db, business_id, 0, [(540, 780), (840, 1020)])
        await businesses.add_service(db, business_id, businesses.Service("cut", 30))
        await businesses.update(db, business_id, greeting="Shalom")
        found = await businesses.find_by_number(db, number)

        assert found == await businesses.get(db, business_id)
        assert found.greeting == "Shalom"
        assert found.settings == {"openai_voice": "cedar"}
        assert found.hours == (
            businesses.Hours(0, 540, 780),
            businesses.Hours(0, 840, 1020),
        )
        assert found.services == (businesses.Service("cut", 30),)
        assert found.numbers == (number,)
        assert (business_id, "Salon") in await businesses.list_all(db)
        await businesses.set_setting(db, business_id, "openai_voice", None)
        assert (await businesses.get(db, business_id)).settings == {}

    run(story, database_url)


def test_an_unknown_number_leads_nowhere(database_url):
    async def story(db):
        assert await businesses.find_by_number(db, "+15559999999") is None

    run(story, database_url)


def test_a_number_belongs_to_one_business(database_url):
    async def story(db):
        one = await businesses.create(db, "One")
        two = await businesses.create(db, "Two")
        number = f"+1666{one.int % 10**7:07}"
        await businesses.add_number(db, one, number)
        with pytest.raises(asyncpg.UniqueViolationError):
            await businesses.add_number(db, two, number)

    run(story, database_url)


def test_an_unknown_column_is_refused_by_name(database_url):
    async def story(db):
        with pytest.raises(ValueError, match="colour: expected one of name"):
            await businesses.create(db, "One", colour="red")

    run(story, database_url)


def test_a_caller_becomes_a_lead_once_and_is_counted(database_url):
    async def story(db):
        business_id = await businesses.create(db, "Salon")
        first = await leads.touch(db, business_id, PHONE)
        second = await leads.touch(db, business_id, PHONE)
        assert first.id == second.id
        assert second.calls == 2
        assert second.last_call_at >= first.last_call_at

    run(story, database_url)


def test_an_empty_argument_never_wipes_what_is_known(database_url):
    async def story(db):
        business_id = await businesses.create(db, "Salon")
        await leads.upsert(db, business_id, PHONE, {"name": "Dana", "city": "Haifa"})
        lead = await leads.upsert(
            db, business_id, PHONE, {"name": "", "city": None, "email": "d@example.com"}
        )
        assert (lead.name, lead.fields) == (
            "Dana",
            {"city": "Haifa", "email": "d@example.com"},
        )
        assert lead.missing(("name", "email", "street", "phone")) == ("street",)

    run(story, database_url)


def test_concurrent_upserts_make_one_lead(database_url):
    async def story(db):
        business_id = await businesses.create(db, "Salon")
        found = await asyncio.gather(
            *(leads.upsert(db, business_id, PHONE, {"name": "Dana"}) for _ in range(20))
        )
        assert len({lead.id for lead in found}) == 1

    run(story, database_url)


def test_a_bad_phone_is_refused_without_being_repeated():
    with pytest.raises(leads.FieldError, match="phone: expected") as caught:
        leads.check_phone("0501234567")
    assert "0501234567" not in str(caught.value)


def test_a_call_is_written_once_with_turns_tools_and_lead(database_url):
    async def story(db):
        business_id = await businesses.create(db, "Salon")
        lead = await leads.touch(db, business_id, PHONE)
        assert await calls.save(db, business_id, call())
        assert not await calls.save(db, business_id, call())
        assert await calls.save(db, business_id, call("CA2"))
        rows = await calls.recent(db, business_id)
        assert [row["call_sid"] for row in rows] == ["CA2", "CA1"]
        assert rows[0]["lead_id"] == lead.id
        assert (rows[0]["outcome"], rows[0]["cost"]) == ("talked", 0.25)
        assert rows[0]["missing_fields"] == ["name"]
        assert rows[0]["prompt_facts"] == "Now: Sunday"
        assert rows[0]["answer_ms"] == [700.0, 810.0]
        assert await calls.turns(db, business_id, "CA1") == list(call().turns)
        async with db.tenant(business_id) as connection:
            assert await connection.fetchval("select count(*) from prompts") == 1
            assert await connection.fetchval("select count(*) from tool_calls") == 2

    run(story, database_url)


def test_a_call_moves_its_leads_last_call_and_never_back(database_url):
    async def story(db):
        business_id = await businesses.create(db, "Salon")
        lead = await leads.touch(db, business_id, PHONE)
        late = lead.last_call_at + timedelta(hours=1)
        await calls.save(db, business_id, call("CA1", started_at=late))
        early = lead.last_call_at - timedelta(hours=1)
        await calls.save(db, business_id, call("CA2", started_at=early))
        assert (await leads.find(db, business_id, PHONE)).last_call_at == late

    run(story, database_url)


def test_the_database_answers(database_url):
    run(Database.ping, database_url)
