"""Many conversations, a carrier that fails at every turn, processes that die: each
message reaches its writer once, and in order."""

import asyncio
import random
from datetime import timedelta
from uuid import uuid4

import pytest

from bridge.sandbox.messaging.writer import Writer
from crm import businesses, conversations, message_work
from crm.messages import Draft, add
from tests.bridge.messaging.outbox_desk import run

WRITERS, PARTS = 12, 3
ROUNDS_MAX = 60
PASSED = timedelta(seconds=61)


async def conversation_of(desk, number):
    api, at = desk.api, desk.at
    given = {"number": number, "business": at.number}
    async with Writer(api, at.server.public_url, **given) as writer:
        await writer.write("hello")
    found = await desk.value("select id from conversations where writer = $1", number)
    async with desk.database.tenant(desk.business_id) as connection:
        for part in range(PARTS):
            draft = Draft(f"part {part} for {number}")
            await add(connection, desk.business_id, found, draft)
    return writer, found


async def pass_time(desk):
    """Let all that was tried have been tried a minute earlier."""
    desk.api.clock.advance(seconds=PASSED.total_seconds())
    await desk.value(
        "update messages set tried_at = tried_at - $1::interval, "
        "due_at = due_at - $1::interval, created_at = created_at - $1::interval "
        "where direction = 'out' returning 1",
        PASSED,
    )
    await desk.value(
        "update message_work set due_at = now(), leased_until = null, holder = null "
        "returning 1"
    )


async def work(desk, chance):
    """Be one process: claim what is due, send, and perhaps die at any moment."""
    holder, outbox = uuid4(), desk.new_outbox()
    business = await businesses.get(desk.database, desk.business_id)

    async def send(held):
        own = (desk.database, desk.business_id, held.conversation_id)
        found = await conversations.get(*own)
        again = await outbox.send(held, business, found)
        await message_work.release(desk.database, held, again)

    claimed = await message_work.claim(desk.database, holder, 10_000)
    ours = [one for one in claimed if one.business_id == desk.business_id]
    tasks = [asyncio.create_task(send(held)) for held in ours]
    if tasks and chance.random() < 0.5:
        await asyncio.sleep(chance.uniform(0, 0.05))
        for task in tasks:
            task.cancel()
    done = await asyncio.gather(*tasks, return_exceptions=True)
    wrong = [
        one
        for one in done
        if isinstance(one, Exception) and not isinstance(one, message_work.LeaseLost)
    ]
    assert wrong == []


@pytest.mark.parametrize("seed", [1, 2])
def test_each_message_arrives_once_and_in_order(embedded_url, tmp_path, seed):
    async def story(desk):
        chance = random.Random(seed)
        numbers = [f"+1555020{seed}{at:03}" for at in range(WRITERS)]
        writers = dict([await conversation_of(desk, number) for number in numbers])
        api = desk.api
        api.faults.share, api.ways.loses, api.ways.repeats = 0.4, 0.3, 0.3
        api.ways.order, api.ways.late_s = "any", (0.0, 0.02)
        api.resource.unsent_last = True
        api.list_after(5)
        # Nobody waits for answers that never come: half a second stands for thirty.
        api.faults.by_chance = tuple(
            one for one in api.faults.by_chance if one.how != "hang"
        )
        for _ in range(ROUNDS_MAX):
            await work(desk, chance)
            await api.settle()
            await pass_time(desk)
            left = await desk.value(
                "select count(*) from messages where direction = 'out' "
                "and status in ('waiting', 'trying')"
            )
            if not left:
                break

        assert left == 0
        for writer in writers:
            seen = [message.body for message in writer.inbox.seen]
            wanted = [f"part {part} for {writer.number}" for part in range(PARTS)]
            assert seen == wanted
        assert len(api.sent) == WRITERS * PARTS
        # 13 to 24 in most runs: which requests fail depends on their order.
        assert len(api.faults.happened) > WRITERS / 2

    run(story, embedded_url, tmp_path)
