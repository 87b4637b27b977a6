"""Conversations: received once, answered by one process, sent in order."""

import asyncio
from datetime import timedelta
from uuid import uuid4

import pytest

from crm import (
    businesses,
    conversations,
    lead_care,
    leads,
    message_turns,
    message_work,
    messages,
    notices,
    opting_out,
)
from crm.conversations import Arrived
from crm.database import Database
from crm.message_turns import ToolRun
from crm.message_work import LeaseLost
from crm.messages import Draft

OWN = "+15550009999"
_ZERO = timedelta(0)


class Salon:
    """A business, and somebody who writes to it."""

    def __init__(self, db, business_id):
        self.db = db
        self.id = business_id
        self.writer = f"+1555{uuid4().int % 10**7:07}"
        self.holder = uuid4()

    async def receive(self, body="hello", sid=None, to=OWN, **more):
        sid = sid or f"SM{uuid4().hex}"
        arrived = Arrived(sid, body, to, "AC1", self.writer)
        return await conversations.receive(self.db, self.id, arrived, **more)

    async def claim(self, holder=None):
        """Claim this business's conversation; None where there is nothing to do."""
        holder = holder or self.holder
        found = await message_work.claim(self.db, holder, 1_000)
        return next((one for one in found if one.business_id == self.id), None)

    async def sql(self, text, *values):
        async with self.db.tenant(self.id) as connection:
            return await connection.fetchval(text, *values)

    async def bodies(self, conversation_id):
        async with self.db.tenant(self.id) as connection:
            found = await messages.of_conversation(
                connection, self.id, conversation_id, 50
            )
        return [(one.author, one.body, one.status) for one in found]


def told(story):
    """Run a story about a salon on each database."""

    def test(database_url):
        async def main():
            db = await Database.open(database_url, pool_max=4)
            try:
                business_id = await businesses.create(db, "Salon")
                await story(Salon(db, business_id))
            finally:
                # Nothing is left to the messengers of other tests.
                async with db.tenant(business_id) as connection:
                    await connection.execute("delete from message_work")
                await db.close()

        asyncio.run(main())

    test.__name__ = story.__name__
    return test


@told
async def test_message_delivered_again_is_received_once(salon):
    first = await salon.receive(sid="SM1")
    again = await salon.receive(sid="SM1")

    assert (first.is_repeated, again.is_repeated) == (False, True)
    assert again.conversation_id == first.conversation_id
    assert await salon.sql("select count(*) from messages") == 1
    assert await salon.sql("select added from message_work") == 1


@told
async def test_writer_is_the_lead_of_their_number(salon):
    lead = await leads.touch(salon.db, salon.id, salon.writer)
    received = await salon.receive()

    found = await conversations.get(salon.db, salon.id, received.conversation_id)
    assert found.lead_id == lead.id
    assert await salon.sql("select calls from leads") == 1
    assert await salon.sql("select last_message_at from leads") is not None


@told
async def test_messages_over_the_limit_are_kept_and_not_answered(salon):
    await salon.receive(per_minute_max=2)
    await salon.receive(per_minute_max=2)
    third = await salon.receive("three", per_minute_max=2)
    fourth = await salon.receive("four", per_minute_max=2)

    assert (third.is_refused, third.is_first_refused) == (True, True)
    assert (fourth.is_refused, fourth.is_first_refused) == (True, False)
    turn = await message_turns.begin(salon.db, await salon.claim(), "m")
    assert [one.body for one in turn.asked] == ["hello", "hello"]


@told
async def test_messages_shortly_after_one_another_are_waited_for_but_not_for_ever(
    salon,
):
    pause = timedelta(seconds=1.5)
    await salon.receive(pause=pause)
    waits = "select extract(epoch from due_at - now())::float from message_work"
    assert 1.2 < await salon.sql(waits) <= 1.5

    # The first message has waited for four seconds.
    await salon.sql(
        "update message_work set waits_since = now() - interval '4 s' returning 1"
    )
    await salon.receive(pause=pause)
    assert 0.7 < await salon.sql(waits) <= 1.0
    assert await salon.claim() is None


@told
async def test_conversation_is_with_one_process_until_its_lease_ends(salon):
    await salon.receive()
    held = await salon.claim()
    assert await salon.claim(uuid4()) is None

    await salon.sql("update message_work set leased_until = now() returning 1")
    other = await salon.claim(uuid4())
    assert other is not None
    with pytest.raises(LeaseLost):
        await message_turns.begin(salon.db, held, "m")
    assert await message_work.renew(salon.db, salon.holder, [held]) == set()
    await message_work.release(salon.db, held, None)
    assert (await message_turns.begin(salon.db, other, "m")).asked


@told
async def test_what_comes_while_a_conversation_is_held_is_not_forgotten(salon):
    await salon.receive()
    held = await salon.claim()
    await salon.receive("and")
    await message_work.release(salon.db, held, None)

    assert await salon.claim() is not None


@told
async def test_turn_of_a_process_that_died_goes_on_from_what_is_stored(salon):
    await salon.receive(sid="SM7")
    held = await salon.claim()
    turn = await message_turns.begin(salon.db, held, "m")
    said = {"type": "function_call", "call_id": "c1", "name": "leads_upsert"}
    await message_turns.add_items(salon.db, held, turn.id, [said], {"text_in": 10})
    run = ToolRun("SM7:0", "leads_upsert", "{}")
    assert (await message_turns.begin_tool(salon.db, held, turn.id, run)).output is None
    await message_turns.end_tool(salon.db, held, run._replace(output="{}", ok=True))
    await salon.sql("update message_work set leased_until = now() returning 1")

    held = await salon.claim(uuid4())
    again = await message_turns.begin(salon.db, held, "m")

    assert (again.id, again.tries, again.key) == (turn.id, 2, "SM7")
    assert again.items == (said,)
    assert (await message_turns.begin_tool(salon.db, held, turn.id, run)).output == "{}"
    draft = Draft("Hello")
    assert await message_turns.end(salon.db, held, turn.id, [draft], cost=0.1)
    assert not await message_turns.end(salon.db, held, turn.id, [draft], cost=0.1)
    assert await salon.bodies(held.conversation_id) == [
        ("writer", "hello", "received"),
        ("assistant", "Hello", "waiting"),
    ]
    assert await message_turns.begin(salon.db, held, "m") is None


@told
async def test_usage_of_a_turn_is_added_up_as_it_goes(salon):
    await salon.receive()
    held = await salon.claim()
    turn = await message_turns.begin(salon.db, held, "m")
    for usage in ({"text_in": 10}, {"text_in": 5, "text_out": 2}):
        await message_turns.add_items(salon.db, held, turn.id, [], usage)

    usage = await salon.sql("select usage from message_turns")
    assert usage == {"text_in": 15, "text_out": 2}


@told
async def test_held_conversation_is_left_to_people_and_told_of(salon):
    await notices.add(salon.db, salon.id, "email", "a@b.com", ["person.wanted"])
    received = await salon.receive()
    async with salon.db.tenant(salon.id) as connection:
        own = (connection, salon.id, received.conversation_id)
        assert await conversations.hold(*own, "asked for a person")
        assert not await conversations.hold(*own, "asked again")

    assert await message_turns.begin(salon.db, await salon.claim(), "m") is None
    (entry,) = await notices.log(salon.db, salon.id)
    assert entry.type == "person.wanted"
    assert await conversations.hand_back(salon.db, *own[1:])
    assert not await conversations.hand_back(salon.db, *own[1:])


@told
async def test_statuses_that_come_late_or_twice_change_nothing(salon):
    received = await salon.receive()
    message_id = await messages.write_by_hand(
        salon.db, salon.id, received.conversation_id, "Dana", "Hello"
    )
    held = await salon.claim()
    assert await messages.begin_try(salon.db, held, message_id)

    async def note(status, sid="SM2", code=None):
        return await messages.note_status(
            salon.db, salon.id, message_id, sid, status, code
        )

    # The status can come before the carrier's answer does.
    assert await note("delivered")
    await messages.note_given(salon.db, salon.id, message_id, "SM2", "queued")
    assert not await note("sent")
    assert not await note("delivered")
    assert not await note("read", sid="SM3")
    assert await note("read")
    assert not await note("failed", code=63016)
    found = await messages.get(salon.db, salon.id, message_id)
    assert (found.sid, found.status, found.error_code) == ("SM2", "read", None)
    assert not await messages.begin_try(salon.db, held, message_id)


@told
async def test_message_nobody_asked_for_is_made_once(salon):
    received = await salon.receive()
    draft = Draft("Tomorrow at ten", author="service", purpose="reminder", about="a1")
    async with salon.db.tenant(salon.id) as connection:
        own = (connection, salon.id, received.conversation_id)
        assert await messages.add(*own, draft) is not None
        assert await messages.add(*own, draft) is None
        assert await messages.add(*own, draft._replace(about="a2")) is not None


@told
async def test_refused_message_is_replaced_once(salon):
    received = await salon.receive()
    message_id = await messages.write_by_hand(
        salon.db, salon.id, received.conversation_id, "Dana", "Hello"
    )
    held = await salon.claim()
    found = await messages.get(salon.db, salon.id, message_id)
    template = Draft("", {"sid": "HX1", "variables": {}}, "service")

    assert await messages.send_other(salon.db, held, found, template) is not None
    assert await messages.send_other(salon.db, held, found, template) is None


@told
async def test_stop_holds_for_calls_and_ends_only_by_the_writer(salon):
    received = await salon.receive()
    async with salon.db.tenant(salon.id) as connection:
        own = (connection, salon.id, received.conversation_id)
        assert await opting_out.stop(*own)
        assert not await opting_out.stop(*own)
        assert await connection.fetchval("select do_not_contact from leads")
        assert await opting_out.start(*own)
        assert not await opting_out.start(*own)
        assert not await connection.fetchval("select do_not_contact from leads")


@told
async def test_mark_of_the_business_outlives_a_start_of_the_writer(salon):
    received = await salon.receive()
    await salon.sql("update leads set do_not_contact = true returning 1")
    async with salon.db.tenant(salon.id) as connection:
        own = (connection, salon.id, received.conversation_id)
        await opting_out.stop(*own)
        await opting_out.start(*own)
        assert await connection.fetchval("select do_not_contact from leads")


@told
async def test_chat_of_the_console_has_no_lead_and_sends_nothing(salon):
    arrived = Arrived("chat-1", "hello", writer="chat", channel=conversations.CONSOLE)
    received = await conversations.receive(salon.db, salon.id, arrived)
    await messages.write_by_hand(
        salon.db, salon.id, received.conversation_id, "Dana", "Hi"
    )

    assert await salon.sql("select count(*) from leads") == 0
    assert await salon.bodies(received.conversation_id) == [
        ("writer", "hello", "received"),
        ("person", "Hi", "shown"),
    ]


@told
async def test_start_to_one_number_does_not_undo_the_stop_to_another(salon):
    conversation_ids = [
        (await salon.receive(to=to)).conversation_id for to in (OWN, "+15550008888")
    ]
    marked = "select do_not_contact from leads"
    async with salon.db.tenant(salon.id) as connection:
        for one in conversation_ids:
            await opting_out.stop(connection, salon.id, one)
        await opting_out.start(connection, salon.id, conversation_ids[0])
        assert await connection.fetchval(marked)
        await opting_out.start(connection, salon.id, conversation_ids[1])
        assert not await connection.fetchval(marked)


@told
async def test_stop_of_one_number_holds_for_all_numbers_of_the_person(salon):
    other = (await leads.touch(salon.db, salon.id, "+15550007777")).id
    conversation_id = (await salon.receive()).conversation_id
    await lead_care.merge(salon.db, salon.id, other, salon.writer)
    marks = "select array_agg(do_not_contact) from leads"
    async with salon.db.tenant(salon.id) as connection:
        own = (connection, salon.id, conversation_id)
        await opting_out.stop(*own)
        assert await connection.fetchval(marks) == [True, True]
        await opting_out.start(*own)
        assert await connection.fetchval(marks) == [False, False]


@told
async def test_start_does_not_undo_the_business_s_mark_of_a_merged_number(salon):
    other = (await leads.touch(salon.db, salon.id, "+15550007777")).id
    await salon.sql("update leads set do_not_contact = true returning 1")
    own = (salon.id, (await salon.receive()).conversation_id)
    async with salon.db.tenant(salon.id) as connection:
        await opting_out.stop(connection, *own)
    await lead_care.merge(salon.db, salon.id, other, salon.writer)
    async with salon.db.tenant(salon.id) as connection:
        await opting_out.start(connection, *own)

    assert await salon.sql("select bool_and(do_not_contact) from leads")


@told
async def test_stop_and_start_again_and_again_are_confirmed_within_the_limit(salon):
    words = {"stop_with": Draft("No more"), "start_with": Draft("Welcome")}
    for _ in range(6):
        for name, draft in words.items():
            await salon.receive(per_minute_max=3, **{name: draft})

    sent = "select count(*) from messages where direction = 'out'"
    assert await salon.sql(sent) == 3
    await salon.receive(per_minute_max=3, stop_with=Draft("No more"))
    assert await salon.sql("select stopped_at from conversations") is not None
    assert await salon.sql(sent) == 3


@pytest.mark.parametrize("leave", ["hold", "stop"])
def test_what_waits_when_people_take_over_or_the_writer_stops_is_not_answered_later(
    database_url, leave
):
    @told
    async def story(salon):
        received = await salon.receive("before")
        own = (salon.id, received.conversation_id)
        async with salon.db.tenant(salon.id) as connection:
            if leave == "hold":
                await conversations.hold(connection, *own, "")
            else:
                await opting_out.stop(connection, *own)
                await opting_out.start(connection, *own)
        await conversations.hand_back(salon.db, *own)
        await salon.receive("after")

        turn = await message_turns.begin(salon.db, await salon.claim(), "m")
        assert [one.body for one in turn.asked] == ["after"]

    story(database_url)
