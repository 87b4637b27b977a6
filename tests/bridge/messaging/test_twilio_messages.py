"""The client of the Messages API: what it asks, and what errors it makes of answers."""

from datetime import UTC, datetime, timedelta

import pytest

from bridge.messaging import twilio_messages
from bridge.messaging.twilio_messages import FateUnknown, NotSent, Refused, Sent
from bridge.sandbox.messaging.faults import (
    CUT,
    ERROR_AFTER,
    LOST_ANSWER,
    TOO_MANY,
    Fault,
)
from bridge.settings.signing import SigningSecrets
from tests.bridge.messaging.outbox_desk import DANA, run, told

SUNDAY = "Sun, 29 Nov 2026 12:00:00"


async def create(desk, client=None, **fields):
    client = client or desk.client()
    given = (desk.api.account.sid, DANA, desk.at.number)
    return await client.create(*given, fields or {"Body": "hello"})


@told
async def test_message_that_twilio_takes_has_a_name_and_a_status(desk):
    given = await create(desk)

    assert (given.sid, given.status) == (desk.api.sent[0].sid, "queued")
    found = await desk.client().fetch(desk.api.account.sid, given.sid)
    assert (found.sid, found.body) == (given.sid, "hello")
    assert found.to == f"whatsapp:{DANA}"


@told
async def test_refusal_has_twilios_code(desk):
    with pytest.raises(Refused) as raised:
        await create(desk, Body="x" * 1_601)

    assert (raised.value.status, raised.value.code) == (400, 21617)
    count = desk.metrics.value("message_api_errors", request="create", code="21617")
    assert count == 1


@told
async def test_too_many_requests_say_how_long_to_wait(desk):
    desk.api.faults.order(TOO_MANY)
    with pytest.raises(Refused) as raised:
        await create(desk)

    assert (raised.value.status, raised.value.retry_after_s) == (429, 1.0)


@pytest.mark.parametrize("fault", [CUT, LOST_ANSWER, ERROR_AFTER])
def test_request_that_may_have_been_done_is_of_unknown_fate(
    embedded_url, tmp_path, fault
):
    async def story(desk):
        desk.api.faults.order(fault)
        with pytest.raises(FateUnknown):
            await create(desk)

    run(story, embedded_url, tmp_path)


@told
async def test_request_that_met_nobody_was_not_sent(desk):
    with pytest.raises(NotSent, match=r"ClientConnectorError: .*'127\.0\.0\.1', 9"):
        await create(desk, desk.client("http://127.0.0.1:9"))


def test_answer_that_is_too_long_is_none(embedded_url, tmp_path, monkeypatch):
    monkeypatch.setattr(twilio_messages, "ANSWER_BYTES_MAX", 100)

    async def story(desk):
        with pytest.raises(FateUnknown):
            await create(desk)

    run(story, embedded_url, tmp_path)


def test_messages_are_found_page_by_page(embedded_url, tmp_path, monkeypatch):
    monkeypatch.setattr(twilio_messages, "PAGE_SIZE", 2)

    async def story(desk):
        client = desk.client()
        sids = [(await create(desk, client, Body=str(at))).sid for at in range(5)]
        # The order of sending is the sandbox's choice.
        await desk.api.settle()
        own = (desk.api.account.sid, DANA, desk.at.number)
        begun_at = desk.api.sent[0].created_at.replace(microsecond=0)
        found = await client.find(*own, begun_at)
        later = await client.find(*own, begun_at + timedelta(hours=1))

        assert {one.sid for one in found} == set(sids)
        assert later == []

    run(story, embedded_url, tmp_path)


@told
async def test_message_that_waits_at_twilio_is_found(desk):
    """A filter on DateSent would not show it: it has not been sent."""
    desk.api.courier.hold()
    given = await create(desk)
    own = (desk.api.account.sid, DANA, desk.at.number)
    found = await desk.client().find(*own, desk.api.sent[0].created_at - timedelta(1))

    assert [(one.sid, one.status) for one in found] == [(given.sid, "queued")]
    desk.api.courier.go_on()


@pytest.mark.parametrize("zone", ["+0000", "-0000", "GMT"])
def test_times_of_twilio_are_utc(zone):
    one = Sent("SM1", "sent", "outbound-api", "a", "b", None, f"{SUNDAY} {zone}")

    assert one.created_at == datetime(2026, 11, 29, 12, tzinfo=UTC)
    assert Sent("SM1", "sent", "outbound-api", "a", "b").created_at is None


def test_message_that_waits_is_found_behind_older_ones(
    embedded_url, tmp_path, monkeypatch
):
    monkeypatch.setattr(twilio_messages, "PAGE_SIZE", 2)

    async def story(desk):
        client = desk.client()
        desk.api.resource.unsent_last = True
        for at in range(3):
            await create(desk, client, Body=str(at))
        await desk.api.settle()
        desk.api.clock.advance(hours=1)
        desk.api.courier.hold()
        given = await create(desk, client)
        own = (desk.api.account.sid, DANA, desk.at.number)
        since = desk.api.sent[-1].created_at.replace(microsecond=0)
        found = await client.find(*own, since)

        assert [one.sid for one in found] == [given.sid]

    run(story, embedded_url, tmp_path)


@told
async def test_writer_sees_that_an_answer_is_on_its_way(desk):
    sid = await desk.writer.write("anybody there?")

    assert await desk.client().show_typing(desk.api.account.sid, sid)
    assert (await desk.writer.sees_typing()).message_sid == sid


@told
async def test_typing_that_is_not_shown_is_no_error(desk):
    assert not await desk.client().show_typing(desk.api.account.sid, "SM" + "0" * 32)

    desk.api.faults.order(Fault(status=404, code=0, path="typing"))
    assert not await desk.client().show_typing(desk.api.account.sid, "SM" + "0" * 32)
    assert desk.metrics.value("message_api_errors", request="typing", code="404") == 1


@pytest.mark.parametrize(
    ("account_sid", "token"), [("ACsub", "two"), ("ACmain", "one"), ("", "")]
)
def test_each_account_has_its_own_token(account_sid, token):
    secrets = SigningSecrets(("one", "old"), {"ACsub": ("two",)})

    assert secrets.token_of(account_sid) == token
    assert SigningSecrets().token_of("ACmain") == ""
