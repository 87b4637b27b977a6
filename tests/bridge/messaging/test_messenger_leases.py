"""The messenger: a conversation is with one process at a time, whatever happens."""

import asyncio
from time import monotonic

from bridge.messaging import messenger
from crm.database import Database
from tests.bridge.messaging.salon import told, until


@told
async def test_lost_lease_ends_the_work(salon):
    salon.assistant.may_end.clear()
    await salon.receive("hello")
    messenger = salon.messenger()
    await salon.assistant.began.wait()
    await salon.sql("update message_work set holder = gen_random_uuid()")
    await messenger.renew()
    await until(lambda: not salon.assistant.running)

    assert not salon.carrier.sent
    assert salon.metrics.value("conversations", outcome="lost") == 1


@told
async def test_process_that_has_lost_its_lease_writes_nothing(salon):
    salon.assistant.may_end.clear()
    await salon.receive("hello")
    salon.messenger()
    await salon.assistant.began.wait()
    await salon.sql(
        "update message_work set holder = gen_random_uuid(), "
        "leased_until = now() + interval '1 hour'"
    )
    salon.assistant.may_end.set()
    await until(lambda: salon.metrics.value("conversations", outcome="lost"))

    assert await salon.sql("select count(*) from messages where direction = 'out'") == 0
    assert await salon.sql("select state from message_turns") == "running"


@told
async def test_process_that_was_frozen_goes_on_with_what_it_had(salon):
    salon.assistant.may_end.clear()
    conversation_id, _ = await salon.receive("hello")
    messenger = salon.messenger()
    await salon.assistant.began.wait()
    await salon.sql("update message_work set leased_until = now()")
    await salon.until("select tries from message_work", 2)
    await messenger.renew()
    salon.assistant.may_end.set()
    await salon.is_idle()

    assert salon.bodies(conversation_id) == ["You said hello."]


@told
async def test_process_that_stops_finishes_what_runs(salon):
    salon.assistant.may_end.clear()
    conversation_id, _ = await salon.receive("hello")
    messenger = salon.messenger()
    await salon.assistant.began.wait()
    stopping = asyncio.create_task(messenger.stop(5))
    await salon.receive("too late", writer="+12025550188")
    salon.assistant.may_end.set()
    await stopping

    assert salon.bodies(conversation_id) == ["You said hello."]
    assert await salon.sql("select count(*) from message_work") == 1


@told
async def test_process_that_stops_leaves_the_rest_to_others_at_once(salon):
    salon.assistant.may_end.clear()
    conversation_id, _ = await salon.receive("hello")
    messenger = salon.messenger()
    await salon.assistant.began.wait()
    await messenger.stop(0.05)
    assert await salon.sql("select holder from message_work") is None
    salon.assistant.may_end.set()
    salon.messenger()
    await salon.is_idle()

    assert salon.bodies(conversation_id) == ["You said hello."]
    assert await salon.sql("select count(*) from message_turns") == 1


@told
async def test_conversation_that_is_gone_is_nothing_to_do(salon):
    salon.assistant.may_end.clear()
    await salon.receive("hello")
    salon.messenger(conversations_max=1)
    await salon.assistant.began.wait()
    await salon.sql("delete from conversations")
    salon.assistant.may_end.set()
    await until(lambda: salon.metrics.value("conversations", outcome="lost"))


@told
async def test_database_that_is_away_is_waited_for(salon):
    conversation_id, _ = await salon.receive("hello")
    away = Database(_Away())
    lost = salon.messenger(away)
    await lost.renew()
    await lost.stop(0.05)
    salon.messenger()
    await salon.is_idle()

    assert salon.bodies(conversation_id) == ["You said hello."]


def test_database_that_is_away_is_asked_less_and_less_often(embedded_url, monkeypatch):
    monkeypatch.setattr(messenger, "LOOK_S", 0.05)

    async def story(salon):
        pool = _Away()
        lost = salon.messenger(Database(pool))
        await until(lambda: len(pool.asked_at) >= 5)

        # After 0.05, 0.1, 0.2 and 0.4 s.
        assert pool.asked_at[4] - pool.asked_at[3] > 5 * messenger.LOOK_S
        await lost.stop(0.05)

    told(story)(embedded_url)


class _Away:
    """A pool whose database cannot be reached."""

    def __init__(self):
        self.asked_at = []

    def acquire(self):
        self.asked_at.append(monotonic())
        raise ConnectionRefusedError
