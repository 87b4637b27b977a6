"""A caller whose number may be forged: what is told, and what proves who it is."""

import asyncio
from datetime import UTC, datetime
from uuid import uuid4

import orjson
import pytest

from bridge.agent.tools import ToolRunner
from bridge.call.plan import RunTool
from bridge.settings.process import Settings
from bridge.switchboard.call_setup import Ringing, open_plan
from bridge.telemetry.log import CallLogger
from bridge.telemetry.metrics import Metrics
from crm import businesses, calls, claims, leads, proofs
from crm.database import Database
from tests.bridge import running_service, ws_peer
from tests.crm.test_crm import call as ended_call

KNOWN, UNKNOWN = "+12025550123", "+12025550124"
PASSED = "TN-Validation-Passed-A"
EMAIL = "dana@example.org"


class Salon:
    """One business that trusts attested numbers alone, and calls to it."""

    def __init__(self, db, business_id, number):
        self.db, self.id, self.number = db, business_id, number
        self.metrics = Metrics()

    async def ring(self, from_number=KNOWN, stir_verstat="", sid=None):
        ringing = Ringing(
            call_sid=sid or f"CA{uuid4().hex}",
            account_sid="AC1",
            from_number=from_number,
            to_number=self.number,
            stir_verstat=stir_verstat,
        )
        opening = await open_plan(self.db, Settings(), ringing, datetime.now(UTC))
        return Caller(opening, self.metrics)

    async def known(self):
        return await leads.find(self.db, self.id, KNOWN)


class Caller:
    """One call's tools."""

    def __init__(self, opening, metrics):
        self.plan = opening.plan
        self._runner = ToolRunner(
            opening.tools,
            deadline_ms=20_000,
            log=CallLogger(self.plan.call_sid),
            metrics=metrics,
        )

    @property
    def facts(self):
        lines = self.plan.instructions.splitlines()
        return next(line for line in lines if line.startswith("Caller: "))

    async def ask(self, tool, **arguments):
        text = orjson.dumps(arguments).decode()
        result = await self._runner.run(RunTool(uuid4().hex, tool, text))
        return orjson.loads(result.output)

    async def book(self, **more):
        slots = (await self.ask("calendar_find_slots"))["slots"]
        at = slots[-1]["starts_at"]
        return await self.ask("calendar_create_appointment", starts_at=at, **more)


def in_salon(url, story):
    """Tell a story of a business that knows one caller, with an appointment."""

    async def main():
        db = await Database.open(url)
        try:
            made = await businesses.create(db, "Salon", required_fields=["name"])
            number = f"+1555{uuid4().int % 10**7:07}"
            await businesses.add_number(db, made, number)
            await businesses.set_setting(db, made, "caller_trust", "attested")
            for dow in range(7):
                await businesses.set_hours(db, made, dow, [(0, 1440)])
            salon = Salon(db, made, number)
            dana = await salon.ring(stir_verstat=PASSED)
            await dana.ask("leads_upsert", name="Dana", email=EMAIL, notes="Private.")
            booked = await dana.book()
            await story(salon, booked["booked"]["starts_at"])
        finally:
            await db.close()

    asyncio.run(main())


@pytest.mark.parametrize("verstat", ["", "TN-Validation-Passed-B", "No-TN-Validation"])
def test_nothing_of_a_lead_is_told_or_changed_before_it_is_proven(
    database_url, verstat
):
    async def story(salon, at):
        before = await salon.known()

        answers = []
        for number in (KNOWN, UNKNOWN):
            forger = await salon.ring(number, verstat)
            assert forger.facts.startswith("Caller: not verified; nothing on file")
            assert forger.plan.missing_fields == ("name",)
            told = [
                await forger.ask("leads_upsert", notes="Call me back."),
                await forger.ask("calendar_cancel_appointment"),
                await forger.ask("calendar_cancel_appointment", starts_at=at),
                await forger.ask("calendar_reschedule_appointment", new_starts_at=at),
                await forger.ask("caller_verify", email="eve@example.org"),
                await forger.ask("caller_verify", appointment=f"{at[:10]}T04:05"),
            ]
            assert told[0].pop("known") == {"phone": number, "notes": "Call me back."}
            booked = await forger.book()
            assert booked.pop("booked")
            answers.append([*told, booked])

        assert answers[0] == answers[1]
        assert answers[0][-2:] == [
            {"error": "this does not prove who the caller is", "tries_left": 1},
            {"missing": ["name"]},
        ]
        assert await salon.known() == before
        assert len(await leads.recent(salon.db, salon.id)) == 1

    in_salon(database_url, story)


def test_an_attested_caller_is_known_and_has_no_tool_to_prove_it(database_url):
    async def story(salon, at):
        dana = await salon.ring(stir_verstat=PASSED)

        assert EMAIL in dana.facts
        assert "caller_verify" not in {tool.name for tool in dana.plan.tools}
        assert (await dana.ask("calendar_cancel_appointment"))["cancelled"]

    in_salon(database_url, story)


@pytest.mark.parametrize("fact", ["email", "appointment"])
def test_a_second_fact_opens_the_lead_and_takes_over_what_the_call_said(
    database_url, fact
):
    async def story(salon, at):
        before = await salon.known()
        dana = await salon.ring()
        await dana.ask("leads_upsert", city="Haifa")
        await dana.book()

        said = {
            "email": {"email": " Dana@Example.org"},
            "appointment": {"appointment": at},
        }
        told = await dana.ask("caller_verify", **said[fact])

        assert told["verified"] is True
        assert told["known"]["name"] == "Dana"
        assert told["known"]["next_appointment"]["starts_at"] == at
        assert told["missing"] == []
        after = await salon.known()
        assert after.fields == {**before.fields, "city": "Haifa"}
        assert after.calls == before.calls + 1
        assert await claims.recent(salon.db, salon.id) == []
        # Both appointments are theirs, and the old one can go.
        gone = await dana.ask("calendar_cancel_appointment", starts_at=at)
        assert gone["cancelled"]["starts_at"] == at
        assert (await salon.known()).next_appointment_at is not None
        # Asked again, as by a session that took the place of another, it tells as much.
        again = await dana.ask("caller_verify", email="x@x.org")
        assert again["known"]["name"] == "Dana"
        record = ended_call(
            dana.plan.call_sid, from_number=KNOWN, caller_worth="unverified"
        )
        await calls.save(salon.db, salon.id, record)
        (row, *_) = await calls.recent(salon.db, salon.id)
        assert (row["lead_id"], row["caller_worth"]) == (after.id, "unverified")

    in_salon(database_url, story)


@pytest.mark.parametrize("number", [KNOWN, UNKNOWN])
def test_a_fact_of_an_earlier_claim_opens_that_claim_and_no_lead(database_url, number):
    async def story(salon, at):
        before = await salon.known()
        first = await salon.ring(number)
        await first.ask("leads_upsert", name="Eve", email="eve@example.org")
        booked = (await first.book())["booked"]["starts_at"]

        second = await salon.ring(number)
        refused = await second.ask("calendar_cancel_appointment")
        assert refused["appointments"] == []
        told = await second.ask("caller_verify", email="eve@example.org")
        assert told["known"].pop("next_appointment")["starts_at"] == booked
        assert told == {
            "verified": True,
            "known": {"phone": number, "email": "eve@example.org", "name": "Eve"},
            "missing": [],
        }
        refused = await second.ask("calendar_cancel_appointment", starts_at=at)
        assert [one["starts_at"] for one in refused["appointments"]] == [booked]
        gone = await second.ask("calendar_cancel_appointment")
        assert gone["cancelled"]["starts_at"] == booked
        assert await salon.known() == before
        (claim,) = await claims.recent(salon.db, salon.id)
        assert (claim.call_sid, claim.name) == (second.plan.call_sid, "Eve")

    in_salon(database_url, story)


def test_a_business_accepts_a_claim_as_its_leads(database_url):
    async def story(salon, at):
        before = await salon.known()
        caller = await salon.ring()
        await caller.ask("leads_upsert", name="Dan", city="Haifa", notes="Other.")
        # It is the number they call from that the claim is about.
        await caller.book(phone=UNKNOWN)

        lead = await proofs.accept(salon.db, salon.id, caller.plan.call_sid)

        assert (lead.name, lead.calls) == ("Dana", before.calls)
        assert lead.fields == {**before.fields, "city": "Haifa"}
        assert await claims.recent(salon.db, salon.id) == []
        assert await proofs.accept(salon.db, salon.id, "CA0") is None
        dana = await salon.ring(stir_verstat=PASSED)
        refused = await dana.ask("calendar_cancel_appointment")
        assert len(refused["appointments"]) == 2

    in_salon(database_url, story)


def test_what_is_booked_after_a_claim_was_accepted_is_to_be_accepted(database_url):
    async def story(salon, at):
        caller = await salon.ring()
        await caller.ask("leads_upsert", name="Dan")
        await proofs.accept(salon.db, salon.id, caller.plan.call_sid)
        assert await claims.recent(salon.db, salon.id) == []
        booked = (await caller.book())["booked"]["starts_at"]

        (claim,) = await claims.recent(salon.db, salon.id)
        assert claim.next_appointment_at == datetime.fromisoformat(booked)
        await proofs.accept(salon.db, salon.id, caller.plan.call_sid)
        assert await claims.recent(salon.db, salon.id) == []

    in_salon(database_url, story)


@pytest.mark.parametrize("number", [KNOWN, UNKNOWN])
def test_tries_are_few_in_a_call_and_in_a_day(database_url, number):
    async def story(salon, at):
        for _ in range(2):
            forger = await salon.ring(number)
            left = [
                (await forger.ask("caller_verify", email=f"{n}@x.org"))["tries_left"]
                for n in range(3)
            ]
            assert left == [2, 1, 0]
            told = await forger.ask("caller_verify", email=EMAIL, appointment=at)
            assert told["error"].startswith("no more tries")
        forger = await salon.ring(number)
        told = await forger.ask("caller_verify", email=EMAIL)
        assert told["error"].startswith("no more tries")
        assert salon.metrics.value("limits_reached", limit="verify_tries") == 3

    in_salon(database_url, story)


def test_tries_at_the_same_moment_are_counted_one_by_one(database_url):
    async def story(salon, at):
        forgers = [await salon.ring(KNOWN) for _ in range(8)]

        answers = await asyncio.gather(
            *(one.ask("caller_verify", email="x@x.org") for one in forgers)
        )

        assert sum("tries_left" in one for one in answers) == 6

    in_salon(database_url, story)


def test_a_forged_number_books_little_however_often_it_calls(database_url):
    async def story(salon, at):
        booked = []
        for _ in range(4):
            forger = await salon.ring(KNOWN)
            booked.append("booked" in await forger.book())

        assert booked == [True, True, False, False]
        dana = await salon.ring(stir_verstat=PASSED)
        assert "booked" in await dana.book()

    in_salon(database_url, story)


def test_bad_arguments_of_a_proof_say_what_was_expected(database_url):
    async def story(salon, at):
        caller = await salon.ring()

        told = await caller.ask("caller_verify", email=" ")
        assert told["error"].startswith("expected an email or an appointment")
        told = await caller.ask("caller_verify", appointment="soon")
        assert told["error"].startswith("appointment: expected a time")

    in_salon(database_url, story)


def test_the_attestation_comes_with_the_signed_webhook(embedded_url, tmp_path):
    async def story():
        async with running_service.served(embedded_url, tmp_path) as place:
            salon = place.database, place.business_id
            await businesses.set_setting(*salon, "caller_trust", "attested")
            told = []
            for more in ({"StirVerstat": PASSED}, {}):
                await place.ring(running_service.new_sid(), **more)
                _, session = await place.configured_model()
                told.append(session["instructions"])
            assert f'"phone":"{running_service.CALLER}"' in told[0]
            assert "Caller: not verified" in told[1]

    ws_peer.run(story)


def test_fact_opens_the_lead_of_the_line_whatever_number_it_wrote_from(database_url):
    async def story(salon, at):
        dana = await salon.known()
        async with salon.db.tenant(salon.id) as connection:
            await connection.execute("update leads set phone = '+553187654321'")
        caller = await salon.ring("+5531987654321")
        opened = await caller.ask("caller_verify", email=EMAIL)

        assert opened["known"]["name"] == "Dana"
        [lead] = await leads.recent(salon.db, salon.id)
        assert (lead.id, lead.phone) == (dana.id, "+5531987654321")
        assert (await caller.ask("calendar_cancel_appointment"))["cancelled"]

    in_salon(database_url, story)
