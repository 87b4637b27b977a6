"""A whole service, Twilio's messaging in the sandbox, a writer, and an outbox."""

from datetime import timedelta
from uuid import uuid4

from bridge.messaging.sending import Outbox
from bridge.messaging.twilio_messages import Hosts, TwilioMessages
from bridge.sandbox.messaging.messages_api import MessagingApi
from bridge.sandbox.messaging.writer import Writer
from bridge.settings.message_options import MessageOptions
from bridge.telemetry.metrics import Metrics
from crm import businesses, conversations, message_work, messages
from crm.messages import Draft
from tests.bridge import running_service, ws_peer

DANA = "+15550100001"


class Desk:
    """The sandbox, the service's data, and what sends."""

    def __init__(self, at, api, writer):
        self.at, self.api, self.writer = at, api, writer
        self.database, self.business_id = at.database, at.business_id
        self.metrics = Metrics()
        self.options = at.settings.message
        self.holder = uuid4()
        self._clients = []
        self.outbox = self.new_outbox()

    def client(self, url=None):
        url = url or self.api.url
        secrets = self.at.settings.signing_secrets
        client = TwilioMessages(secrets, Hosts(url, url, url), self.metrics)
        self._clients.append(client)
        return client

    def new_outbox(self, url=None, **more):
        public_url = self.at.server.public_url
        given = (self.database, self.client(url), self.options, self.metrics)
        return Outbox(*given, public_url, **more)

    async def close(self):
        """Leave no work to the messengers of other tests."""
        async with self.database.tenant(self.business_id) as connection:
            await connection.execute("delete from message_work")
        for client in self._clients:
            await client.close()

    async def begin(self, body="hello"):
        """Let the writer write, and claim their conversation."""
        await self.writer.write(body)
        self.conversation_id = await self.value("select id from conversations")
        await self.claim()

    async def claim(self):
        await self.value("update message_work set due_at = now() returning 1")
        found = await message_work.claim(self.database, self.holder, 10_000)
        own = [one for one in found if one.business_id == self.business_id]
        self.held = own[0]

    async def add(self, body="reply", content=None, **more):
        draft = Draft(body, content=content, **more)
        async with self.database.tenant(self.business_id) as connection:
            own = (connection, self.business_id, self.conversation_id)
            return await messages.add(*own, draft)

    async def send(self):
        """Send what may be sent; return in how many seconds to look again."""
        business = await businesses.get(self.database, self.business_id)
        conversation = await self.conversation()
        later = await self.outbox.send(self.held, business, conversation)
        return None if later is None else round(later / timedelta(seconds=1))

    async def pass_time(self, seconds):
        """Let all that was done have been done so much earlier."""
        span = timedelta(seconds=seconds)
        await self.value(
            "update messages set tried_at = tried_at - $1::interval, "
            "due_at = due_at - $1::interval, created_at = created_at - $1::interval, "
            "status_at = status_at - $1::interval returning 1",
            span,
        )

    async def write_last(self, hours):
        """Let the writer's last message be so old."""
        await self.value(
            "update conversations set last_inbound_at = now() - $1::interval "
            "returning 1",
            timedelta(hours=hours),
        )

    async def value(self, query, *values):
        return await self.at.database_value(query, *values)

    async def out(self):
        """Return what was to be sent: bodies and statuses."""
        async with self.database.tenant(self.business_id) as connection:
            rows = await connection.fetch(
                "select body, status from messages where direction = 'out' "
                "order by position"
            )
        return [(row["body"], row["status"]) for row in rows]

    async def statuses(self):
        return [status for _, status in await self.out()]

    @property
    def sent(self):
        return [message.body for message in self.api.sent]

    def count(self, outcome):
        return self.metrics.value("messages_out", outcome=outcome)

    async def conversation(self):
        own = (self.database, self.business_id, self.conversation_id)
        return await conversations.get(*own)


def told(story):
    """Return a test that runs a story at a desk where somebody has written."""
    return with_options()(story)


def with_options(**options):
    def decorate(story):
        def test(embedded_url, tmp_path):
            run(story, embedded_url, tmp_path, **options)

        test.__name__ = story.__name__
        test.__doc__ = story.__doc__
        return test

    return decorate


def run(story, url, home, **options):
    async def main():
        # A test runs at any hour.
        given = {"whatsapp": True, "quiet_hours": "off", **options}
        message = MessageOptions(**given)
        async with (
            MessagingApi(auth_token=running_service.AUTH_TOKEN) as api,
            running_service.served(url, home, message=message) as at,
        ):
            api.account.senders.add(at.number)
            api.connect(at.server.public_url)
            given = {"number": DANA, "business": at.number}
            async with Writer(api, at.server.public_url, **given) as writer:
                desk = Desk(at, api, writer)
                await desk.begin()
                try:
                    await story(desk)
                finally:
                    await desk.close()

    ws_peer.run(main)
