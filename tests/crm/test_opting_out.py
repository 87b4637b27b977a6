"""STOP and START as they come in: late, swapped, or as the answer to a question."""

import asyncio
from datetime import timedelta
from uuid import uuid4

import pytest

from crm import conversations, messages
from crm.conversations import Arrived
from crm.messages import Draft
from tests.crm.test_arrivals import STARTED, STOPPED, asked
from tests.crm.test_conversations import OWN, told

DRAFTS = {"STOP": {"stop_with": STOPPED}, "START": {"start_with": STARTED}}


async def wish(salon, word, *, db=None, waited=0):
    arrived = Arrived(f"SM{uuid4().hex}", word, OWN, "AC1", salon.writer)
    arrived = arrived._replace(waited=timedelta(seconds=waited))
    return await conversations.receive(
        db or salon.db, salon.id, arrived, **DRAFTS[word]
    )


async def is_stopped(salon):
    stopped = "select stopped_at is not null from conversations"
    marked = "select do_not_contact from leads"
    assert await salon.sql(stopped) == await salon.sql(marked)
    return await salon.sql(stopped)


@pytest.mark.parametrize(("first", "last"), [("STOP", "START"), ("START", "STOP")])
def test_the_word_that_came_in_last_holds_though_it_is_written_first(
    database_url, first, last
):
    @told
    async def story(salon):
        await wish(salon, last)
        late = await wish(salon, first, waited=5)

        assert await is_stopped(salon) == (last == "STOP")
        assert ("writer", first, "kept") in await salon.bodies(late.conversation_id)

    story(database_url)


@told
async def test_word_that_waits_for_a_connection_came_in_when_its_wait_began(salon):
    await salon.receive()
    narrow = salon.db.share(1)
    async with narrow.tenant(salon.id):
        waiting = asyncio.create_task(wish(salon, "STOP", db=narrow))
        # Longer than the database takes to begin a transaction.
        await asyncio.sleep(0.5)
        await wish(salon, "START")
        assert not waiting.done()
    await waiting

    assert not await is_stopped(salon)


@pytest.mark.parametrize(
    ("draft", "is_answer"),
    [
        (Draft("¿Alta o baja?"), True),
        (Draft("שתי אפשרויות", {"kind": "buttons", "choices": []}), True),
        (Draft("¿Alta o baja?", author="person", made_by="Dana"), True),
        (Draft("Le esperamos el lunes."), False),
        (Draft("¿Vendrá mañana?", author="service", purpose="reminder"), False),
    ],
)
def test_word_of_stop_that_is_an_answer_too_answers_an_open_question(
    database_url, draft, is_answer
):
    @told
    async def story(salon):
        found = await salon.receive("hola")
        await salon.sql("update messages set status = 'kept' returning 1")
        async with salon.db.tenant(salon.id) as connection:
            await messages.add(connection, salon.id, found.conversation_id, draft)
        await salon.receive("baja", stop_with=STOPPED, may_answer=True)

        assert await is_stopped(salon) != is_answer
        assert await asked(salon) == (["baja"] if is_answer else None)
        await salon.receive("STOP", stop_with=STOPPED)
        assert await is_stopped(salon)

    story(database_url)


@told
async def test_question_of_yesterday_and_one_that_was_lost_are_not_open(salon):
    found = await salon.receive("hola")
    async with salon.db.tenant(salon.id) as connection:
        own = (connection, salon.id, found.conversation_id)
        await messages.add(*own, Draft("¿Alta o baja?"))
        await connection.execute(
            "update messages set created_at = now() - interval '25 h'"
        )
        lost = await messages.add(*own, Draft("¿Alta?"))
        await connection.execute(
            "update messages set status = 'failed' where id = $1", lost
        )
    await salon.receive("baja", stop_with=STOPPED, may_answer=True)

    assert await is_stopped(salon)
