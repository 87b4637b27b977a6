"""What becomes of an accepted message: window, order, statuses, callbacks, files."""

import asyncio
import random
from urllib.parse import urlsplit

import pytest

from bridge.sandbox.messaging.attachments import picture
from bridge.sandbox.messaging.delivery import Failure
from bridge.sandbox.sign import signature
from tests.sandbox.messaging.message_bridge import (
    BASE,
    BUSINESS,
    BUTTONS,
    DANA,
    ROWS,
    desk,
    run,
)

STATUSES = ("failed", "undelivered")


async def outcome(d, **fields):
    """Return the status and the code that a message ends with."""
    status, body = await d.send(**fields)
    assert status == 201, body
    await d.api.settle()
    _, found = await d.ask("GET", body["uri"])
    return found["status"], found["error_code"]


# --- the window ---


def test_text_goes_for_24_hours_after_the_writers_last_message():
    async def story():
        async with desk(writes=False) as d:
            assert await outcome(d) == ("failed", 63016)
            await d.writer.write("Hello")
            d.api.clock.advance(hours=23.99)
            assert await outcome(d) == ("read", None)
            d.api.clock.advance(hours=0.01)
            assert await outcome(d) == ("failed", 63016)
            await d.writer.write("Still there?")
            assert await outcome(d) == ("read", None)

    run(story())


def test_window_of_one_sender_is_not_that_of_another():
    async def story():
        async with desk() as d:
            d.api.account.senders.add("+15550100003")
            found = await outcome(d, From="whatsapp:+15550100003")
            assert found == ("failed", 63016)

    run(story())


def test_only_an_approved_template_starts_a_conversation():
    async def story():
        async with desk(writes=False) as d:
            sid = d.api.template("See you tomorrow at {{1}}.", {"1": "nine"})
            assert await outcome(d, ContentSid=sid) == ("read", None)
            body = "See you tomorrow at nine."
            assert await outcome(d, Body=body) == ("failed", 63016)
            _, replies = await d.content("twilio/quick-reply", BUTTONS)
            found = await outcome(d, ContentSid=replies["sid"])
            assert found == ("failed", 63016)
            d.api.approve(replies["sid"])
            assert await outcome(d, ContentSid=replies["sid"]) == ("read", None)
            _, times = await d.content("twilio/list-picker", ROWS)
            d.api.account.contents[times["sid"]].approval = "approved"
            values = '{"1":"Tu"}'
            found = await outcome(d, ContentSid=times["sid"], ContentVariables=values)
            assert found == ("failed", 63016)

    run(story())


def test_number_without_whatsapp_takes_nothing():
    async def story():
        async with desk() as d:
            assert await outcome(d, To="whatsapp:+15550100009") == ("failed", 63024)

    run(story())


# --- the order ---


def test_message_may_overtake_the_one_before_unless_that_was_sent():
    async def story():
        async with desk() as d:
            d.api.ways.swaps, d.api.ways.step_s = 1.0, (0.0, 0.0)
            d.api.courier.hold()
            for body in ("one", "two"):
                await d.send(Body=body)
            d.api.courier.go_on()
            await d.api.settle()
            assert [message.body for message in d.writer.inbox.seen] == ["two", "one"]
            (pair,) = d.writer.inbox.swapped
            assert [message.body for message in pair] == ["two", "one"]

            for body in ("three", "four"):
                await d.send(Body=body)
                await d.api.sent[-1].is_gone.wait()
            await d.api.settle()
            seen = [message.body for message in d.writer.inbox.seen]
            assert seen == ["two", "one", "three", "four"]

    run(story())


def test_what_was_sent_is_seen_before_all_that_is_created_later():
    async def story():
        async with desk() as d:
            d.api.ways.swaps = 1.0
            d.api.ways.step_s = (0.05, 0.05)
            await d.send(Body="one")
            await d.api.sent[-1].is_gone.wait()
            d.api.ways.step_s = (0.0, 0.0)
            for body in ("two", "three"):
                await d.send(Body=body)
            await d.api.settle()
            assert d.writer.inbox.seen[0].body == "one"

    run(story())


def test_without_swaps_the_order_is_that_of_the_requests():
    async def story():
        async with desk() as d:
            d.api.ways.swaps = 0.0
            for number in range(10):
                await d.send(Body=str(number))
            await d.api.settle()
            seen = [message.number for message in d.writer.inbox.seen]
            assert seen == sorted(seen)
            assert d.writer.inbox.swapped == []

    run(story())


def test_message_that_is_held_has_no_date_and_is_queued():
    async def story():
        async with desk() as d:
            d.api.courier.hold()
            _, body = await d.send()
            _, found = await d.ask("GET", body["uri"])
            assert (found["status"], found["date_sent"]) == ("queued", None)
            d.api.courier.go_on()
            await d.api.settle()
            assert (await d.ask("GET", body["uri"]))[1]["status"] == "read"

    run(story())


def test_half_of_the_messages_swap_and_the_same_ones_for_a_seed():
    async def seen(seed):
        async with desk(seed=seed) as d:
            d.api.ways.step_s = (0.0, 0.0)
            d.api.courier.hold()
            for number in range(12):
                await d.send(Body=str(number))
            d.api.courier.go_on()
            await d.api.settle()
            return [message.number for message in d.writer.inbox.seen]

    first = run(seen(3))
    assert first != sorted(first)
    assert run(seen(3)) == first


@pytest.mark.parametrize("seed", range(25))
def test_whatever_happens_each_message_is_seen_once_and_in_a_promised_order(seed):
    """Messages are created at random moments, and some fail."""
    rng = random.Random(seed)

    async def story():
        async with desk(seed=seed) as d:
            account, courier = d.api.account, d.api.courier
            d.api.ways.step_s = (0.0, 0.004)
            made, sent_before = [], {}
            for number in range(10):
                if rng.random() < 0.2:
                    courier.fail_next(Failure(63018, rng.choice(STATUSES)))
                message = account.add_message(
                    *(f"SM{number}", f"whatsapp:{BUSINESS}", f"whatsapp:{DANA}"),
                    *(str(number), "outbound-api"),
                )
                message.turn("queued", d.api.clock.now())
                sent_before[number] = [one for one in made if "sent" in one.history]
                courier.accept(message)
                made.append(message)
                await asyncio.sleep(rng.choice((0, 0, 0.001, 0.004)))
            await d.api.settle()

            seen = d.writer.inbox.seen
            delivered = [one for one in made if one.status == "read"]
            assert sorted(one.sid for one in seen) == [one.sid for one in delivered]
            for message in made:
                assert tuple(message.history) in (
                    ("queued", "sent", "delivered", "read"),
                    ("queued", "sent", "undelivered"),
                    ("queued", "failed"),
                )
                for earlier in sent_before[made.index(message)]:
                    if message in seen and earlier in seen:
                        assert seen.index(earlier) < seen.index(message), seed

    run(story())


# --- statuses ---


def test_callback_is_signed_over_its_url_with_the_query():
    async def story():
        async with desk() as d:
            public = "https://bridge.example.com"
            await d.api.courier.webhooks.close()
            d.api.connect(d.bridge.url, public)
            url = f"{public}/twilio/message-status?m=1&b=a%20b"
            _, body = await d.send(StatusCallback=url)
            await d.api.settle()

            assert d.bridge.reports() == ["queued", "sent", "delivered", "read"]
            path, form, headers = d.bridge.posts[-1]
            assert path == "/twilio/message-status?m=1&b=a%20b"
            assert headers["X-Twilio-Signature"] == signature(
                d.api.account.signer.auth_token, url, form
            )
            assert form["MessageSid"] == form["SmsSid"] == body["sid"]
            assert (form["EventType"], form["ChannelPrefix"]) == ("READ", "whatsapp")
            assert (form["To"], form["From"]) == (
                f"whatsapp:{DANA}",
                f"whatsapp:{BUSINESS}",
            )
            assert "ErrorCode" not in form

    run(story())


def test_failure_on_demand_is_told_with_its_code():
    async def story():
        async with desk() as d:
            d.api.courier.fail_next(Failure(63018), Failure(63013, "undelivered"))
            assert await outcome(d, StatusCallback=d.callback) == ("failed", 63018)
            assert d.bridge.reports() == ["queued", "failed"]
            assert d.bridge.posts[-1][1]["ErrorCode"] == "63018"
            assert "ErrorCode" not in d.bridge.posts[-2][1]
            found = await outcome(d, StatusCallback=d.callback)
            assert found == ("undelivered", 63013)
            assert d.bridge.reports()[2:] == ["queued", "sent", "undelivered"]
            assert d.writer.inbox.seen == []
            assert await outcome(d) == ("read", None)

    run(story())


def test_writer_who_shows_nothing_leaves_it_at_delivered():
    async def story():
        async with desk() as d:
            d.api.ways.reads = False
            found = await outcome(d, StatusCallback=d.callback)
            assert found == ("delivered", None)
            assert d.bridge.reports() == ["queued", "sent", "delivered"]

    run(story())


@pytest.mark.parametrize(
    ("ways", "reports"),
    [
        ({"order": "reversed"}, ["read", "delivered", "sent", "queued"]),
        (
            {"order": "reversed", "reads": False},
            ["delivered", "sent", "queued"],
        ),
        ({"repeats": 1.0, "reads": False}, 2 * ["queued"] + 2 * ["sent"]),
        ({"loses": 1.0}, []),
    ],
)
def test_callbacks_come_as_they_are_told_to(ways, reports):
    async def story():
        async with desk() as d:
            vars(d.api.ways).update(ways)
            await d.send(StatusCallback=d.callback)
            await d.api.settle()
            assert d.bridge.reports()[: len(reports)] == reports
            assert bool(d.bridge.reports()) == bool(reports)

    run(story())


def test_callbacks_may_be_late_each_by_itself():
    async def story():
        async with desk() as d:
            d.api.ways.order, d.api.ways.late_s = "any", (0.0, 0.1)
            for _ in range(5):
                await d.send(StatusCallback=d.callback)
            await d.writer.next()
            assert "read" not in d.bridge.reports()
            await d.api.settle()
            of_one = [
                form["MessageStatus"]
                for _, form, _ in d.bridge.posts
                if form["MessageSid"] == d.api.sent[0].sid
            ]
            assert sorted(of_one) == ["delivered", "queued", "read", "sent"]
            assert d.bridge.reports() != 5 * ["queued", "sent", "delivered", "read"]

    run(story())


def test_callback_that_nobody_takes_is_a_problem():
    async def story():
        async with desk() as d:
            d.bridge.statuses = [500]
            await d.send(StatusCallback=d.callback)
            await d.api.settle()
            assert d.api.problems == ["11200 /twilio/message-status: HTTP 500"]
            d.api.courier.problems.clear()
            await d.api.courier.webhooks.close()
            d.api.courier.webhooks = None
            await d.send(StatusCallback=d.callback)
            await d.api.settle()
            assert len(d.api.problems) == 4

    run(story())


# --- files ---


@pytest.mark.parametrize(
    ("content", "kind", "found"),
    [
        (picture(), "image/png", ("read", None)),
        (b"x" * 5_000_001, "image/png", ("failed", 63021)),
        (b"x" * 5_000_001, "application/pdf", ("read", None)),
        (b"x" * 16_000_001, "video/mp4", ("failed", 63021)),
        (b"BEGIN:VCALENDAR", "text/calendar", ("failed", 63021)),
    ],
)
def test_file_is_fetched_and_must_suit_whatsapp(content, kind, found):
    async def story():
        async with desk() as d:
            d.bridge.files["a"] = content, kind
            url = f"{d.bridge.url}/files/a"
            assert await outcome(d, MediaUrl=url, Body="See") == found
            (message,) = d.api.sent
            assert message.sid.startswith("MM")
            path = f"{BASE}/Messages/{message.sid}/Media.json"
            _, listed = await d.ask("GET", path)
            assert [one["content_type"] for one in listed["media_list"]] == (
                [kind] if found[0] == "read" else []
            )

    run(story())


def test_file_that_is_not_there_fails_the_message():
    async def story():
        async with desk() as d:
            for url in (f"{d.bridge.url}/nothing", "http://127.0.0.1:1/a.png"):
                assert await outcome(d, MediaUrl=url) == ("failed", 63019)

    run(story())


def test_file_of_a_content_is_fetched_too():
    async def story():
        async with desk() as d:
            d.bridge.files["a"] = picture(), "image/png"
            fields = {"body": "See", "media": [f"{d.bridge.url}/files/{{{{1}}}}"]}
            _, made = await d.content("twilio/media", fields)
            values = '{"1":"a"}'
            await d.send(ContentSid=made["sid"], ContentVariables=values)
            seen = await d.writer.next()
            assert [urlsplit(url).path for url in seen.media_urls] == ["/files/a"]
            assert d.api.media.of(seen.sid)[0].content == picture()

    run(story())
