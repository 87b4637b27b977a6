"""A caller who proved who they are is known in the process that goes on with the call,
and nobody else is: neither another call, nor one whose tries are used up."""

from uuid import uuid4

import msgspec
import pytest

from bridge.business.directory import uncached
from bridge.settings.options import CallOptions
from bridge.settings.process import Settings
from bridge.switchboard.call_setup import reopen_plan
from crm import businesses, leads, proofs
from tests.bridge.agent.test_verification import (
    EMAIL,
    KNOWN,
    UNKNOWN,
    Caller,
    in_salon,
)


async def moved(salon, caller, db=None, **changes):
    """Return the call as another process goes on with it, from its kept plan."""
    plan = msgspec.structs.replace(caller.plan, **changes)
    db = db or salon.db
    directory = uncached(salon.db, CallOptions())
    opening = await reopen_plan(db, Settings(), plan, directory)
    return Caller(opening, salon.metrics)


async def is_known(caller, at):
    """Tell whether the caller may cancel what is on file."""
    told = await caller.ask("calendar_cancel_appointment", starts_at=at)
    return "cancelled" in told


def test_proof_moves_with_the_call(database_url):
    async def story(salon, at):
        dana = await salon.ring()
        assert (await dana.ask("caller_verify", email=EMAIL))["verified"]
        there = await moved(salon, dana)

        assert there.plan.tools == dana.plan.tools
        assert there.plan.caller_worth == "unverified"
        again = await there.ask("caller_verify", email="x@x.org")
        assert again["known"]["name"] == "Dana"
        assert await is_known(there, at)

    in_salon(database_url, story)


def test_call_that_proved_nothing_is_not_proven_by_its_move(database_url):
    async def story(salon, at):
        forger = await salon.ring()
        await forger.ask("leads_upsert", name="Dana", email="eve@example.org")
        there = await moved(salon, forger)

        assert not await is_known(there, at)

    in_salon(database_url, story)


@pytest.mark.parametrize("number", [KNOWN, UNKNOWN])
def test_tries_that_were_used_stay_used(database_url, number):
    async def story(salon, at):
        there = await salon.ring(number)
        for left in (2, 1, 0):
            told = await there.ask("caller_verify", email="x@x.org")
            assert told["tries_left"] == left
            there = await moved(salon, there)

        told = await there.ask("caller_verify", email=EMAIL, appointment=at)
        assert told["error"].startswith("no more tries")
        assert not await is_known(there, at)

    in_salon(database_url, story)


def test_proof_of_one_call_is_none_for_another(database_url):
    async def story(salon, at):
        dana = await salon.ring()
        await dana.ask("caller_verify", email=EMAIL)
        other_call = await moved(salon, dana, call_sid=f"CA{uuid4().hex}")
        other_caller = await moved(salon, dana, from_number=UNKNOWN)
        nobody = await moved(salon, dana, caller_worth="none")

        for caller in (other_call, other_caller, nobody):
            assert not await is_known(caller, at)

    in_salon(database_url, story)


def test_proof_in_one_business_is_none_in_another(database_url):
    async def story(salon, at):
        dana = await salon.ring()
        await dana.ask("caller_verify", email=EMAIL)
        claimant = proofs.Claimant(dana.plan.call_sid, KNOWN)
        other = await businesses.create(salon.db, "Other")

        assert await proofs.is_proven(salon.db, salon.id, claimant)
        assert not await proofs.is_proven(salon.db, other, claimant)

    in_salon(database_url, story)


def test_claim_that_the_business_accepts_proves_nothing_of_the_caller(database_url):
    async def story(salon, at):
        forger = await salon.ring()
        await forger.ask("leads_upsert", name="Dana")
        accepted = await proofs.accept(salon.db, salon.id, forger.plan.call_sid)
        assert accepted.phone == KNOWN
        there = await moved(salon, forger)

        assert not await is_known(there, at)

    in_salon(database_url, story)


def test_fact_of_an_earlier_claim_opens_no_lead_after_a_move(database_url):
    async def story(salon, at):
        first = await salon.ring()
        await first.ask("leads_upsert", name="Eve", email="eve@example.org")
        second = await salon.ring()
        assert (await second.ask("caller_verify", email="eve@example.org"))["verified"]
        there = await moved(salon, second)

        assert not await is_known(there, at)

    in_salon(database_url, story)


def test_proof_ends_with_its_lead(database_url):
    async def story(salon, at):
        dana = await salon.ring()
        await dana.ask("caller_verify", email=EMAIL)
        async with salon.db.tenant(salon.id) as connection:
            await connection.execute("update appointments set lead_id = null")
            await connection.execute("delete from leads where phone = $1", KNOWN)
        await leads.touch(salon.db, salon.id, KNOWN)
        claimant = proofs.Claimant(dana.plan.call_sid, KNOWN)

        assert not await proofs.is_proven(salon.db, salon.id, claimant)

    in_salon(database_url, story)


def test_without_the_database_the_caller_proves_it_again(database_url, caplog):
    async def story(salon, at):
        dana = await salon.ring()
        await dana.ask("caller_verify", email=EMAIL)

        class Away:
            def tenant(self, business_id):
                raise ConnectionRefusedError

        there = await moved(salon, dana, Away())

        assert "the caller must prove it again: ConnectionRefusedError" in caplog.text
        told = await there.ask("caller_verify", email=EMAIL)
        assert "verified" not in told

    in_salon(database_url, story)
