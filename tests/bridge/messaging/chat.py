"""A chat with a business, whose model is the sandbox's: what tests of answers share."""

import asyncio
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

from bridge.messaging.answering import Answerer
from bridge.sandbox.responses.server import ResponsesServer
from bridge.settings.process import Settings
from bridge.telemetry.metrics import Metrics
from crm import businesses, conversations, leads, messages
from crm.businesses import Service
from crm.conversations import Arrived
from crm.database import Database
from crm.message_work import Held

OWN_NUMBER = "+15550000002"
ACCOUNT = "AC" + "0" * 32


class Chat:
    """One writer's chat; `says` writes and has it answered."""

    def __init__(self, db, business, server, answerer, metrics, writer):
        self.db, self.business, self.server = db, business, server
        self.answerer, self.metrics, self.writer = answerer, metrics, writer
        self.said = []
        self.told = asyncio.Event()

    def _note(self):
        self.said.append(True)
        self.told.set()

    def with_answerer(self, answerer):
        return Chat(
            *(self.db, self.business, self.server),
            *(answerer, self.metrics, self.writer),
        )

    async def writes(self, body, writer=None, sid=None, **more):
        """Receive a message; return the conversation's id."""
        arrived = Arrived(
            sid or f"SM{uuid4().hex}",
            body,
            OWN_NUMBER,
            ACCOUNT,
            writer or self.writer,
            **more,
        )
        got = await conversations.receive(self.db, self.business.id, arrived)
        return got.conversation_id

    async def held(self, conversation_id):
        """Have the conversation, as if this process had claimed it."""
        holder = uuid4()
        async with self.db.routing() as connection:
            row = await connection.fetchrow(
                "update message_work set holder = $1, leased_until = now() + $2 "
                "where conversation_id = $3 returning added, tries",
                holder,
                timedelta(minutes=5),
                conversation_id,
            )
        return Held(self.business.id, conversation_id, holder, *row)

    async def let_go(self):
        """Let other processes have what this one had."""
        async with self.db.routing() as connection:
            await connection.execute(
                "update message_work set holder = null, leased_until = null "
                "where business_id = $1",
                self.business.id,
            )

    async def answered(self, conversation_id, held=None):
        """Have the conversation answered; return what is sent, in order."""
        held = held or await self.held(conversation_id)
        conversation = await conversations.get(
            self.db, self.business.id, conversation_id
        )
        before = len(await self.sent(conversation_id))
        await self.answerer.answer(held, self.business, conversation, self._note)
        return (await self.sent(conversation_id))[before:]

    async def sent(self, conversation_id):
        async with self.db.tenant(self.business.id) as connection:
            found = await messages.of_conversation(
                connection, self.business.id, conversation_id, 200
            )
        return [one for one in found if one.direction == "out"]

    async def says(self, body, **more):
        """Write, and return the one message that answers."""
        sent = await self.answered(await self.writes(body, **more))
        assert len(sent) == 1, [one.body for one in sent]
        return sent[0]

    async def rows(self, query, *given):
        async with self.db.tenant(self.business.id) as connection:
            return await connection.fetch(query, *given)

    async def appointments(self):
        return [
            tuple(row)
            for row in await self.rows(
                "select a.status, l.phone, a.made_source, a.made_by, a.starts_at "
                "from appointments a left join leads l on l.id = a.lead_id "
                "where a.business_id = $1 order by a.created_at, a.starts_at",
                self.business.id,
            )
        ]

    async def lead(self, phone=None):
        return await leads.find(self.db, self.business.id, phone or self.writer)


@asynccontextmanager
async def chatting(url, *planned, server=None, settings=None, writer=None, **more):
    """Open a chat with a new business; `more` are fields of it."""
    db = await Database.open(url, pool_max=4)
    options = {
        name: more.pop(name)
        for name in (
            "late_after_s",
            "pauses_s",
            "request_wait_s",
            "media",
            "now",
            "public_url",
        )
        if name in more
    }
    async with ResponsesServer(planned, **(server or {})) as model:
        made = await businesses.create(db, f"Salon {uuid4().hex[:8]}", **more)
        for day in range(7):
            await businesses.set_hours(db, made, day, [(0, 1_440)])
        await businesses.add_service(db, made, Service("Cut", 30))
        await businesses.set_setting(db, made, "limit_open_bookings_per_caller", 100)
        business = await businesses.get(db, made)
        metrics = Metrics()
        answerer = Answerer(
            Settings(
                **{
                    "openai_api_url": model.url,
                    "openai_api_key": model.api_key,
                    **(settings or {}),
                }
            ),
            db,
            metrics,
            **options,
        )
        number = writer or f"+1555{uuid4().int % 10**7:07}"
        chat = Chat(db, business, model, answerer, metrics, number)
        try:
            yield chat
        finally:
            await answerer.close()
            await db.close()


def story(url, tell, *planned, **more):
    """Run a story of a chat; return what it returns. The model refused nothing."""

    async def main():
        async with chatting(url, *planned, **more) as chat:
            told = await tell(chat)
            assert not chat.server.problems
            return told

    return asyncio.run(asyncio.wait_for(main(), 60))


def hours_ahead(hours):
    at = datetime.now(UTC) + timedelta(hours=hours)
    return at.replace(minute=0, second=0, microsecond=0)


__all__ = ["ACCOUNT", "OWN_NUMBER", "UUID", "Chat", "chatting", "hours_ahead", "story"]
