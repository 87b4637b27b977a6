"""Erasing a person's rows: in whichever form the network has the number, and while
others write to them."""

import asyncio

import pytest

from crm import calls, claims, conversations, leads, proofs
from crm.claims import Claimant
from crm.conversations import Arrived
from crm.erasing import erase
from tests.crm.test_claims import OTHER, PHONE, held, run, until_waiting
from tests.crm.test_crm import call


@pytest.mark.parametrize(
    ("known", "form"),
    [
        ("+5531987654321", "+553187654321"),
        ("+541123456789", "+5491123456789"),
    ],
)
def test_what_was_unproven_in_the_number_s_other_form_goes_too(
    database_url, known, form
):
    async def story(db, salon):
        lead = await leads.touch(db, salon, known)
        await claims.write(db, salon, Claimant("CA1", form), None, {"name": "Dan"})
        await claims.write(db, salon, Claimant("CA2"), form, {"name": "Dan"})
        unproven = call("CA3", from_number=form, caller_worth="unverified")
        await calls.save(db, salon, unproven)

        erased = await erase(db, salon, lead.id)

        assert set(erased.phones) == {known, form}
        assert set(erased.call_sids) == {"CA1", "CA2", "CA3"}
        assert await claims.recent(db, salon) == []

    run(story, database_url)


def test_other_form_that_is_another_lead_is_kept(database_url):
    async def story(db, salon):
        known, form = "+5531987654321", "+553187654321"
        lead = await leads.touch(db, salon, known)
        async with db.tenant(salon) as connection:
            await connection.execute(
                "insert into leads (business_id, phone) values ($1, $2)", salon, form
            )
        await calls.save(db, salon, call("CA1", from_number=form))

        assert (await erase(db, salon, lead.id)).call_sids == ()

    run(story, database_url)


def test_a_person_is_erased_while_their_claim_is_accepted(database_url):
    async def story(db, salon):
        lead = await leads.touch(db, salon, PHONE)
        caller = Claimant("CA1", PHONE)
        await claims.write(db, salon, caller, None, {"name": "Dan"})
        async with held(db, salon) as connection:
            await claims.read(connection, salon, "CA1", locks=True)
            erasing = asyncio.create_task(erase(db, salon, lead.id))
            await until_waiting(db, 1)
            await leads.learn(connection, salon, PHONE, {"name": "Dan"})

        assert (await erasing).rows == {"claims": 1, "leads": 1}
        assert await proofs.accept(db, salon, "CA1") is None

    run(story, database_url)


def test_a_record_that_waits_for_an_erasure_is_not_written(database_url):
    async def story(db, salon):
        lead = await leads.touch(db, salon, PHONE)
        record = call("CA1", from_number=PHONE, caller_worth="verified")
        async with held(db, salon) as connection:
            await connection.execute("select from leads for update")
            saving = asyncio.create_task(calls.save(db, salon, record))
            await until_waiting(db, 1)
            await connection.execute("delete from leads where id = $1", lead.id)
            await connection.execute(
                "insert into erased_calls (business_id, call_sid) values ($1, 'CA1')",
                salon,
            )

        assert await saving is False
        assert await calls.recent(db, salon) == []

    run(story, database_url)


def test_a_person_is_erased_while_they_write(database_url):
    async def story(db, salon):
        arrived = Arrived("SM1", "hello", OTHER, "AC1", PHONE)
        await conversations.receive(db, salon, arrived)
        lead = await leads.find(db, salon, PHONE)
        async with held(db, salon) as connection:
            await connection.execute("select from conversations for update")
            erasing = asyncio.create_task(erase(db, salon, lead.id))
            await until_waiting(db, 1)
            await leads.note_message(connection, salon, PHONE)

        assert (await erasing).rows["conversations"] == 1
        assert await leads.find(db, salon, PHONE) is None

    run(story, database_url)
