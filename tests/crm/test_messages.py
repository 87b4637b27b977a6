"""Messages out: what the carrier says of them."""

from crm import messages
from crm.message_sending import read
from tests.crm.test_conversations import told


@told
async def test_message_is_with_the_carrier_whatever_word_it_has_for_that(salon):
    received = await salon.receive()
    own = (salon.db, salon.id)
    message_id = await messages.write_by_hand(
        *own, received.conversation_id, "Dana", "Hello"
    )
    held = await salon.claim()
    assert await messages.begin_try(salon.db, held, message_id)
    await messages.note_given(*own, message_id, "SM2", "partially_sent")

    found = await messages.get(*own, message_id)
    assert (found.sid, found.status) == ("SM2", "accepted")
    assert (await read(*own, received.conversation_id)).next is None
    assert await messages.note_status(*own, message_id, "SM2", "sent")
    assert not await messages.note_status(*own, message_id, "SM2", "of nobody")
