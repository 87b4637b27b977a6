"""The report: one call with all that came of it, and every check."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from crm import appointments, audit, businesses, calls, health, leads
from crm.appointment_rows import Request
from crm.authors import By
from crm.businesses import Service
from crm.calendar import Rules
from tests.crm.test_crm import PHONE, call


def run(story):
    asyncio.run(story())


def turn(role, text, at_s):
    return calls.Turn(
        role=role, item_id=text, text=text, interrupted=False, heard_ms=1, at_s=at_s
    )


async def test_call(at, **more):
    """A test call with a lead and an appointment."""
    sid = f"CA{uuid4().hex}"
    await leads.upsert(at.database, at.ours, PHONE, {"name": "Ben & <b>"})
    await businesses.add_service(at.database, at.ours, Service("Cut", 30))
    for dow in range(7):
        await businesses.set_hours(at.database, at.ours, dow, [(0, 1440)])
    business = await businesses.get(at.database, at.ours)
    starts_at = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    request = Request(
        business.services[0],
        starts_at + timedelta(days=3),
        PHONE,
        by=By("call", sid),
    )
    rules = Rules(step_minutes=30, lead_minutes=0, days_max=366)
    await appointments.book(at.database, business, request, rules, starts_at)
    said = [turn("caller", "I need a <cut>", 2.0), turn("ai", "Booked", 9.0)]
    await calls.save(
        at.database,
        at.ours,
        call(sid, is_test=True, missing_fields=(), turns=said, **more),
    )
    return sid


test_call.__test__ = False


def test_report_has_the_call_and_all_that_came_of_it(desk):
    async def story():
        async with desk() as at:
            sid = await test_call(at)
            await calls.save(at.database, at.ours, call(f"CA{uuid4().hex}"))
            status, text = await at.owner.get(at.path("report"))
            assert status == 200
            assert sid in text
            assert "a test call" in text
            assert "I need a &lt;cut&gt;" in text
            assert "Ben &amp; &lt;b&gt;" in text
            assert "leads_upsert" in text
            assert "Be brief." in text
            assert PHONE not in text
            assert text.index("I need a") < text.index(">Booked<")
            for title in ("The caller was understood", "An appointment was booked"):
                line = text[: text.index(title)].rpartition("<tr>")[2]
                assert "✓" in line, title
            acts = await audit.recent(at.database, at.ours, 5)
            assert ("report.seen", sid) in [(one.action, one.subject) for one in acts]

    run(story)


def test_what_went_wrong_is_marked(desk):
    async def story():
        async with desk() as at:
            late = {"answer_ms": (4_000.0,), "barge_in_ms": (900.0,)}
            await test_call(at, failed=True, greeting_ms=None, **late)
            _, text = await at.owner.get(at.path("report"))
            for title in (
                "The caller heard the greeting",
                "Half of the answers came within 1.5 s",
                "The AI was silent within 200 ms",
                "The call ended in order",
            ):
                line = text[: text.index(title)].rpartition("<tr>")[2]
                assert "✗" in line, title
            assert "4000 ms" in text

    run(story)


def test_faults_of_the_service_are_told_to_the_operator_alone(desk):
    async def story():
        async with desk() as at:
            fault = [("fault", "numbers", "Theirs has none")]
            await health.save_checks(at.database, "node-1", fault)
            _, own = await at.owner.get(at.path("report"))
            _, all_of_it = await at.operator.get(at.path("report"))
            assert "Theirs has none" not in own
            assert "Theirs has none" in all_of_it
            await health.save_checks(at.database, "node-1", [])

    run(story)


def test_without_a_call_the_page_says_what_to_do(desk):
    async def story():
        async with desk() as at:
            status, text = await at.other.get(at.path("report", business=at.theirs))
            assert status == 200
            assert "There is no call yet" in text

    run(story)


def test_others_reach_no_report(desk):
    async def story():
        async with desk() as at:
            sid = await test_call(at)
            assert (await at.other.get(at.path("report")))[0] == 404
            assert (await at.staff.get(at.path("report")))[0] == 403
            theirs = at.path("report", business=at.theirs)
            for one in (sid, "x", "a%00", "x" * 99):
                assert (await at.other.get(f"{theirs}?call={one}"))[0] == 404
            assert (await at.owner.get(f"{at.path('report')}?call={sid}"))[0] == 200

    run(story)
