"""One claim takes no more than it asked for, whatever PostgreSQL's plan is.

Of a table that had one row when it was analysed, each row is joined with a new run of
a subquery.
"""

from uuid import uuid4

from crm import leads, message_work, notice_deliveries
from tests.crm import test_conversations as of_conversations, test_notices as of_notices


@of_notices.told
async def test_notices(salon):
    await leads.touch(salon.db, salon.id, of_notices.PHONE)
    async with salon.db.owner() as connection:
        await connection.execute("analyze notice_deliveries")
    for at in range(16):
        await leads.touch(salon.db, salon.id, f"+1555111{at:04d}")

    assert len(await notice_deliveries.claim(salon.db, 1)) == 1
    assert len(await notice_deliveries.claim(salon.db, 100)) == 16


@of_conversations.told
async def test_conversations_in_writing(salon):
    async with salon.db.owner() as connection:
        await connection.execute("delete from message_work")
    await salon.receive()
    async with salon.db.owner() as connection:
        await connection.execute("analyze message_work")
    for at in range(8):
        salon.writer = f"+1555{uuid4().int % 10**6:06}{at}"
        await salon.receive()
    await salon.sql("update message_work set due_at = now()")

    assert len(await message_work.claim(salon.db, uuid4(), 1)) == 1
    assert len(await message_work.claim(salon.db, uuid4(), 100)) == 8
