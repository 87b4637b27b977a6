"""Calendar feeds: a business's appointments, or a person's, by a secret URL.

A link to one appointment, /feeds/a/TOKEN.ics, is for the person whose it is: it shows
nothing of them, and says when the appointment is cancelled or moved away.

A calendar program subscribes to /feeds/TOKEN.ics. What is cancelled or moved away is
not in the feed, and vanishes from the program's calendar. Times are in UTC; the
calendar names the business's zone.
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from time import monotonic

from aiohttp import web
from icalendar import Calendar, Event

from bridge.api.rates import Known, Rate, Rates
from bridge.telemetry.log import server_logger
from bridge.telemetry.metrics import Metrics
from bridge.wire.client import address_of, counted_as
from crm import access_tokens, appointment_links, businesses, pages
from crm.appointment_links import Linked
from crm.businesses import Business
from crm.database import Database
from crm.pages import AppointmentRow
from crm.transient import DATABASE_ERRORS

ROOT = "/feeds"
LINK = "/a"
# A program asks every few minutes; many programs of one office share an address.
FEED_RATE = Rate(burst=20, per_s=0.5)
STRANGER_RATE = Rate(burst=20, per_s=0.1)
BACK = timedelta(days=30)
AHEAD = timedelta(days=366)
EVENTS_MAX = 5_000
REFRESH = timedelta(minutes=10)

_Answer = Callable[[web.Request], Awaitable[web.Response]]


class Feeds:
    """The feeds of one process."""

    def __init__(self, database: Database, metrics: Metrics) -> None:
        self._database = database
        self._metrics = metrics
        self._rates = Rates(FEED_RATE)
        self._strangers = Rates(STRANGER_RATE)
        self._known = Known()

    def application(self) -> web.Application:
        """Return the feeds, to be added at ROOT."""
        app = web.Application()
        app.router.add_get("/{token}.ics", self._feed)
        app.router.add_get(f"{LINK}/{{token}}.ics", self._link)
        app.router.add_route("*", "/{rest:.*}", self._nowhere)
        return app

    async def _feed(self, request: web.Request) -> web.StreamResponse:
        return await self._safely(request, self._answer)

    async def _link(self, request: web.Request) -> web.StreamResponse:
        return await self._safely(request, self._answer_link)

    async def _safely(
        self,
        request: web.Request,
        answer: Callable[[web.Request], Awaitable[web.Response]],
    ) -> web.StreamResponse:
        try:
            response = await answer(request)
        except (TimeoutError, *DATABASE_ERRORS) as error:
            server_logger().error("feeds: the database: %s", type(error).__name__)
            response = _empty(HTTPStatus.SERVICE_UNAVAILABLE)
        self._metrics.count("api_requests", status=str(response.status))
        return response

    async def _answer(self, request: web.Request) -> web.Response:
        secret = request.match_info["token"]
        if self._is_shut_out(request, secret):
            return _empty(HTTPStatus.TOO_MANY_REQUESTS)
        token = await access_tokens.find(self._database, access_tokens.FEED, secret)
        self._note(request, secret, has_opened=token is not None)
        if token is None:
            return _empty(HTTPStatus.NOT_FOUND)
        if self._rates.wait_s(str(token.id), monotonic()) > 0:
            return _empty(HTTPStatus.TOO_MANY_REQUESTS)
        business = await businesses.get(self._database, token.business_id)
        if business is None:
            return _empty(HTTPStatus.NOT_FOUND)
        now = datetime.now(UTC)
        rows = await pages.appointments(
            self._database,
            business.id,
            EVENTS_MAX,
            span=(now - BACK, now + AHEAD),
            status="booked",
            person=token.resource,
        )
        # Thousands of events are a tenth of a second of work: frames do not wait.
        body = await asyncio.to_thread(calendar_of, business, token.name, rows)
        return _calendar(request, body)

    async def _answer_link(self, request: web.Request) -> web.Response:
        secret = request.match_info["token"]
        if self._is_shut_out(request, secret):
            return _empty(HTTPStatus.TOO_MANY_REQUESTS)
        linked = await appointment_links.find(self._database, secret)
        self._note(request, secret, has_opened=linked is not None)
        if linked is None:
            return _empty(HTTPStatus.NOT_FOUND)
        if self._rates.wait_s(str(linked.id), monotonic()) > 0:
            return _empty(HTTPStatus.TOO_MANY_REQUESTS)
        return _calendar(request, calendar_of_one(linked))

    def _is_shut_out(self, request: web.Request, secret: str) -> bool:
        """Tell whether too many secrets of this client have opened nothing."""
        client = counted_as(address_of(request))
        is_over = self._strangers.peek_s(client, monotonic()) > 0
        return is_over and secret not in self._known

    def _note(self, request: web.Request, secret: str, *, has_opened: bool) -> None:
        self._known.note(secret, has_opened=has_opened)
        if not has_opened:
            self._strangers.wait_s(counted_as(address_of(request)), monotonic())

    async def _nowhere(self, request: web.Request) -> web.Response:
        response = _empty(HTTPStatus.NOT_FOUND)
        if not request.content.is_eof():
            response.force_close()
        return response


def calendar_of(business: Business, title: str, rows: list[AppointmentRow]) -> bytes:
    """Return the calendar (RFC 5545); the same rows give the same bytes."""
    calendar = Calendar()
    calendar.add("prodid", "-//Kolbridge//Appointments//EN")
    calendar.add("version", "2.0")
    calendar.add("method", "PUBLISH")
    calendar.add("x-wr-calname", title)
    calendar.add("x-wr-timezone", business.time_zone)
    calendar.add("refresh-interval", REFRESH, parameters={"value": "DURATION"})
    calendar.add("x-published-ttl", REFRESH, parameters={"value": "DURATION"})
    people = {one.number: one.name for one in business.staff}
    for row in rows:
        calendar.add_component(_event(row, people))
    text: bytes = calendar.to_ical()
    return text


def calendar_of_one(linked: Linked) -> bytes:
    """Return the calendar of one appointment, for the person whose it is."""
    event = Event()
    event.add("uid", f"{linked.id}@kolbridge")
    event.add("dtstamp", linked.created_at.astimezone(UTC))
    event.add("dtstart", linked.starts_at.astimezone(UTC))
    event.add("dtend", linked.ends_at.astimezone(UTC))
    event.add("summary", ", ".join(filter(None, (linked.service, linked.business))))
    if linked.person:
        event.add("description", linked.person)
    # A program replaces what it knows by a higher sequence (RFC 5546, 2.1.5).
    event.add("sequence", 0 if linked.is_booked else 1)
    event.add("status", "CONFIRMED" if linked.is_booked else "CANCELLED")
    calendar = Calendar()
    calendar.add("prodid", "-//Kolbridge//Appointments//EN")
    calendar.add("version", "2.0")
    calendar.add("method", "PUBLISH" if linked.is_booked else "CANCEL")
    calendar.add_component(event)
    text: bytes = calendar.to_ical()
    return text


def _event(row: AppointmentRow, people: dict[int | None, str]) -> Event:
    event = Event()
    event.add("uid", f"{row.id}@kolbridge")
    event.add("dtstamp", row.created_at.astimezone(UTC))
    event.add("dtstart", row.starts_at.astimezone(UTC))
    event.add("dtend", row.ends_at.astimezone(UTC))
    who = row.name or row.phone or ""
    event.add("summary", ", ".join(filter(None, (row.service, who))) or "-")
    lines = [row.phone or "", people.get(row.person, "")]
    event.add("description", "\n".join(filter(None, lines)))
    event.add("status", "CONFIRMED")
    return event


def _calendar(request: web.Request, body: bytes) -> web.Response:
    etag = hashlib.sha256(body).hexdigest()[:32]
    headers = {"ETag": f'"{etag}"', "Cache-Control": "private, max-age=300"}
    known = request.if_none_match or ()
    if any(one.value in (etag, "*") for one in known):
        return web.Response(status=HTTPStatus.NOT_MODIFIED, headers=headers)
    return web.Response(
        body=body, content_type="text/calendar", charset="utf-8", headers=headers
    )


def _empty(status: HTTPStatus) -> web.Response:
    headers = {"Retry-After": "60"} if status != HTTPStatus.NOT_FOUND else {}
    return web.Response(status=status, text=status.phrase, headers=headers)
