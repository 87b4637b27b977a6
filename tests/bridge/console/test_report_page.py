"""The report: one call with all that came of it, and every check."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import msgspec
import pytest

from bridge.agent.prompt import CALL_FACTS
from bridge.console import language, printing
from bridge.console.paper import Paper, Table
from bridge.console.report import Line, Tried
from bridge.console.report_paper import paper_of
from crm import appointments, audit, businesses, calls, health, leads
from crm.appointment_rows import Request
from crm.authors import By
from crm.businesses import Business, Service
from crm.calendar import Rules
from tests.crm.test_crm import PHONE, call

NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)
EMPTY = Paper("en", False, "Ready?", "As of today.", ())


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
    said = [
        turn("caller", "I need a <cut>", 2.0),
        turn("operator", "One moment", 1.0),  # begun before the caller had ended
        turn("ai", "Booked", 9.0),
    ]
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
            assert text.index("I need a") < text.index(">One moment<")
            assert text.index(">One moment<") < text.index(">Booked<")
            line = text[: text.index(">One moment<")].rpartition("<tr>")[2]
            assert "a person" in line
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


def test_report_is_a_pdf_in_the_language_of_the_page(desk):
    async def story():
        async with desk() as at:
            sid = await test_call(at)
            await at.owner.get("/console/account")
            await at.owner.post("/console/language", language="he")
            url = at.owner.base + at.path("report.pdf")
            async with at.owner.http.get(url) as answer:
                assert answer.status == 200
                assert answer.content_type == "application/pdf"
                named = answer.headers["Content-Disposition"]
                assert named == f'attachment; filename="report-{sid}.pdf"'
                made = await answer.read()
            assert made.startswith(b"%PDF-")
            assert b"/Lang (he)" in made
            acts = await audit.recent(at.database, at.ours, 5)
            assert "report.downloaded" in [one.action for one in acts]
            assert (await at.staff.get(at.path("report.pdf")))[0] == 403
            assert (await at.other.get(at.path("report.pdf")))[0] == 404

    run(story)


def test_a_business_without_a_call_has_a_pdf_too(desk):
    async def story():
        async with desk() as at:
            url = at.other.base + at.path("report.pdf", business=at.theirs)
            async with at.other.http.get(url) as answer:
                assert (await answer.read()).startswith(b"%PDF-")

    run(story)


def test_papers_beyond_those_that_may_wait_are_refused(monkeypatch):
    async def story():
        monkeypatch.setattr(printing, "WAITING_MAX", 1)
        one = printing.Printing()
        first = asyncio.create_task(one.pdf_of(EMPTY))
        await asyncio.sleep(0)
        with pytest.raises(printing.TooBusy):
            await one.pdf_of(EMPTY)
        assert (await first).startswith(b"%PDF-")

    run(story)


def test_a_paper_that_cannot_be_printed_is_an_error(monkeypatch):
    async def story():
        broken = Paper("en", False, "t", "s", (Table("x", (1,), (("a", "b"),)),))
        with pytest.raises(printing.PrintError):
            await printing.Printing().pdf_of(broken)
        monkeypatch.setattr(printing, "PRINT_S_MAX", 0.0)
        with pytest.raises(printing.PrintError):
            await printing.Printing().pdf_of(EMPTY)

    run(story)


def test_the_document_says_what_the_page_says():
    row = {
        "started_at": NOON,
        "ended_at": NOON + timedelta(seconds=67),
        "is_test": True,
        "call_sid": "CA1",
        "from_number": PHONE,
        "cost": 0.25,
        "prompt": f"Be brief.\n{CALL_FACTS}\nSay goodbye.",
        "prompt_facts": "Now: noon",
    }
    tool = calls.ToolCall(
        tool_call_id="t",
        name="book",
        arguments="{}",
        result="ok",
        ok=True,
        duration_ms=12.0,
        at_s=3.0,
    )
    said = turn("caller", "a cut", 2.0)
    tried = Tried(row, [said], [tool], None, [])
    log = [(said, None), (None, tool)]
    language.use("en")
    shop = Business(
        id=uuid4(),
        name="Shop",
        language="en",
        country="US",
        time_zone="UTC",
        greeting="",
        custom_prompt="",
        fallback_sentence="",
    )
    lines = [Line("The call ended", False, "timeout")]
    paper = paper_of(shop, NOON, tried, log, lines, "USD")
    text = msgspec.json.encode(paper).decode()

    for shown in (
        *("Shop", "a cut", "CA1", "1:07", "$0.25"),
        r"Be brief.\nNow: noon\nSay goodbye.",
        *("✗", "timeout", "✓ {} → ok 12 ms", "No lead came of this call."),
    ):
        assert shown in text, shown
    assert PHONE not in text
