"""The first pages: a business's day, the operator's list, the audit log."""

import asyncio
import re
from datetime import UTC, datetime, timedelta

from bridge.console import audit_page, businesses_page
from bridge.console.rendering import NOTHING
from crm import (
    audit,
    businesses,
    calls,
    claims,
    health,
    lead_care,
    leads,
    overview,
)
from crm.claims import Claimant
from tests.crm.test_crm import call

PHONE = "+12025550101"


def run(story):
    asyncio.run(story())


def figure(text, title):
    """Return what stands under a title of the day's figures."""
    return text.partition(f"<dt>{title}</dt><dd>")[2].partition("</dd>")[0]


def test_a_day_without_anything_says_what_to_do(desk):
    async def story():
        async with desk() as at:
            _, text = await at.owner.get(at.path(""))
            assert "No call today." in text
            assert "No appointment today." in text
            assert at.service.number in text
            assert "Nothing." in text

    run(story)


def test_the_page_is_found_without_its_last_slash(desk):
    async def story():
        async with desk() as at:
            bare = at.path("").rstrip("/")
            status, _ = await at.owner.get(bare)
            assert (status, at.owner.headers["Location"]) == (302, f"{bare}/")
            assert (await at.other.get(bare))[0] == 404

    run(story)


async def a_day_that_lasts(at):
    """Let the business's day not end during a test; return the present time."""
    now = datetime.now(UTC)
    zone = "Pacific/Kiritimati" if now.hour < 10 else "UTC"
    await businesses.update(at.database, at.ours, time_zone=zone)
    return now


async def book(at, lead, begins):
    """Book a minute for a lead, whether the business is open or not."""
    async with at.database.tenant(at.ours) as connection:
        await connection.execute(
            "insert into appointments (business_id, lead_id, starts_at, "
            "ends_at, busy_until) values ($1, $2, $3, $4, $4)",
            at.ours,
            lead.id,
            begins,
            begins + timedelta(minutes=1),
        )


def test_a_day_shows_its_calls_its_appointments_and_what_waits(desk):
    async def story():
        async with desk() as at:
            database, now = at.database, await a_day_that_lasts(at)
            lead = await leads.touch(database, at.ours, PHONE)
            await leads.upsert(database, at.ours, PHONE, {"city": "Acre"})
            for sid, more in (
                ("CA1", {"from_number": PHONE}),
                ("CA2", {"failed": True, "outcome": "failed"}),
                ("CA3", {"started_at": now - timedelta(days=3)}),
            ):
                await calls.save(database, at.ours, call(sid, **more))
            await calls.save(database, at.theirs, call("CA4"))
            await claims.write(database, at.ours, Claimant("CAc"), None, {"name": "E"})
            await book(at, lead, now)
            _, text = await at.owner.get(at.path(""))
            for shown in ("CA1", "CA2", "1 call failed", "1 caller gave data"):
                assert shown in text, shown
            assert "1 caller has not said" in text
            for hidden in ("CA3", "CA4", PHONE, "No appointment today."):
                assert hidden not in text, hidden

    run(story)


def test_a_day_of_more_than_a_page_says_how_much_it_is_and_where_the_rest_is(
    desk, monkeypatch
):
    monkeypatch.setattr(overview, "ROWS_MAX", 2)

    async def story():
        async with desk() as at:
            database, now = at.database, await a_day_that_lasts(at)
            lead = await leads.touch(database, at.ours, PHONE)
            for minutes in range(3):
                await book(at, lead, now + timedelta(minutes=minutes))
            for number in range(3):
                await calls.save(database, at.ours, call(f"CA{number}"))
            _, text = await at.owner.get(at.path(""))
            assert figure(text, "Appointments") == "3"
            assert "All appointments of today" in text
            assert "All calls of today" in text

    run(story)


def test_the_cost_of_a_day_is_that_of_calls_and_of_answers_in_writing(desk):
    async def story():
        async with desk() as at:
            database = at.database
            await calls.save(database, at.ours, call("CA1", cost=None))
            _, text = await at.owner.get(at.path(""))
            assert figure(text, "Cost") == NOTHING
            async with database.tenant(at.ours) as connection:
                await connection.execute(
                    "with one as (insert into conversations (business_id, channel, "
                    "writer) values ($1, 'whatsapp', $2) returning id) "
                    "insert into message_turns (business_id, conversation_id, cost) "
                    "select $1, id, 2 from one",
                    at.ours,
                    PHONE,
                )
            await calls.save(database, at.ours, call("CA2", cost=0.5))
            _, text = await at.owner.get(at.path(""))
            assert figure(text, "Cost").startswith("$2.50")
            assert "without 1 call that has no price" in text
            day = await health.day(database, at.ours, datetime.now(UTC))
            assert day.usage.written_cost_today == 2

    run(story)


def test_a_person_of_two_numbers_waits_once(desk):
    async def story():
        async with desk() as at:
            database = at.database
            for phone in (PHONE, "+12025550102"):
                lead = await leads.touch(database, at.ours, phone)
            await lead_care.merge(database, at.ours, lead.id, PHONE)
            await businesses.update(database, at.ours, required_fields=("name",))
            _, text = await at.owner.get(at.path(""))
            assert "1 caller has not said" in text

    run(story)


def test_the_list_of_businesses_has_pages(desk, monkeypatch):
    monkeypatch.setattr(businesses_page, "PAGE_ROWS", 1)

    async def story():
        async with desk() as at:
            seen, path = [], "/console/businesses"
            while True:
                status, text = await at.operator.get(path)
                assert status == 200
                seen += [part.split("/")[0] for part in text.split("/console/b/")[1:]]
                if 'rel="next"' not in text:
                    break
                link = text.split('rel="next"')[0].rsplit('href="', 1)[1].split('"')[0]
                path = "/console/businesses" + link.replace("&amp;", "&")
            assert {str(at.ours), str(at.theirs)} <= set(seen)
            assert len(seen) == len(set(seen))
            _, text = await at.operator.get(
                "/console/businesses?after=%F4%8F%BF%BD&id=x"
            )
            assert "There are no more." in text

    run(story)


def test_the_audit_log_has_pages_and_takes_any_address(desk, monkeypatch):
    monkeypatch.setattr(audit_page, "PAGE_ROWS", 2)

    async def story():
        async with desk() as at:
            here = at.path("audit")
            _, text = await at.owner.get(here)
            assert "Nothing is written here yet." in text
            for number in range(3):
                await audit.write(at.database, at.ours, None, "Dana", f"act.{number}")
            _, text = await at.owner.get(here)
            assert "act.2" in text
            assert "act.0" not in text
            link = text.split('rel="next"')[0].rsplit('href="', 1)[1].split('"')[0]
            _, text = await at.owner.get(here + link.replace("&amp;", "&"))
            assert "act.0" in text
            for query in ("before=x&id=y", "before=2026-01-01T00:00&id=x", "before="):
                assert (await at.owner.get(f"{here}?{query}"))[0] == 200

    run(story)


def test_callers_who_lack_data_are_those_that_the_link_leads_to(desk):
    async def story():
        async with desk() as at:
            database = at.database
            await businesses.update(database, at.ours, required_fields=("name", "city"))
            lacks, whole, wrote = "+12025550171", "+12025550172", "+12025550173"
            old = "+12025550174"
            for phone in (lacks, whole, old):
                await leads.touch(database, at.ours, phone)
            for phone in (wrote, lacks):
                await leads.upsert(database, at.ours, phone, {"name": f"Of {phone}"})
            said = {"name": f"Of {whole}", "city": "Acre"}
            await leads.upsert(database, at.ours, whole, said)
            async with database.tenant(at.ours) as connection:
                await connection.execute(
                    "update leads set last_call_at = now() - interval '9 days', "
                    "name = 'Old' where phone = $1",
                    old,
                )
            _, text = await at.owner.get(at.path(""))
            [link] = re.findall(r'href="([^"]*lacking=[^"]*)">1 caller has not', text)
            _, text = await at.owner.get(link)
            assert f"Of {lacks}" in text
            for hidden in (f"Of {whole}", f"Of {wrote}", "Old"):
                assert hidden not in text, hidden
            assert "who have not said all" in text
            for wrong in ("x", "0001-01-01", "9999-12-31"):
                status, text = await at.owner.get(at.path(f"leads?lacking={wrong}"))
                assert (status, "Old" in text) == (200, True)

    run(story)
