"""The webhooks of messages over HTTP: signed, bounded, and never lost."""

from urllib.parse import urlencode

import pytest

from bridge.settings.message_options import MessageOptions
from crm.database import Database
from tests.bridge import builders, running_service, ws_peer

MESSAGE, STATUS = "/twilio/whatsapp", "/twilio/message-status"
SID = "SM" + "0123456789abcdef" * 2


def run(story_of, database_url, home, **settings):
    async def told():
        given = {"message": MessageOptions(whatsapp=True), **settings}
        async with running_service.served(database_url, home, **given) as at:
            await story_of(at)
        # Nothing is left to the messengers of other tests.
        database = await Database.open(database_url)
        async with database.tenant(at.business_id) as connection:
            await connection.execute("delete from message_work")
        await database.close()

    ws_peer.run(told)


def form(at, **fields):
    return {
        "MessageSid": SID,
        "AccountSid": builders.ACCOUNT_SID,
        "From": "whatsapp:+12025550123",
        "To": f"whatsapp:{at.number}",
        "Body": "hello",
        "NumMedia": "0",
        **fields,
    }


async def bodies(at):
    return await at.database_value("select array_agg(body) from messages")


def test_message_is_kept_and_answered_with_nothing(embedded_url, tmp_path):
    async def story(at):
        status, body = await at.post(MESSAGE, **form(at))

        assert status == 200
        assert list(running_service.document_of(body)) == []
        assert await bodies(at) == ["hello"]

    run(story, embedded_url, tmp_path)


@pytest.mark.parametrize("path", [MESSAGE, STATUS])
@pytest.mark.parametrize("signing", [{"signed": False}, {"token": "another"}])
def test_forged_webhook_is_refused(embedded_url, tmp_path, path, signing):
    async def story(at):
        status, _ = await at.post(path, **signing, **form(at))

        assert status == 403
        assert at.server.metrics.value("rejected_signatures", endpoint=path) == 1
        assert await bodies(at) is None

    run(story, embedded_url, tmp_path)


@pytest.mark.parametrize(
    ("path", "named"),
    [
        (MESSAGE, {"MessageSid": "CA" + "1" * 32}),
        (MESSAGE, {"MessageSid": "", "CallSid": "CA" + "1" * 32}),
        (STATUS, {"MessageSid": "SM1"}),
        ("/twilio/voice", {"MessageSid": SID}),
    ],
)
def test_each_route_demands_its_own_name(embedded_url, tmp_path, path, named):
    async def story(at):
        status, _ = await at.post(path, **{**form(at), **named})

        assert status == 400
        assert await bodies(at) is None

    run(story, embedded_url, tmp_path)


def test_body_over_the_limit_is_refused(embedded_url, tmp_path):
    async def story(at):
        status, _ = await at.post(MESSAGE, **form(at, Body="x" * 70_000))

        assert status == 413

    run(story, embedded_url, tmp_path)


def test_unknown_number_gets_an_answer_without_words(embedded_url, tmp_path, caplog):
    async def story(at):
        status, body = await at.post(MESSAGE, **form(at, To="whatsapp:+12025550199"))

        assert (status, len(running_service.document_of(body))) == (200, 0)
        assert "[MESSAGE] no business has +120…99" in caplog.messages

    run(story, embedded_url, tmp_path)


def test_status_names_its_message_in_the_signed_query(embedded_url, tmp_path):
    async def story(at):
        await at.post(MESSAGE, **form(at))
        message_id = await at.database_value(
            "insert into messages (business_id, conversation_id, direction, author, "
            "status) select business_id, id, 'out', 'assistant', 'queued' "
            "from conversations returning id"
        )
        query = urlencode({"m": message_id, "b": at.business_id})
        sid = "SM" + "9" * 32
        given = {"MessageSid": sid, "MessageStatus": "delivered"}
        assert (await at.post(f"{STATUS}?{query}", **given))[0] == 204

        assert (
            await at.database_value(
                "select sid || ' ' || status from messages where id = $1", message_id
            )
            == f"{sid} delivered"
        )

    run(story, embedded_url, tmp_path)


def test_message_waits_on_disk_while_the_database_is_away(
    embedded_url, tmp_path, caplog
):
    async def story(at):
        await at.post(MESSAGE, **form(at))
        await at.database.close()
        late = form(at, MessageSid="SM" + "2" * 32, Body="late")
        status, body = await at.post(MESSAGE, **late)

        assert (status, len(running_service.document_of(body))) == (200, 0)
        page = at.server._exposition().decode()
        assert "kolbridge_messages_waiting 1.0" in page
        found.append(at)

    found = []
    run(story, embedded_url, tmp_path)
    assert "[MESSAGE] 1 wait on disk" in caplog.messages

    async def again():
        database = await Database.open(embedded_url)
        (at,) = found
        given = {"message": MessageOptions(whatsapp=True)}
        async with running_service.served(embedded_url, tmp_path, **given) as next_one:
            await ws_peer.until(lambda: not next_one.server._messages.waiting)
        async with database.tenant(at.business_id) as connection:
            rows = await connection.fetch("select body from messages")
        assert sorted(row["body"] for row in rows) == ["hello", "late"]
        await database.close()

    ws_peer.run(again)


def test_what_neither_database_nor_disk_takes_is_answered_with_an_error(
    embedded_url, tmp_path, monkeypatch
):
    monkeypatch.setattr("bridge.messaging.receiving.FORMS_WAITING_MAX", 0)

    async def story(at):
        await at.database.close()
        for path in (MESSAGE, f"{STATUS}?m={at.business_id}&b={at.business_id}"):
            given = form(at, MessageStatus="sent")
            assert await at.post(path, **given) == (503, b"")

    run(story, embedded_url, tmp_path)
