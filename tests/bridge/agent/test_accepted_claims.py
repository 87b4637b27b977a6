"""What a business accepts of a running call is the lead's, and no longer the call's."""

import pytest

from bridge.agent.calendar_tools import ACCEPTED_TEXT, HIDDEN_TEXT, UNVERIFIED_TEXT
from crm import calls, leads, proofs
from tests.bridge.agent.test_verification import KNOWN, UNKNOWN, in_salon
from tests.crm.test_crm import call as ended_call


@pytest.mark.parametrize("number", [KNOWN, UNKNOWN])
@pytest.mark.parametrize(
    ("tool", "more"),
    [
        ("calendar_cancel_appointment", {}),
        ("calendar_reschedule_appointment", {"new_starts_at": "2027-03-03T10:00"}),
    ],
)
def test_what_the_business_accepted_meanwhile_is_the_leads_until_the_caller_proves_it(
    database_url, number, tool, more
):
    async def story(salon, at):
        caller = await salon.ring(number)
        booked = (await caller.book(name="Dan"))["booked"]["starts_at"]
        await proofs.accept(salon.db, salon.id, caller.plan.call_sid)

        told = await caller.ask(tool, starts_at=booked, **more)
        assert told == {
            "error": f"{ACCEPTED_TEXT}; {UNVERIFIED_TEXT}",
            "appointments": [],
        }
        second = (await caller.book())["booked"]["starts_at"]
        told = await caller.ask(tool, starts_at=booked, **more)
        assert told["error"].startswith(ACCEPTED_TEXT)
        assert [one["starts_at"] for one in told["appointments"]] == [second]
        assert (await caller.ask("caller_verify", appointment=booked))["verified"]
        assert "error" not in await caller.ask(
            "calendar_cancel_appointment", starts_at=booked
        )

    in_salon(database_url, story)


def test_caller_with_a_hidden_number_is_told_that_the_business_accepted(database_url):
    async def story(salon, at):
        caller = await salon.ring("anonymous")
        await caller.book(name="Dan", phone=UNKNOWN)
        await proofs.accept(salon.db, salon.id, caller.plan.call_sid)

        told = await caller.ask("calendar_cancel_appointment")
        assert told["error"] == f"{ACCEPTED_TEXT}; {HIDDEN_TEXT}"

    in_salon(database_url, story)


def test_call_whose_claim_is_accepted_while_it_runs_counts_for_the_lead(database_url):
    async def story(salon, at):
        caller = await salon.ring(UNKNOWN)
        await caller.ask("leads_upsert", name="Dan")
        lead = await proofs.accept(salon.db, salon.id, caller.plan.call_sid)
        assert (lead.calls, lead.last_call_at) == (0, None)
        record = ended_call(
            caller.plan.call_sid, from_number=UNKNOWN, caller_worth="unverified"
        )
        await calls.save(salon.db, salon.id, record)

        after = await leads.find(salon.db, salon.id, UNKNOWN)
        assert (after.calls, after.last_call_at) == (1, record.started_at)
        (row, *_) = await calls.recent(salon.db, salon.id)
        assert row["lead_id"] == lead.id

    in_salon(database_url, story)
