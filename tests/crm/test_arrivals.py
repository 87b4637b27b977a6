"""What becomes of a message that comes in: answered, left to people, or STOP."""

import asyncio
from contextlib import asynccontextmanager
from datetime import timedelta
from uuid import uuid4

import pytest

from crm import (
    calls,
    conversation_pages,
    conversations,
    leads,
    message_sending,
    message_turns,
    message_work,
    messages,
)
from crm.conversations import Arrived
from crm.messages import Draft
from tests.crm.test_claims import held, until_waiting
from tests.crm.test_conversations import OWN, told
from tests.crm.test_crm import call

STOPPED = Draft("You get no more messages.", author="service", purpose="stopped")
STARTED = Draft("Welcome back.", author="service", purpose="started")


async def asked(salon):
    """Return what a new turn is asked; None where there is nothing to answer."""
    held = await salon.claim()
    if held is None:
        return None
    turn = await message_turns.begin(salon.db, held, "m")
    return turn and [one.body for one in turn.asked]


@told
async def test_stop_is_confirmed_once_and_marks_the_lead(salon):
    first = await salon.receive("STOP", stop_with=STOPPED)
    await salon.receive("STOP", stop_with=STOPPED)

    assert first.is_for_people
    assert await salon.bodies(first.conversation_id) == [
        ("writer", "STOP", "kept"),
        ("service", STOPPED.body, "waiting"),
        ("writer", "STOP", "kept"),
    ]
    assert await salon.sql("select do_not_contact from leads")
    assert await asked(salon) is None


@told
async def test_stop_over_the_limit_is_obeyed_all_the_same(salon):
    await salon.receive("hello", per_minute_max=1)
    found = await salon.receive("STOP", per_minute_max=1, stop_with=STOPPED)

    assert found.is_refused
    assert await salon.sql("select stopped_at is not null from conversations")


@told
async def test_what_is_written_after_stop_is_left_to_people(salon):
    await salon.receive("STOP", stop_with=STOPPED)
    found = await salon.receive("where are you?")

    assert found.is_for_people
    assert await asked(salon) is None


@told
async def test_start_undoes_stop_and_only_later_messages_are_answered(salon):
    await salon.receive("STOP", stop_with=STOPPED)
    found = await salon.receive("START", start_with=STARTED)
    await salon.receive("is there a place?")

    assert ("service", STARTED.body, "waiting") in await salon.bodies(
        found.conversation_id
    )
    assert not await salon.sql("select do_not_contact from leads")
    assert await asked(salon) == ["is there a place?"]


@told
async def test_start_without_a_stop_is_a_message_like_any_other(salon):
    found = await salon.receive("start", start_with=STARTED)

    assert len(await salon.bodies(found.conversation_id)) == 1
    assert await asked(salon) == ["start"]


@told
async def test_what_a_person_was_written_is_not_answered_when_they_hand_back(salon):
    received = await salon.receive("I want a person")
    async with salon.db.tenant(salon.id) as connection:
        own = (salon.id, received.conversation_id)
        await conversations.hold(connection, *own, "asked for a person")
    assert (await salon.receive("hello, person")).is_for_people
    await conversations.hand_back(salon.db, *own)
    await salon.receive("and you, assistant?")

    assert await asked(salon) == ["and you, assistant?"]


@told
async def test_only_a_choice_that_was_offered_here_is_taken(salon):
    received = await salon.receive()
    offer = {"kind": "list", "choices": [{"id": "slot:1"}, {"id": "slot:2"}]}
    async with salon.db.tenant(salon.id) as connection:
        draft = Draft("When?", content=offer)
        await messages.add(connection, salon.id, received.conversation_id, draft)

    taken = [await choose(salon, choice) for choice in ("slot:2", "slot:3", "2")]

    assert [one.is_unoffered for one in taken] == [False, True, True]
    async with salon.db.tenant(salon.id) as connection:
        found = await messages.of_conversation(
            connection, salon.id, received.conversation_id, 10
        )
    assert [one.choice for one in found[2:]] == ["slot:2", "", ""]


async def choose(salon, choice):
    sid = f"SM{uuid4().hex}"
    arrived = Arrived(sid, "ten", OWN, "AC1", salon.writer, choice=choice)
    return await conversations.receive(salon.db, salon.id, arrived)


@told
async def test_a_choice_that_another_writer_was_offered_is_not_taken(salon):
    received = await salon.receive()
    async with salon.db.tenant(salon.id) as connection:
        draft = Draft("When?", content={"choices": [{"id": "slot:1"}]})
        await messages.add(connection, salon.id, received.conversation_id, draft)
    salon.writer = "+15550001234"

    assert (await choose(salon, "slot:1")).is_unoffered


@told
async def test_a_number_that_whatsapp_writes_in_its_own_way_is_one_lead(salon):
    """It knows a mobile of Mexico as +52 1, which no network has had since 2019."""
    salon.writer = "+5215512345678"
    received = await salon.receive()

    found = await conversations.get(salon.db, salon.id, received.conversation_id)
    assert found.writer == "+5215512345678"
    assert found.phone == await salon.sql("select phone from leads") == "+525512345678"


@pytest.mark.parametrize(
    ("called", "wrote"),
    [
        ("+5531987654321", "+553187654321"),
        ("+5491123456789", "+541123456789"),
        ("+541123456789", "+5491123456789"),
    ],
)
def test_caller_and_writer_of_one_line_are_one_lead(database_url, called, wrote):
    @told
    async def story(salon):
        lead = await leads.touch(salon.db, salon.id, called)
        salon.writer = wrote
        received = await salon.receive()

        found = await conversations.get(salon.db, salon.id, received.conversation_id)
        assert (found.lead_id, found.phone, found.writer) == (lead.id, called, wrote)
        await leads.upsert(salon.db, salon.id, wrote, {"name": "Ana"})
        assert await salon.sql("select array_agg(name) from leads") == ["Ana"]
        # Nobody is written to or called at a number that they have not used.
        assert await salon.sql("select phone from leads") == called
        shown = await conversation_pages.find(salon.db, salon.id, called)
        assert shown == received.conversation_id

    story(database_url)


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("is_late", [False, True])
def test_who_calls_and_writes_at_one_moment_is_one_lead(database_url, known, is_late):
    called, wrote = "+5531987654321", "+553187654321"

    @told
    async def story(salon):
        salon.writer = wrote
        if known:
            await salon.receive()
        async with held(salon.db, salon.id) as connection:
            await leads.note_call(connection, salon.id, called)
            if is_late:
                record = call("CA1", from_number=wrote, caller_worth="verified")
                late = calls.save(salon.db, salon.id, record, lead_due=wrote)
            else:
                late = salon.receive("is there a place?")
            task = asyncio.create_task(late)
            await until_waiting(salon.db, 1)
        await task

        assert await salon.sql("select array_agg(phone) from leads") == [called]

    story(database_url)


@told
async def test_two_leads_that_a_line_has_already_stay_two(salon):
    forms = "+5531987654321", "+553187654321"
    await salon.sql(
        "insert into leads (business_id, phone) select $1, unnest($2::text[])",
        *(salon.id, list(forms)),
    )
    for phone in forms:
        assert (await leads.touch(salon.db, salon.id, phone)).phone == phone


@told
async def test_a_number_that_no_plan_holds_writes_without_a_lead(salon):
    salon.writer = "+99912345678"
    received = await salon.receive()

    found = await conversations.get(salon.db, salon.id, received.conversation_id)
    assert (found.lead_id, found.phone) == (None, None)
    assert await asked(salon) == ["hello"]


@told
async def test_pieces_are_waited_for_also_where_the_process_would_look_again(salon):
    await salon.receive()
    held = await salon.claim()
    await message_work.release(salon.db, held, timedelta(seconds=30))
    for _ in range(2):
        await salon.receive(pause=timedelta(seconds=1.5))

    wait = await salon.sql("select due_at - now() from message_work")
    assert timedelta(seconds=1) < wait < timedelta(seconds=1.6)


@told
async def test_process_that_would_look_again_sooner_still_does(salon):
    await salon.receive()
    held = await salon.claim()
    await message_work.release(salon.db, held, timedelta(seconds=1))
    await salon.receive(pause=timedelta(seconds=4))

    wait = await salon.sql("select due_at - now() from message_work")
    assert wait < timedelta(seconds=1.1)


@told
async def test_button_of_a_template_stops_and_one_that_was_offered_does_not(salon):
    received = await salon.receive()
    offer = {"kind": "buttons", "choices": [{"id": "answer:Stop", "title": "Stop"}]}
    async with salon.db.tenant(salon.id) as connection:
        draft = Draft("Go on, or stop?", content=offer)
        await messages.add(connection, salon.id, received.conversation_id, draft)

    async def press(payload):
        sid = f"SM{uuid4().hex}"
        pressed = Arrived(sid, "Stop", OWN, "AC1", salon.writer, choice=payload)
        words = Draft("No more")
        await conversations.receive(salon.db, salon.id, pressed, stop_with=words)
        return await salon.sql("select stopped_at is not null from conversations")

    assert not await press("answer:Stop")
    assert await press("stop_all")


class Inside:
    """A database whose every transaction is part of one."""

    def __init__(self, connection):
        self.connection = connection

    @asynccontextmanager
    async def tenant(self, business_id):
        yield self.connection


@told
async def test_few_rows_are_read_however_long_a_conversation_is(salon):
    received = await salon.receive()
    held = await salon.claim()
    await message_turns.begin(salon.db, held, "m")
    own = (salon.id, received.conversation_id)
    await salon.sql(
        "with made as (insert into messages (business_id, conversation_id, position, "
        "direction, author, sid, body, status, created_at) select $1, $2, g, "
        "case when g % 2 = 0 then 'in' else 'out' end, 'writer', 'SM' || g, 'word', "
        "case when g % 2 = 0 then 'refused' else 'read' end, now() - interval '1 h' "
        "from generate_series(1, 5000) g returning 1) select count(*) from made",
        *own,
    )
    async with salon.db.owner() as connection:
        # Else the plan is the one for the rows of tests before.
        await connection.execute("analyze messages")
    async with salon.db.tenant(salon.id) as connection:
        db = Inside(connection)
        arrived = Arrived(f"SM{uuid4().hex}", "hi", OWN, "AC1", salon.writer)
        arrived = arrived._replace(choice="time:1")
        await conversations.receive(db, salon.id, arrived, per_minute_max=20)
        await message_turns.begin(db, held, "m")
        await message_turns.waiting(connection, *own)
        await message_sending.read(db, *own)
        rows = await connection.fetchval(
            "select seq_tup_read + idx_tup_fetch from pg_stat_xact_user_tables "
            "where relname = 'messages'"
        )

    assert 0 < rows < 100
