"""Whoever writes in a conversation waits for another, and neither for ever."""

import asyncio

from crm import lead_care, leads, message_turns, message_work
from crm.lead_care import Change
from crm.message_work import JOIN_MAX
from crm.messages import Draft
from tests.crm.test_claims import held as transaction, until_waiting
from tests.crm.test_conversations import told

WRITE = "update conversations set profile_name = 'x' where business_id = $1"


@told
async def test_turn_that_asks_for_a_person_ends_while_a_message_comes(salon):
    await salon.receive("I want a person")
    held = await salon.claim()
    turn = await message_turns.begin(salon.db, held, "m")
    async with transaction(salon.db, salon.id) as connection:
        await connection.execute(WRITE, salon.id)
        ending = asyncio.create_task(
            message_turns.end(
                salon.db, held, turn.id, [Draft("Soon")], cost=None, hold_why="angry"
            )
        )
        await until_waiting(salon.db, 1)
        await message_work.add(connection, *held[:2], JOIN_MAX)

    assert await ending


@told
async def test_people_are_merged_while_one_of_them_writes(salon):
    received = await salon.receive("hello")
    other = await leads.touch(salon.db, salon.id, "+15550000077")
    wish = Change(do_not_contact=True)
    await lead_care.change(salon.db, salon.id, other.id, wish)
    async with transaction(salon.db, salon.id) as connection:
        await connection.execute(WRITE, salon.id)
        phone = await connection.fetchval(
            "select phone from leads l join conversations c on c.lead_id = l.id "
            "where c.id = $1",
            received.conversation_id,
        )
        merging = asyncio.create_task(
            lead_care.merge(salon.db, salon.id, other.id, phone)
        )
        await until_waiting(salon.db, 1)
        await leads.note_message(connection, salon.id, phone)

    await merging
    found = await lead_care.get(salon.db, salon.id, other.id)
    assert [number for _, number in found.others] == [phone]
