"""The list of messages: filters and pages. Twilio's own library judges the forms."""

import asyncio
from datetime import UTC, datetime, timedelta
from urllib.parse import quote, urlsplit, urlunsplit

import pytest
from twilio.base.exceptions import TwilioRestException
from twilio.http.http_client import TwilioHttpClient
from twilio.rest import Client

from tests.sandbox.messaging.message_bridge import BASE, BUSINESS, DANA, ROWS, desk, run

TO, FROM = f"whatsapp:{DANA}", f"whatsapp:{BUSINESS}"


class Loopback(TwilioHttpClient):
    """Sends what is for any host of Twilio's to the sandbox."""

    def __init__(self, url):
        super().__init__()
        self._here = urlsplit(url)

    def request(self, method, url, *args, **options):
        parts = urlsplit(url)
        assert parts.hostname.endswith(".twilio.com")
        local = urlunsplit((*self._here[:2], *parts[2:]))
        return super().request(method, local, *args, **options)


def twilio(d):
    """Return Twilio's client for the sandbox's account."""
    account, token = d.api.account.sid, d.api.account.signer.auth_token
    return Client(account, token, http_client=Loopback(d.api.url))


def test_twilios_library_sends_lists_and_reads():
    async def story():
        async with desk() as d:
            client, later = twilio(d), asyncio.to_thread
            made = await later(
                client.messages.create,
                to=TO,
                from_=FROM,
                body="At nine",
                status_callback=d.callback,
            )
            await d.api.settle()
            found = await later(client.messages(made.sid).fetch)
            assert (found.status, found.body) == ("read", "At nine")
            assert datetime.now(UTC) - found.date_sent < timedelta(seconds=20)
            since = datetime.now(UTC) - timedelta(seconds=20)
            listed = await later(
                client.messages.list, to=TO, from_=FROM, date_sent_after=since
            )
            assert [message.sid for message in listed] == [made.sid]
            with pytest.raises(TwilioRestException) as refusal:
                await later(client.messages.create, to=TO, from_=FROM, body="")
            assert (refusal.value.code, refusal.value.status) == (21619, 400)

    run(story())


def test_twilios_library_makes_contents_types_and_reads_files():
    async def story():
        async with desk(writes=False) as d:
            client, later = twilio(d), asyncio.to_thread
            sid = await d.writer.speak()
            shown = await later(
                client.messaging.v2.typing_indicator.create, "whatsapp", sid
            )
            assert shown.success is True
            request = client.content.v1.contents.ContentCreateRequest(
                {"language": "en", "types": {"twilio/list-picker": ROWS}}
            )
            made = await later(client.content.v1.contents.create, request)
            assert made.types == {"twilio/list-picker": ROWS}
            assert made.date_created.utcoffset() == timedelta()
            listed = await later(client.content.v1.contents.list)
            assert [content.sid for content in listed] == [made.sid]
            await later(
                client.messages.create,
                to=TO,
                from_=FROM,
                content_sid=made.sid,
                content_variables='{"1":"Tu 10:00"}',
            )
            seen = await d.writer.next()
            assert seen.shown.choices[1].title == "Tu 10:00"
            assert await later(client.content.v1.contents(made.sid).delete)
            (media,) = await later(client.messages(sid).media.list)
            assert media.content_type == "audio/ogg; codecs=opus"
            assert await later(client.messages(sid).media(media.sid).delete)
            assert d.api.media.of(sid) == []

    run(story())


def test_list_is_cut_into_pages_newest_first():
    async def story():
        async with desk(writes=False) as d:
            await d.writer.write("Hello")
            d.api.courier.hold()
            for number in range(4):
                await d.send(Body=str(number))
            path = f"{BASE}/Messages.json?PageSize=2"
            bodies = []
            while path:
                status, page = await d.ask("GET", path)
                assert (status, page["page_size"]) == (200, 2)
                assert page["start"] == 2 * page["page"]
                bodies.append([message["body"] for message in page["messages"]])
                path = page["next_page_uri"]
            assert bodies == [["3", "2"], ["1", "0"], ["Hello"]]
            assert page["previous_page_uri"].startswith(f"{BASE}/Messages.json?")
            _, first = await d.ask("GET", page["first_page_uri"])
            assert first["next_page_uri"] is not None
            assert first["previous_page_uri"] is None
            assert d.api.resource.lookups == 4
            d.api.courier.go_on()

    run(story())


def test_list_is_filtered_by_both_sides():
    async def story():
        async with desk() as d:
            d.api.add_user("+15550100003")
            await d.send()
            await d.send(To="whatsapp:+15550100003")
            for query, count in (
                (f"To={quote(TO)}", 1),
                (f"From={quote(FROM)}", 2),
                (f"From={quote(TO)}", 1),
                (f"To={quote(TO)}&From={quote(TO)}", 0),
                ("", 3),
            ):
                _, page = await d.ask("GET", f"{BASE}/Messages.json?{query}")
                assert len(page["messages"]) == count, query

    run(story())


def test_list_is_filtered_by_the_time_of_sending():
    async def story():
        async with desk() as d:
            await d.send(Body="today")
            await d.api.settle()
            sent = d.api.sent[0].sent_at
            d.api.courier.hold()
            await d.send(Body="not sent yet")
            days = [sent.date() + timedelta(days=one) for one in (-1, 0, 1)]
            before, today, after = (day.isoformat() for day in days)
            second = sent.strftime("%Y-%m-%dT%H:%M:%SZ")
            later = (sent + timedelta(seconds=2)).strftime("%Y-%m-%dT%H:%M:%SZ")
            for query, bodies in (
                (f"DateSent={today}", ["today"]),
                (f"DateSent={before}", []),
                (f"DateSent>={today}", ["today"]),
                (f"DateSent>={after}", []),
                (f"DateSent<={today}", ["today"]),
                (f"DateSent<={before}", []),
                (f"DateSent>={before}&DateSent<={after}", ["today"]),
                (f"DateSent>={second}", ["today"]),
                (f"DateSent<={second}", ["today"]),
                (f"DateSent>={later}", []),
            ):
                query = quote(query, safe="=&:") + f"&From={quote(FROM)}"
                _, page = await d.ask("GET", f"{BASE}/Messages.json?{query}")
                found = [message["body"] for message in page["messages"]]
                assert found == bodies, query
            d.api.courier.go_on()

    run(story())


def test_list_is_in_the_order_of_sending():
    async def story():
        async with desk(writes=False) as d:
            await d.writer.write("Hello")
            d.api.ways.swaps = 1.0
            d.api.courier.hold()
            for body in ("one", "two"):
                await d.send(Body=body)
            d.api.courier.go_on()
            await d.api.settle()
            d.api.courier.hold()
            await d.send(Body="three")
            path = f"{BASE}/Messages.json"
            for unsent_last, order in (
                (False, ["three", "one", "two", "Hello"]),
                (True, ["one", "two", "Hello", "three"]),
            ):
                d.api.resource.unsent_last = unsent_last
                _, page = await d.ask("GET", path)
                assert [message["body"] for message in page["messages"]] == order
            d.api.courier.go_on()

    run(story())


def test_list_may_show_a_message_later_than_it_was_made():
    async def story():
        async with desk() as d:
            d.api.list_after(5)
            _, body = await d.send()
            path = f"{BASE}/Messages.json?To={quote(TO)}"
            assert (await d.ask("GET", path))[1]["messages"] == []
            assert (await d.ask("GET", body["uri"]))[0] == 200
            d.api.clock.advance(seconds=6)
            assert len((await d.ask("GET", path))[1]["messages"]) == 1

    run(story())


@pytest.mark.parametrize(
    "query",
    [
        "Status=sent",
        "PageSize=0",
        "PageSize=1001",
        "PageSize=many",
        "Page=-1",
        "DateSent=yesterday",
        "DateSent%3E=2026-13-01",
        "To=a&To=b",
    ],
)
def test_list_refuses_what_it_does_not_know(query):
    async def story():
        async with desk() as d:
            _, body = await d.ask("GET", f"{BASE}/Messages.json?{query}")
            assert body["code"] == 20001

    run(story())
