"""Messages of the business's own people: what may be written, and when not."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from bridge.messaging import by_hand
from bridge.messaging.by_hand import NotSent
from crm import conversations, opting_out
from crm.conversations import CONSOLE, Arrived
from tests.crm.test_conversations import told


async def refused(salon, conversation_id, text="Hello", after=timedelta(0)):
    now = datetime.now(UTC) + after
    with pytest.raises(NotSent) as caught:
        await by_hand.write(salon.db, salon.id, conversation_id, "Dana", text, now)
    return caught.value.reason


@told
async def test_text_is_written_within_24_hours_of_the_writer_s_last_message(salon):
    own = (await salon.receive()).conversation_id
    now = datetime.now(UTC)
    await by_hand.write(salon.db, salon.id, own, "Dana", " Hello ", now)

    assert (await salon.bodies(own))[-1] == ("person", "Hello", "waiting")
    assert await refused(salon, own, after=timedelta(hours=24)) == "window"
    assert len(await salon.bodies(own)) == 2


@told
async def test_nothing_is_written_to_who_wants_no_messages(salon):
    own = (await salon.receive()).conversation_id
    async with salon.db.tenant(salon.id) as connection:
        await opting_out.stop(connection, salon.id, own)

    assert await refused(salon, own) == "stopped"


@told
async def test_wrong_text_and_unknown_conversation_are_refused(salon):
    own = (await salon.receive()).conversation_id

    assert await refused(salon, own, " \n") == "empty"
    assert await refused(salon, own, "x" * 4_097) == "too_long"
    assert await refused(salon, uuid4()) == "unknown"


@told
async def test_chat_of_the_console_has_no_window(salon):
    arrived = Arrived(f"console-{uuid4().hex}", "hi", writer="try", channel=CONSOLE)
    received = await conversations.receive(salon.db, salon.id, arrived)
    later = datetime.now(UTC) + timedelta(days=30)
    own = received.conversation_id
    await by_hand.write(salon.db, salon.id, own, "Dana", "Hello", later)

    assert (await salon.bodies(own))[-1] == ("person", "Hello", "shown")
