"""The search of calls: words in any language, days of the business, pages."""

import asyncio
from datetime import UTC, date, datetime, timedelta

import pytest

from crm import businesses, call_search, calls, pages
from crm.call_search import Wish, query_of, search
from crm.database import Database
from tests.crm.test_arrivals import Inside
from tests.crm.test_crm import call

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


def said(text):
    return calls.Turn(
        role="caller", item_id="i", text=text, interrupted=False, heard_ms=None, at_s=1
    )


def run(story, url):
    async def main():
        db = await Database.open(url, pool_max=2)
        try:
            business_id = await businesses.create(
                db, "Salon", time_zone="Asia/Jerusalem"
            )
            return await story(db, business_id)
        finally:
            await db.close()

    return asyncio.run(main())


async def add(db, business_id, sid, text, **more):
    more = {"started_at": NOON, **more}
    await calls.save(db, business_id, call(sid, turns=[said(text)], **more))


async def found(db, business_id, **wish):
    return [one.call_sid for one in await search(db, business_id, Wish(**wish))]


@pytest.mark.parametrize(
    ("text", "words", "is_found"),
    [
        ("I want a Haircut on Tuesday", "tuesday HAIRCUT", True),
        ("I want a haircut", "hair", True),
        ("I want a haircut", "haircut monday", False),
        ("אפשר לקבוע את התור ליום שלישי", "תור", True),
        ("אפשר לקבוע את התור ליום שלישי", "יום שלישי", True),
        ("אפשר לקבוע את התור ליום שלישי", "רביעי", False),
        ("أريد حجز الموعد", "موعد", True),
        ("it's 5 o'clock", "o'clock", True),
        ("anything", "' | 'x':* & !", False),
        ("anything", "!!! ---", False),
        ("anything", "   ", True),
    ],
)
def test_words_are_found_as_people_say_them(database_url, text, words, is_found):
    async def story(db, business_id):
        await add(db, business_id, "CA1", text)
        assert await found(db, business_id, words=words) == ["CA1"] * is_found

    run(story, database_url)


def test_a_call_of_an_older_version_is_found_too(database_url):
    async def story(db, business_id):
        await add(db, business_id, "CA1", "a haircut")
        # As a build writes a call that knows no table of words.
        async with db.tenant(business_id) as connection:
            rows = {
                table: await connection.fetch(
                    f"select * from {table} where business_id = $1", business_id
                )
                for table in ("calls", "call_turns")
            }
            await connection.execute("delete from calls where call_sid = 'CA1'")
            for table, found_rows in rows.items():
                for row in found_rows:
                    places = ", ".join(f"${at}" for at in range(1, len(row) + 1))
                    await connection.execute(
                        f"insert into {table} ({', '.join(row.keys())}) "
                        f"values ({places})",
                        *row.values(),
                    )
        assert await found(db, business_id, words="haircut") == ["CA1"]
        assert await found(db, business_id, words="shave") == []

    run(story, database_url)


def test_a_transcript_of_any_length_is_stored(database_url):
    async def story(db, business_id):
        await add(db, business_id, "CA1", " ".join(map(str, range(400_000))))
        assert await found(db, business_id, words="4711") == ["CA1"]

    run(story, database_url)


def test_a_call_that_is_deleted_at_once_needs_no_words(database_url):
    async def story(db, business_id):
        await add(db, business_id, "CA1", "a haircut")
        async with db.tenant(business_id) as connection:
            row = await connection.fetchrow(
                "delete from calls where call_sid = 'CA1' returning *"
            )
            places = ", ".join(f"${at}" for at in range(1, len(row) + 1))
            await connection.execute(
                f"insert into calls ({', '.join(row.keys())}) values ({places})",
                *row.values(),
            )
            await connection.execute("delete from calls where call_sid = 'CA1'")
        assert await found(db, business_id, words="haircut") == []

    run(story, database_url)


@pytest.mark.parametrize("hits_max", [0, 1, 2_000])
def test_a_word_of_many_calls_and_a_rare_one_are_found_alike(
    database_url, monkeypatch, hits_max
):
    async def story(db, business_id):
        monkeypatch.setattr(call_search, "HITS_MAX", hits_max)
        for number in range(6):
            text = "hello zebra" if number == 2 else "hello"
            started_at = NOON + timedelta(hours=number)
            await add(db, business_id, f"CA{number}", text, started_at=started_at)
        newest_first = [f"CA{number}" for number in reversed(range(6))]
        assert await found(db, business_id, words="hello") == newest_first
        assert await found(db, business_id, words="zebra") == ["CA2"]
        assert await found(db, business_id, words="hello", outcome="none") == []
        first = await search(db, business_id, Wish(words="hello"), 4)
        rest = await search(db, business_id, Wish(words="hello"), 4, first[-1].place)
        assert [one.call_sid for one in (*first, *rest)] == newest_first

    run(story, database_url)


def test_words_of_another_business_are_not_found(role_url, database_url):
    directly = "select app.calls_with_words($1, 100)"

    async def story(owner, ours):
        db = await Database.open(role_url, pool_max=1)
        theirs = await businesses.create(owner, "Theirs")
        await add(owner, ours, "CA1", "a haircut")
        await add(owner, theirs, "CA2", "a haircut")
        try:
            for business_id, sid in ((ours, "CA1"), (theirs, "CA2")):
                assert await found(db, business_id, words="haircut") == [sid]
                # Whatever the function is asked, it looks at one business.
                async with db.tenant(business_id) as connection:
                    rows = await connection.fetch(directly, "'haircut':* | 'a'")
                    assert [row[0] for row in rows] == [sid]
                    rows = await connection.fetch("select call_sid from call_words")
                    assert [row[0] for row in rows] == [sid]
            async with db.routing() as connection:
                assert await connection.fetch(directly, "'a'") == []
                assert await connection.fetch("select from call_words") == []
        finally:
            await db.close()

    run(story, database_url)


def test_days_are_those_of_the_business(database_url):
    async def story(db, business_id):
        # Half past one at night in Jerusalem.
        await add(db, business_id, "CA1", "x", started_at=NOON.replace(hour=23))
        day = date(2026, 11, 21)
        assert await found(db, business_id, first_day=day, last_day=day) == ["CA1"]
        assert await found(db, business_id, last_day=day - timedelta(days=1)) == []

    run(story, database_url)


def test_outcome_and_number_narrow_the_list(database_url):
    async def story(db, business_id):
        await add(db, business_id, "CA1", "x", outcome="booked")
        await add(db, business_id, "CA2", "x", from_number="+972501234567")
        assert await found(db, business_id, outcome="booked") == ["CA1"]
        for number in ("050-123-4567", "+972501234567", "4567"):
            assert await found(db, business_id, number=number) == ["CA2"], number

    run(story, database_url)


def test_pages_follow_each_other_without_a_gap(database_url):
    async def story(db, business_id):
        for at in range(25):
            started_at = NOON - timedelta(minutes=at // 3)
            await add(db, business_id, f"CA{at:02}", "x", started_at=started_at)
        before, seen = None, []
        while page := await search(db, business_id, Wish(), 4, before):
            seen += page
            before = page[-1].place
        whole = await search(db, business_id, Wish(), 100)
        assert seen == whole
        assert len({one.call_sid for one in seen}) == 25
        rows = call_search.every(db, business_id, Wish(), 7)
        assert [one async for one in rows] == whole[:7]

    run(story, database_url)


def test_a_query_has_nothing_but_the_words():
    assert query_of("a' b|c!") == "('a':*) & ('b':*) & ('c':*)"
    assert query_of("..") == ""
    assert query_of(" ".join("abcdefghijkl")).count("&") == 7


def test_newest_call_and_newest_test_call_are_found_without_reading_others(
    database_url,
):
    async def newest(db, business_id):
        read = (
            "select seq_tup_read + idx_tup_fetch from pg_stat_xact_user_tables "
            "where relname = 'calls'"
        )
        async with db.tenant(business_id) as connection:
            before = await connection.fetchval(read)
            sid = await pages.newest_call(Inside(connection), business_id)
            assert await connection.fetchval(read) - before < 100
        return sid

    async def story(db, business_id):
        assert await newest(db, business_id) is None
        await add(db, business_id, "CA", "hello")
        async with db.owner() as connection:
            own = "select set_config('app.business_id', $1, true)"
            await connection.execute(own, str(business_id))
            await connection.execute(
                "insert into calls (business_id, call_sid, stream_sid, started_at, "
                "ended_at, end_reason, rx_frames, tx_frames, forwarded_frames, "
                "dropped_frames, silence_frames, barge_ins, answer_ms, barge_in_ms, "
                "usage) select business_id, 'CA' || n, '', started_at - n * "
                "interval '1 min', ended_at, '', 0, 0, 0, 0, 0, 0, '{}', '{}', '{}' "
                "from calls, generate_series(1, 3000) n where business_id = $1",
                business_id,
            )
            # Else the plan is the one for the rows of tests before.
            await connection.execute("analyze calls")
        assert await newest(db, business_id) == "CA"
        async with db.tenant(business_id) as connection:
            tried = "update calls set is_test = true where call_sid = any ($1)"
            await connection.execute(tried, ["CA2000", "CA1000"])
        assert await newest(db, business_id) == "CA1000"

    run(story, database_url)
