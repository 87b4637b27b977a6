"""WhatsApp knows a mobile of Mexico as +52 1, and its lead is without the 1: it is one
person all the same."""

from datetime import timedelta

from crm import conversations, leads
from crm.conversations import Arrived
from tests.bridge.messaging.test_announcements import ACCOUNT, told

LEAD, WRITER = "+525512345678", "+5215512345678"


async def written_from_mexico(salon, ago):
    """The lead is of Mexico, and has written so long ago."""
    salon.phone = LEAD
    salon.lead = (await leads.touch(salon.database, salon.id, LEAD)).id
    arrived = Arrived("SM" + "0" * 32, "hi", salon.number, ACCOUNT, WRITER)
    got = await conversations.receive(salon.database, salon.id, arrived)
    await salon.sql("update conversations set last_inbound_at = $1", salon.now - ago)
    return got.conversation_id


@told
async def test_reminder_goes_to_the_conversation_that_the_person_has(salon):
    await written_from_mexico(salon, timedelta(hours=3))
    await salon.book()

    assert await salon.look() == 1
    [message] = await salon.written()
    assert message["writer"] == WRITER
    assert await salon.sql("select count(*) from conversations") == 1


@told
async def test_who_has_written_since_a_missed_call_gets_no_message_after_it(salon):
    await written_from_mexico(salon, timedelta(minutes=5))
    await salon.set(whatsapp_templates=f"missed_call.en=HX{'0' * 32}")
    await salon.call(timedelta(minutes=10))

    assert await salon.look() == 0


@told
async def test_who_has_stopped_their_conversation_is_not_written_to(salon):
    own = await written_from_mexico(salon, timedelta(hours=3))
    await salon.sql("update conversations set stopped_at = now() where id = $1", own)
    await salon.set(whatsapp_templates=f"reminder.en=HX{'0' * 32}")
    await salon.book()

    assert await salon.look() == 0
