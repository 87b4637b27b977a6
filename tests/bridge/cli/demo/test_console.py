"""`kolbridge demo --console`: what a newcomer finds in it."""

import asyncio
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from bridge.cli.demo import console, past, past_messages
from bridge.cli.demo.script import OFFERED, STEP_MINUTES
from crm import accounts, calls, conversation_pages, free_times, leads
from crm.calendar import Rules, Wish
from crm.database import Database
from crm.free_times import Wanted

pytest.importorskip("jinja2", reason="the extra `console` is not installed")


@pytest.fixture
def told(database_url, capsys):
    def run(story):
        async def main():
            db = await Database.open(database_url, pool_max=2)
            try:
                await story(db)
            finally:
                async with db.owner() as connection:
                    await connection.execute("delete from business_numbers")
                await db.close()

        asyncio.run(main())
        return capsys.readouterr().out

    return run


@pytest.mark.parametrize("language", ["en", "he"])
def test_business_has_yesterdays_calls_and_appointments_to_come(told, language):
    async def story(db):
        business = await console._make(db, language)
        rows = await calls.recent(db, business.id, limit=50)
        written = past.STORIES[language]
        assert len(rows) == len(written.calls)
        assert {row["outcome"] for row in rows} == {
            one.outcome for one in written.calls
        }
        now = datetime.now(UTC)
        for row in rows:
            assert timedelta(0) < now - row["started_at"] < timedelta(days=2)
        turns = await calls.turns(db, business.id, rows[-1]["call_sid"])
        assert [turn.role for turn in turns][:2] == ["ai", "caller"]
        assert (await leads.find(db, business.id, written.calls[0].caller)).name

        chats = past_messages.CHATS[language]
        listed = await conversation_pages.listed(
            db, business.id, conversation_pages.Wish()
        )
        assert {row.name for row in listed} == {chat.name for chat in chats}
        held = [row.name for row in listed if row.held_since]
        assert held == [chat.name for chat in chats if chat.held_why]
        # Nothing of it is to be answered or sent.
        async with db.tenant(business.id) as connection:
            assert await connection.fetchval("select count(*) from message_work") == 0

        async with db.tenant(business.id) as connection:
            booked = await connection.fetch(
                "select starts_at, resource from appointments where status = 'booked'"
            )
        assert len(booked) == len(written.appointments)
        assert all(row["starts_at"] > now for row in booked)

    told(story)


@pytest.mark.parametrize("language", ["en", "he"])
def test_times_that_the_demos_calls_are_offered_stay_free(told, language):
    """The recorded voice names four times of next Tuesday morning."""

    async def story(db):
        business = await console._make(db, language)
        now = datetime.now(ZoneInfo(business.time_zone))
        tuesday = now.date() + timedelta(days=(2 - now.isoweekday() - 1) % 7 + 1)
        found = await free_times.free(
            db,
            business,
            Wanted(business.services[0]),
            Wish(tuesday, tuesday, "morning"),
            Rules(STEP_MINUTES),
            datetime.now(UTC),
        )
        zone = ZoneInfo(business.time_zone)
        named = [f"{one.starts_at.astimezone(zone):%H:%M}" for one in found]
        assert tuple(named) == OFFERED

    told(story)


def test_each_link_opens_the_account_that_it_names(told):
    async def story(db):
        made = [await console._make(db, language) for language in ("en", "he")]
        await console._tell(db, "http://127.0.0.1:1", made)

    out = told(story)
    links = [line.strip() for line in out.splitlines() if "/console/login/" in line]
    assert len(links) == 3

    async def opened(db):
        users = [await accounts.use_link(db, link.rpartition("/")[2]) for link in links]
        assert [user.role for user in users] == ["operator", "owner", "owner"]
        assert users[2].language == "he"

    told(opened)
