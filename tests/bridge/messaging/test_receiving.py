"""Receiving messages: each is written once, whatever is away meanwhile."""

from uuid import uuid4

import asyncpg
import pytest

from bridge.business.cache import BusinessCache
from bridge.business.directory import BusinessDirectory
from bridge.messaging import receiving as module
from bridge.messaging.receiving import JournalFull, MessageReceiver
from bridge.records.journal import MESSAGES_FOLDER
from bridge.settings.message_options import MessageOptions
from bridge.settings.options import CallOptions
from bridge.telemetry.metrics import Metrics
from crm import businesses, messages
from crm.database import Database
from tests.bridge import ws_peer


class Switchable:
    """A database that is away while `error` is set."""

    def __init__(self, database):
        self._database = database
        self.error = None

    def share(self, connections_max):
        return self

    def tenant(self, business_id):
        if self.error:
            raise self.error
        return self._database.tenant(business_id)

    def routing(self):
        if self.error:
            raise self.error
        return self._database.routing()


class Place:
    """A receiver, a business behind it, and a writer before it."""

    def __init__(self, database, business_id, number, home, **settings):
        self.database = database
        self.switch = Switchable(database)
        self.business_id = business_id
        self.number = number
        self.home = home
        self.writer = f"+1202555{uuid4().int % 10**4:04}"
        self.settings = settings
        self.metrics = Metrics()
        self.receiver = self.new_receiver()

    def new_receiver(self):
        cache = BusinessCache(self.home / "businesses", 24)
        parts = self.switch, cache, self.metrics, CallOptions()
        given = self.switch, BusinessDirectory(*parts), MessageOptions(), self.metrics
        return MessageReceiver(*given, self.home, **self.settings)

    def form(self, body="hello", **fields):
        return {
            "MessageSid": f"SM{uuid4().hex}",
            "AccountSid": "AC1",
            "From": f"whatsapp:{self.writer}",
            "To": f"whatsapp:{self.number}",
            "Body": body,
            "NumMedia": "0",
            **fields,
        }

    async def bodies(self):
        async with self.database.tenant(self.business_id) as connection:
            query = "select body, status from messages order by position"
            rows = await connection.fetch(query)
        return [(row["body"], row["status"]) for row in rows]

    def count(self, outcome):
        return self.metrics.value("messages_in", outcome=outcome)


def told(story, options=None, **settings):
    """Return a test that runs a story of a receiver."""

    def test(database_url, tmp_path):
        async def main():
            database = await Database.open(database_url)
            number = f"+1555{uuid4().int % 10**9:09}"[:15]
            given = {"whatsapp": True, **(options or {})}
            business_id = await businesses.create(database, "Salon")
            for name, value in given.items():
                await businesses.set_setting(database, business_id, name, value)
            await businesses.add_number(database, business_id, number)
            place = Place(database, business_id, number, tmp_path, **settings)
            place.receiver.start()
            try:
                await story(place)
            finally:
                await place.receiver.close()
                # Nothing is left to the messengers of other tests.
                async with database.tenant(business_id) as connection:
                    await connection.execute("delete from message_work")
                await database.close()

        ws_peer.run(main)

    test.__name__ = story.__name__
    return test


def with_options(**options):
    return lambda story: told(story, options)


@told
async def test_message_is_written_with_the_work_it_makes(place):
    await place.receiver.receive(place.form())

    assert await place.bodies() == [("hello", "received")]
    async with place.database.tenant(place.business_id) as connection:
        assert await connection.fetchval("select count(*) from message_work") == 1
    assert place.count("received") == 1


@told
async def test_message_that_is_delivered_again_changes_nothing(place):
    form = place.form()
    await place.receiver.receive(form)
    await place.receiver.receive(form)

    assert await place.bodies() == [("hello", "received")]
    assert place.count("repeated") == 1


@told
async def test_stop_gets_its_sentence(place):
    await place.receiver.receive(place.form("Stop!"))

    (_, told), (confirmation, status) = await place.bodies()
    assert (told, status) == ("kept", "waiting")
    assert confirmation.startswith("You will get no more messages")


@told
async def test_number_of_no_business_is_logged_masked_and_not_written(place):
    await place.receiver.receive(place.form(To="whatsapp:+12025550199"))

    assert await place.bodies() == []
    assert place.count("unknown_number") == 1


@with_options(whatsapp=False)
async def test_business_without_whatsapp_is_not_written_to(place):
    await place.receiver.receive(place.form())

    assert await place.bodies() == []
    assert place.count("off") == 1


@with_options(limit_messages_per_writer_per_minute=2)
async def test_messages_over_the_limit_are_kept_as_refused(place):
    for body in "abcd":
        await place.receiver.receive(place.form(body))

    statuses = [status for _, status in await place.bodies()]
    assert statuses == ["received", "received", "refused", "refused"]
    assert place.count("refused") == 2


@told
async def test_form_that_is_no_message_is_counted_and_not_written(place):
    await place.receiver.receive(place.form(From="+12025550123"))
    await place.receiver.receive(place.form(NumMedia="x"))

    assert await place.bodies() == []
    assert (place.count("bad_channel"), place.count("bad_media")) == (1, 1)


@pytest.mark.parametrize("logs_bodies", [True, False])
def test_body_stands_in_the_log_only_where_transcripts_may(
    database_url, tmp_path, caplog, logs_bodies
):
    async def story(place):
        await place.receiver.receive(place.form("my secret"))

    with caplog.at_level("INFO", "kolbridge"):
        told(story, logs_bodies=logs_bodies)(database_url, tmp_path)

    assert ("my secret" in caplog.text) == logs_bodies
    assert "[MESSAGE] in from +120…" in caplog.text


def test_what_comes_while_the_database_is_away_is_written_when_it_is_back(
    database_url, tmp_path, monkeypatch
):
    monkeypatch.setattr(module, "RETRY_S_MIN", 0.001)
    monkeypatch.setattr(module, "RETRY_S_MAX", 0.01)

    async def story(place):
        await place.receiver.receive(place.form("before"))
        place.switch.error = asyncpg.CannotConnectNowError("starting up")
        again = place.form("one")
        await place.receiver.receive(again)
        await place.receiver.receive(place.form("two"))
        await place.receiver.receive(again)
        assert place.receiver.waiting == 3
        assert await place.bodies() == [("before", "received")]
        place.switch.error = None
        await ws_peer.until(lambda: not place.receiver.waiting)

        assert [body for body, _ in await place.bodies()] == ["before", "one", "two"]
        assert (place.count("journaled"), place.count("repeated")) == (3, 1)

    told(story)(database_url, tmp_path)


def test_what_waited_on_disk_is_of_the_minute_in_which_it_came(
    database_url, tmp_path, monkeypatch
):
    monkeypatch.setattr(module, "RETRY_S_MIN", 0.001)
    monkeypatch.setattr(module, "RETRY_S_MAX", 0.01)
    clock = [1_000_000.0]

    async def story(place):
        place.switch.error = ConnectionRefusedError()
        for _ in range(4):
            await place.receiver.receive(place.form("one of four"))
            clock[0] += 40
        place.switch.error = None
        await ws_peer.until(lambda: not place.receiver.waiting)

        assert await place.bodies() == 4 * [("one of four", "received")]
        async with place.database.tenant(place.business_id) as connection:
            waited = await connection.fetchval(
                "select extract(epoch from now() - last_inbound_at) from conversations"
            )
        # The window of 24 hours counts from the last message.
        assert 40 <= waited < 80

    options = {"limit_messages_per_writer_per_minute": 2}
    told(story, options, now=lambda: clock[0])(database_url, tmp_path)


@told
async def test_messages_survive_the_process(place):
    place.switch.error = ConnectionRefusedError()
    await place.receiver.receive(place.form("kept"))
    await place.receiver.close()
    place.switch.error = None
    place.receiver = place.new_receiver()
    place.receiver.start()
    await ws_peer.until(lambda: not place.receiver.waiting)

    assert await place.bodies() == [("kept", "received")]


def test_more_than_the_disk_may_hold_is_refused_and_said(
    database_url, tmp_path, monkeypatch
):
    monkeypatch.setattr(module, "FORMS_WAITING_MAX", 1)

    async def story(place):
        place.switch.error = TimeoutError()
        await place.receiver.receive(place.form())
        with pytest.raises(JournalFull, match="1 wait already"):
            await place.receiver.receive(place.form())

        assert place.count("refused_by_disk") == 1

    told(story)(database_url, tmp_path)


def test_what_the_database_refuses_for_good_is_put_aside_and_not_logged(
    database_url, tmp_path, caplog
):
    async def story(place):
        refused = asyncpg.CheckViolationError("no")
        refused.detail = "Failing row contains (odd)."
        place.switch.error = refused
        await place.receiver.receive(place.form("odd"))
        await ws_peer.until(lambda: place.count("put_aside"))
        await ws_peer.until(lambda: not place.receiver.waiting)

        path = place.home / MESSAGES_FOLDER / "refused.jsonl"
        (line,) = path.read_bytes().splitlines()
        assert b'"Body":"odd"' in line

    with caplog.at_level("INFO"):
        told(story)(database_url, tmp_path)
    assert "CheckViolationError" in caplog.text
    assert "Failing row" not in caplog.text


@told
async def test_message_over_the_limit_is_cut_and_counted(place):
    await place.receiver.receive(place.form("x" * 4_097))
    await place.receiver.receive(place.form("y" * 4_096))

    assert [len(body) for body, _ in await place.bodies()] == [4_096, 4_096]
    assert place.count("cut") == 1


async def sent(place):
    """Return a message of ours that Twilio has, and the query that names it."""
    await place.receiver.receive(place.form())
    async with place.database.tenant(place.business_id) as connection:
        conversation_id = await connection.fetchval("select id from conversations")
        draft = messages.Draft("reply")
        own = (place.business_id, conversation_id)
        found = await messages.add(connection, *own, draft)
    sid = f"SM{uuid4().hex}"
    await messages.note_given(place.database, place.business_id, found, sid, "queued")
    return sid, {"m": str(found), "b": str(place.business_id)}


async def status_of(place, query):
    found = await messages.get(place.database, place.business_id, query["m"])
    return found.status, found.error_code


@told
async def test_status_is_noted_and_a_late_one_changes_nothing(place):
    sid, query = await sent(place)
    for status in ("delivered", "sent"):
        await place.receiver.note_status(
            {"MessageSid": sid, "MessageStatus": status}, query
        )

    assert await status_of(place, query) == ("delivered", None)
    assert place.metrics.value("message_statuses", status="no_news") == 1


@told
async def test_failure_is_noted_with_its_code(place):
    sid, query = await sent(place)
    form = {"MessageSid": sid, "MessageStatus": "failed", "ErrorCode": "63016"}
    await place.receiver.note_status(form, query)

    assert await status_of(place, query) == ("failed", 63016)


@told
async def test_code_that_is_no_number_of_twilios_is_left_out(place):
    sid, query = await sent(place)
    form = {"MessageSid": sid, "MessageStatus": "failed", "ErrorCode": "6" * 5_000}
    await place.receiver.note_status(form, query)

    assert (place.receiver.waiting, place.count("put_aside")) == (0, 0)
    assert await status_of(place, query) == ("failed", None)


@told
async def test_status_tells_the_sid_of_a_message_whose_answer_was_lost(place):
    _, query = await sent(place)
    async with place.database.tenant(place.business_id) as connection:
        await connection.execute(
            "update messages set sid = null, status = 'trying' where id = $1",
            query["m"],
        )
    form = {"MessageSid": "SM" + "1" * 32, "MessageStatus": "sent"}
    await place.receiver.note_status(form, query)

    found = await messages.get(place.database, place.business_id, query["m"])
    assert (found.sid, found.status) == ("SM" + "1" * 32, "sent")


@pytest.mark.parametrize("query", [{}, {"m": "x", "b": "y"}, {"m": str(uuid4())}])
def test_status_of_no_message_of_ours_is_counted(database_url, tmp_path, query):
    async def story(place):
        form = {"MessageSid": "SM" + "1" * 32, "MessageStatus": "sent"}
        await place.receiver.note_status(form, query)

        assert place.metrics.value("message_statuses", status="of_no_message") == 1

    told(story)(database_url, tmp_path)


@told
async def test_status_that_twilio_has_not_documented_changes_nothing(place):
    sid, query = await sent(place)
    # The service's own words, and one of nobody.
    for status in ("waiting", "dropped", "lost"):
        form = {"MessageSid": sid, "MessageStatus": status, "ErrorCode": "x" * 50}
        await place.receiver.note_status(form, query)

    assert await status_of(place, query) == ("queued", None)
    assert place.metrics.value("message_statuses", status="unknown") == 3


@told
async def test_status_waits_for_the_database_as_messages_do(place):
    sid, query = await sent(place)
    place.switch.error = ConnectionResetError()
    form = {"MessageSid": sid, "MessageStatus": "read"}
    await place.receiver.note_status(form, query)
    place.switch.error = None
    await ws_peer.until(lambda: not place.receiver.waiting)

    assert await status_of(place, query) == ("read", None)
