"""The page of calls: what it lists, its filters, its export."""

import asyncio
import csv
import io
from datetime import datetime, timedelta

import pytest

from bridge.console.call_words import OUTCOMES
from bridge.console.csv_export import cell
from bridge.records.summary import _OUTCOMES
from crm import businesses, calls, leads
from tests.crm.test_call_search import said
from tests.crm.test_crm import call


def run(story):
    asyncio.run(story())


async def add(at, sid, text="hello", business=None, **more):
    saved = call(sid, turns=[said(text)], **more)
    await calls.save(at.database, business or at.ours, saved)


def test_calls_are_listed_with_a_link_and_a_masked_number(desk):
    async def story():
        async with desk() as at:
            await leads.upsert(at.database, at.ours, "+15550001234", {"name": "Dana"})
            await add(at, "CA7", from_number="+15550001234", outcome="booked")
            status, text = await at.staff.get(at.path("calls"))
            assert status == 200
            assert at.path("calls", "CA7") in text
            assert "appointment booked" in text
            assert "Dana" in text
            assert "5550001234" not in text

    run(story)


def test_an_owner_finds_no_call_of_another_business(desk):
    async def story():
        async with desk() as at:
            await add(at, "CA8", "secret word", business=at.theirs)
            for page in ("calls", "calls.csv"):
                path = at.path(page, business=at.theirs)
                assert (await at.owner.get(path))[0] == 404
            _, text = await at.owner.get(at.path("calls?words=secret"))
            assert "CA8" not in text
            assert "No call fits." in text

    run(story)


def test_filters_are_kept_and_a_wrong_day_names_its_field(desk):
    async def story():
        async with desk() as at:
            status, text = await at.owner.get(at.path("calls?first=yesterday&words=x"))
            assert status == 422
            assert 'id="first-fault"' in text
            assert 'value="x"' in text
            status, _ = await at.owner.get(at.path("calls?first=0001-01-01"))
            assert status == 422
            for query in ("before=x", "before=2026-01-01", "words=%00", "outcome=x"):
                assert (await at.owner.get(at.path(f"calls?{query}")))[0] == 200

    run(story)


def test_a_long_list_has_pages(desk):
    async def story():
        async with desk() as at:
            for number in range(60):
                await add(at, f"CA{number:03}")
            _, text = await at.owner.get(at.path("calls?words=hello"))
            assert text.count("/calls/CA") == 50
            older = text.split('rel="next"')[0].rsplit('href="', 1)[1].split('"')[0]
            assert "words=hello" in older
            path = at.path("calls") + older.replace("&amp;", "&")
            _, text = await at.owner.get(path)
            assert text.count("/calls/CA") == 10

    run(story)


def test_an_export_holds_the_filtered_calls_and_no_formula(desk):
    async def story():
        async with desk() as at:
            phone = "+15550001234"
            name = '=HYPERLINK("https://evil.example")'
            await leads.upsert(at.database, at.ours, phone, {"name": name})
            await add(at, "CA1", from_number=phone, outcome="booked")
            await add(at, "CA2")
            zone = "Pacific/Kiritimati"
            await businesses.update(at.database, at.ours, time_zone=zone)
            status, text = await at.owner.get(at.path("calls.csv?outcome=booked"))
            assert status == 200
            assert at.owner.headers["Content-Type"] == "text/csv; charset=utf-8"
            rows = list(csv.reader(io.StringIO(text.removeprefix("\ufeff"))))
            assert len(rows) == 2
            assert rows[1][0] == "CA1"
            assert rows[1][2:4] == [f"'{phone}", f"'{name}"]
            # A time as the page and its filters have it.
            began = datetime.fromisoformat(rows[1][1])
            assert began.utcoffset() == timedelta(hours=14)
            assert (await at.staff.get(at.path("calls.csv")))[0] == 403
            _, text = await at.owner.get(at.path("audit"))
            assert "calls.exported" in text

    run(story)


@pytest.mark.parametrize(
    "text", ["=1+1", "+1", "-1", "@A1", "\t=1", "  =1", "\r=1", "\uff1d1"]
)
def test_no_cell_begins_like_a_formula(text):
    assert cell(text) == f"'{text}"


def test_other_cells_stay_as_they_are():
    assert [cell(value) for value in ("a=b", 5, None, "שלום")] == [
        "a=b",
        "5",
        "",
        "שלום",
    ]


def test_every_outcome_has_its_words():
    written = {"failed", "unanswered", "declined", "talked", "silent"}

    assert {*_OUTCOMES.values(), *written} == OUTCOMES.keys()
