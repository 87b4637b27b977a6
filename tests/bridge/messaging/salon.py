"""A business whose writers a messenger answers, with stand-ins for what it calls: they
keep to what `Answers` and `Sends` promise, in a real database."""

import asyncio
from collections import Counter
from datetime import UTC, datetime
from uuid import uuid4

from bridge.messaging.messenger import Messenger
from bridge.settings.message_options import MessageOptions
from bridge.settings.process import Settings
from bridge.telemetry.metrics import Metrics
from crm import businesses, conversations, message_turns, messages
from crm.conversations import Arrived
from crm.database import Database
from crm.messages import Draft

OWN = "+15550009999"
SETTINGS = Settings(message=MessageOptions(whatsapp=True))
NOON = datetime(2026, 11, 29, 12, tzinfo=UTC)


class Assistant:
    """Answers every turn with one message, as it is told: late, or not at all."""

    def __init__(self, database, business_id):
        self.database = database
        self.business_id = business_id
        self.answered = Counter()
        self.running = 0
        self.running_max = 0
        self.began = asyncio.Event()
        self.may_end = asyncio.Event()
        self.may_end.set()
        self.fails = None
        self.says = ""

    async def answer(self, held, business, conversation, said):
        turn = await message_turns.begin(self.database, held, "m")
        if self.fails is not None:
            raise self.fails
        self.running += 1
        self.running_max = max(self.running, self.running_max)
        # Tests that share a database have their work done by one another's messengers.
        if held.business_id == self.business_id:
            self.began.set()
        try:
            if self.says:
                draft = Draft(self.says, about=f"wait:{turn.id}")
                await message_turns.say(self.database, held, turn.id, draft)
                said()
            await self.may_end.wait()
        finally:
            self.running -= 1
        words = " and ".join(one.body for one in turn.asked)
        self.answered[conversation.id] += 1
        reply = [Draft(f"You said {words}.")]
        await message_turns.end(self.database, held, turn.id, reply, cost=0.5)


class Carrier:
    """Takes every message that waits, and shows that an answer comes."""

    def __init__(self, database):
        self.database = database
        self.sent = []
        self.came = asyncio.Event()
        self.again = None
        self.typed = []
        self.takes_typing = True

    async def send(self, held, business, conversation):
        async with self.database.tenant(held.business_id) as connection:
            waiting = await messages.unsent(
                connection, held.business_id, held.conversation_id
            )
        for one in waiting:
            if await messages.begin_try(self.database, held, one.id):
                sid = f"SM{uuid4().hex}"
                await messages.note_given(
                    self.database, held.business_id, one.id, sid, "queued"
                )
                self.sent.append((held.conversation_id, one.body))
                self.came.set()
        again, self.again = self.again, None
        return again

    async def show_typing(self, account_sid, message_sid):
        self.typed.append((account_sid, message_sid))
        return self.takes_typing


class Salon:
    """A business, and a process that answers its writers."""

    def __init__(self, database, business_id):
        self.database = database
        self.id = business_id
        self.metrics = Metrics()
        self.assistant = Assistant(database, business_id)
        self.carrier = Carrier(database)
        self.now = NOON
        self.writer = f"+1555{uuid4().int % 10**7:07}"
        self.messengers = []

    def messenger(self, database=None, **more):
        made = Messenger(
            SETTINGS,
            database or self.database,
            self.metrics,
            self.assistant,
            self.carrier,
            self.carrier,
            now=lambda: self.now,
            **more,
        )
        self.messengers.append(made)
        made.start()
        return made

    async def receive(self, body="hello", writer=None, **more):
        sid = f"SM{uuid4().hex}"
        own = {"own_number": OWN, "account_sid": "AC1"} | more
        arrived = Arrived(sid, body, writer=writer or self.writer, **own)
        got = await conversations.receive(self.database, self.id, arrived)
        return got.conversation_id, sid

    async def sql(self, text, *values):
        async with self.database.tenant(self.id) as connection:
            return await connection.fetchval(text, *values)

    async def until(self, text, wanted):
        """Wait until a query has the wanted answer; the test's own limit ends it."""
        while await self.sql(text) != wanted:  # noqa: ASYNC110 it is in the database
            await asyncio.sleep(0.02)

    async def is_idle(self):
        await self.until("select count(*) from message_work", 0)

    def bodies(self, conversation_id):
        return [body for one, body in self.carrier.sent if one == conversation_id]


def told(story):
    """Run a story about a salon with a messenger, on each database."""

    def test(database_url):
        async def main():
            database = await Database.open(database_url, pool_max=8)
            try:
                salon = Salon(database, await businesses.create(database, "Salon"))
                try:
                    async with asyncio.timeout(30):
                        await story(salon)
                finally:
                    salon.assistant.may_end.set()
                    for one in salon.messengers:
                        await one.stop(5)
                    # Or the messengers of later tests claim it, when its lease ends.
                    await salon.sql("delete from message_work")
            finally:
                await database.close()

        asyncio.run(main())

    test.__name__ = story.__name__
    return test


async def until(is_so):
    """Wait until a function is true; the story's own limit ends it."""
    while not is_so():  # noqa: ASYNC110 what is waited for has no event
        await asyncio.sleep(0.02)
