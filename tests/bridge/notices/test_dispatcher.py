"""Deliveries to a receiver on loopback: signed, retried, bounded, at least once."""

import asyncio
import gzip
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from socket import AF_INET
from unittest.mock import patch
from uuid import UUID

import orjson
import pytest
from aiohttp import web
from aiohttp.abc import ResolveResult
from standardwebhooks import Webhook, WebhookVerificationError

from bridge.notices.addresses import PublicResolver
from bridge.notices.dispatcher import PAUSES, Dispatcher, pause_after
from bridge.notices.webhook import ANSWER_BYTES_MAX, WebhookSender
from bridge.settings.process import Settings
from bridge.telemetry.metrics import Metrics
from crm import businesses, leads, notice_deliveries, notices
from crm.database import Database
from crm.notice_deliveries import Outcome, Parcel
from tests.crm.test_notices import PHONE

NOBODY = frozenset()
PARCEL = Parcel(
    type="test",
    data={},
    created_at=datetime(2026, 11, 29, tzinfo=UTC),
    kind="webhook",
    target="https://example.com/hook",
    secret=notices.new_secret(),
    is_disabled=False,
    business="Salon",
    time_zone="UTC",
    language="en",
)
SETTINGS = Settings(notice_allow_hosts="localhost")


class Receiver:
    """A webhook's server, which answers as it is told and keeps what came."""

    def __init__(self):
        self.answers = []
        self.requests = []
        self.came = asyncio.Event()
        self.url = ""

    async def answer(self, request):
        self.requests.append(
            (request.path, dict(request.headers), await request.read())
        )
        self.came.set()
        answer = self.answers.pop(0) if self.answers else web.Response(status=204)
        return await answer() if callable(answer) else answer


@asynccontextmanager
async def receiving():
    receiver = Receiver()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", receiver.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "localhost", 0)
    await site.start()
    port = site._server.sockets[0].getsockname()[1]
    receiver.url = f"http://localhost:{port}/hook"
    try:
        yield receiver
    finally:
        await runner.cleanup()


def told(story):
    """Run a story with a receiver, a database and an endpoint for new leads."""

    def test(embedded_url):
        async def main():
            db = await Database.open(embedded_url, pool_max=4)
            try:
                async with db.owner() as connection:
                    await connection.execute("delete from notice_endpoints")
                    await connection.execute("delete from notices")
                business_id = await businesses.create(db, "Salon")
                async with receiving() as receiver:
                    made = await notices.add(
                        db, business_id, "webhook", receiver.url, ["lead.created"]
                    )
                    await story(db, business_id, made, receiver)
            finally:
                await db.close()

        asyncio.run(main())

    test.__name__ = story.__name__
    return test


async def due_now(db, business_id):
    async with db.tenant(business_id) as connection:
        await connection.execute("update notice_deliveries set due_at = now()")


async def settled(db, business_id, state):
    """Wait until the only delivery has a state; return its log entry."""
    async with asyncio.timeout(10):
        while True:
            entries = await notices.log(db, business_id)
            if entries and entries[0].state == state and entries[0].attempted_at:
                return entries[0]
            await asyncio.sleep(0.02)


@asynccontextmanager
async def dispatching(db, settings=SETTINGS):
    metrics = Metrics()
    dispatcher = Dispatcher(settings, db, metrics, chance=lambda: 0.0)
    task = asyncio.create_task(dispatcher.run())
    try:
        yield metrics
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@told
async def test_notice_arrives_signed_by_the_standard(db, business_id, made, receiver):
    await leads.touch(db, business_id, PHONE)
    async with dispatching(db) as metrics:
        entry = await settled(db, business_id, "delivered")

    ((path, headers, body),) = receiver.requests
    names = {name.lower(): value for name, value in headers.items()}
    assert path == "/hook"
    assert names["webhook-id"] == f"msg_{entry.notice_id.hex}"
    Webhook(made.secret).verify(body, names)
    with pytest.raises(WebhookVerificationError):
        Webhook(notices.new_secret()).verify(body, names)
    told = orjson.loads(body)
    assert told["type"] == "lead.created"
    assert told["data"]["phone"] == PHONE
    assert told["timestamp"].endswith("Z")
    assert metrics.value("notices", kind="webhook", outcome="delivered") == 1


@told
async def test_failure_is_tried_again_with_the_same_id_and_body(
    db, business_id, made, receiver
):
    receiver.answers = [web.Response(status=500, text="no"), web.Response(status=200)]
    await leads.touch(db, business_id, PHONE)
    async with dispatching(db):
        await asyncio.wait_for(receiver.came.wait(), 10)
        await settled(db, business_id, "waiting")
        await due_now(db, business_id)
        entry = await settled(db, business_id, "delivered")

    (_, first, body), (_, second, again) = receiver.requests
    assert (first["webhook-id"], body) == (second["webhook-id"], again)
    assert entry.tries == 2
    tries = await notices.attempts(db, business_id, entry.notice_id, made.endpoint.id)
    assert [(one.status, one.answer) for one in tries] == [(500, "no"), (200, "")]


@told
async def test_kill_in_the_middle_delivers_again(db, business_id, made, receiver):
    async def never():
        await asyncio.sleep(60)

    receiver.answers = [never]
    await leads.touch(db, business_id, PHONE)
    async with dispatching(db):
        await asyncio.wait_for(receiver.came.wait(), 10)
    await due_now(db, business_id)  # The lease of the dead one has ended.
    async with dispatching(db):
        await settled(db, business_id, "delivered")

    assert len(receiver.requests) == 2


@told
async def test_redirect_is_not_followed(db, business_id, made, receiver):
    receiver.answers = [web.Response(status=302, headers={"Location": "/other"})]
    await leads.touch(db, business_id, PHONE)
    async with dispatching(db):
        await asyncio.wait_for(receiver.came.wait(), 10)
        entry = await settled(db, business_id, "waiting")

    assert entry.status == 302
    assert [path for path, *_ in receiver.requests] == ["/hook"]


@told
async def test_answer_is_read_within_bounds(db, business_id, made, receiver):
    packed = gzip.compress(b"\0" * 10_000_000)
    receiver.answers = [
        web.Response(body=b"\0x" * ANSWER_BYTES_MAX),
        web.Response(body=packed, headers={"Content-Encoding": "gzip"}),
    ]
    await leads.touch(db, business_id, PHONE)
    async with dispatching(db):
        first = await settled(db, business_id, "delivered")
        await notices.replay(db, business_id, first.notice_id)
        receiver.came.clear()
        await asyncio.wait_for(receiver.came.wait(), 10)
        second = await settled(db, business_id, "delivered")

    assert first.answer == "\N{REPLACEMENT CHARACTER}x" * 250
    assert len(second.answer) <= 500


@told
async def test_delivery_ends_whatever_text_the_server_answers(
    db, business_id, made, receiver
):
    """A mail server may answer in Latin-1, which its client makes surrogates of."""
    await leads.touch(db, business_id, PHONE)
    (claimed,) = await notice_deliveries.claim(db, 1)
    answer = b"gr\xfc\xdfe\0".decode("utf-8", "surrogateescape")
    await notice_deliveries.settle(db, claimed, Outcome(True, 250, answer, 1.0), None)

    (entry,) = await notices.log(db, business_id)
    assert entry.state == "delivered"
    assert entry.answer == "gr??e\N{REPLACEMENT CHARACTER}"


@told
async def test_name_that_leads_to_loopback_is_refused(db, business_id, made, receiver):
    await leads.touch(db, business_id, PHONE)
    strict = Dispatcher(Settings(), db, Metrics())
    task = asyncio.create_task(strict.run())
    async with db.tenant(business_id) as connection:
        url = receiver.url.replace("http:", "https:")
        await connection.execute("update notice_endpoints set target = $1", url)
    entry = await settled(db, business_id, "waiting")
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

    assert "not a public address" in entry.answer
    assert receiver.requests == []


@told
async def test_endpoint_that_is_gone_gets_no_more(db, business_id, made, receiver):
    receiver.answers = [web.Response(status=410)]
    await leads.touch(db, business_id, PHONE)
    async with dispatching(db) as metrics:
        await settled(db, business_id, "given_up")
        await leads.touch(db, business_id, "+15550000002")

    (endpoint,) = await notices.endpoints(db, business_id)
    assert endpoint.disabled_why == "the endpoint is gone"
    assert len(await notices.log(db, business_id)) == 1
    assert metrics.value("notice_endpoints_disabled") == 1


class Rebinding:
    """A name that is public when it is asked first, and loopback ever after."""

    def __init__(self):
        self.asked = 0

    async def resolve(self, host, port=0, family=0):
        self.asked += 1
        address = "192.0.43.8" if self.asked == 1 else "127.0.0.1"
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=AF_INET,
                proto=0,
                flags=0,
            )
        ]

    async def close(self):
        """Hold nothing."""


def test_name_is_asked_once_a_connection_and_the_checked_address_is_dialled():
    dialled = []

    async def dial(addr_infos, **_):
        dialled.extend(info[4][0] for info in addr_infos)
        raise OSError("as far as the test goes")

    async def story():
        names = Rebinding()
        sender = WebhookSender(NOBODY, PublicResolver(NOBODY, names))
        try:
            with patch("aiohttp.connector.aiohappyeyeballs.start_connection", dial):
                first = await sender.send(UUID(int=1), PARCEL)
                asked = names.asked
                second = await sender.send(UUID(int=1), PARCEL)
        finally:
            await sender.close()
        return asked, first, second

    asked, first, second = asyncio.run(story())
    assert (asked, dialled) == (1, ["192.0.43.8"])
    assert first.answer == "as far as the test goes"
    assert second.answer == (
        "example.com leads to 127.0.0.1, which is not a public address"
    )


def test_pauses_grow_and_end():
    pauses = [pause_after(tries, 0.0) for tries in range(1, len(PAUSES) + 2)]

    assert pauses == [*PAUSES, None]
    assert sorted(PAUSES) == list(PAUSES)
    assert pause_after(1, 1.0) == timedelta(seconds=6)
    assert timedelta(days=3) < sum(PAUSES, timedelta()) < timedelta(days=4)
