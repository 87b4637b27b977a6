"""The calendar: a day or a week, and appointments booked, moved, cancelled by hand.

What callers book appears by itself: the page asks every two seconds whether anything
has changed, and is answered with nothing where nothing has.
"""

import hashlib
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from aiohttp import web

from bridge.console import calendar_grid as grid
from bridge.console.auditing import audit
from bridge.console.calendar_form import (
    NAME_CHARS_MAX,
    Faults,
    chosen,
    local_fields,
    read_day,
    read_id,
    read_person,
    read_phone,
    read_place,
    read_service,
)
from bridge.console.console import (
    BUSINESS,
    CONSOLE,
    FORM,
    VIEWER,
    Console,
    MenuItem,
    business_path,
)
from bridge.console.language import N_, gettext as _
from bridge.console.rendering import render
from crm import by_hand, diary, free_times
from crm.appointments import Taken
from crm.authors import By
from crm.businesses import Business, Service
from crm.by_hand import Closed, Place, Unknown
from crm.database import Database
from crm.diary import Entry, KnownLead

MENU = (MenuItem(N_("Calendar"), "/console/b/{business}/calendar"),)
_WEEK = "week"


async def show(request: web.Request) -> web.StreamResponse:
    """Show a day or a week."""
    return await render(request, "calendar/calendar.html", **await _shown(request))


async def part(request: web.Request) -> web.StreamResponse:
    """Answer with the table alone, if it is not what the page shows already."""
    shown = await _shown(request, request.query.get("seen", ""))
    if shown is None:
        return web.Response(status=204, headers={"Cache-Control": "no-store"})
    return await render(request, "calendar/part.html", **shown)


async def _shown(request: web.Request, seen: str | None = None) -> Any:
    """Return what the page names, None where it has been `seen`."""
    business, database = _of(request)
    now = datetime.now(UTC)
    today = now.astimezone(ZoneInfo(business.time_zone)).date()
    day = read_day(request.query.get("day", ""), today)
    is_week = request.query.get("view") == _WEEK
    first = grid.week_of(day, business.country) if is_week else day
    span = grid.span_of(business, first, 7 if is_week else 1)
    revision = await _revision(database, business, *span)
    if seen == revision:
        return None
    entries = await diary.entries(database, business.id, *span)
    step = timedelta(days=7 if is_week else 1)
    return {
        "day": day,
        "first": first,
        "last": first + step - timedelta(days=1),
        "today": today,
        "before": first - step,
        "after": first + step,
        "view": _WEEK if is_week else "day",
        "revision": revision,
        "entries": entries,
        "columns": grid.columns(business, entries),
        "rows": [] if is_week else await grid.day_rows(business, day, entries, now),
        "week": await grid.week_rows(business, first, entries) if is_week else [],
        "days": [first + timedelta(days=ahead) for ahead in range(7)],
        "has_hours": bool(business.hours) or any(one.hours for one in business.staff),
    }


async def _revision(
    database: Database, business: Business, first: datetime, last: datetime
) -> str:
    """Return a text that changes with anything that the table shows."""
    booked = await diary.revision(database, business.id, first, last)
    given = msgspec.json.encode(business)
    return hashlib.sha256(given + booked.encode()).hexdigest()[:24]


async def new(request: web.Request) -> web.StreamResponse:
    """Show the form for a booking, with what the address gives."""
    business, database = _of(request)
    values = {"staff": request.query.get("staff", ""), "day": "", "time": ""}
    try:
        at = datetime.fromisoformat(request.query.get("at", ""))
        values |= local_fields(at.astimezone(UTC), business)
    except (ValueError, OverflowError):
        values["day"] = request.query.get("day", "")
    if len(business.services) == 1:
        values["service"] = business.services[0].name
    lead = await _lead(database, business, request.query.get("lead", ""))
    return await _form(request, values, {}, lead)


async def create(request: web.Request) -> web.StreamResponse:
    """Book by hand; a time that was taken meanwhile is answered with others."""
    business, database = _of(request)
    given = request[FORM]
    form = chosen(given)
    faults = Faults()
    service = read_service(form, business, faults)
    place, is_twice = read_place(form, business, faults)
    # The caller found last goes before the one that the form was opened for.
    lead = await _lead(database, business, given.getall("lead", [""])[-1])
    # What is known of a lead stays.
    name = "" if lead else form.get("name", "").strip()[:NAME_CHARS_MAX]
    phone = lead.phone if lead else read_phone(form.get("phone", ""), business, faults)
    _check_does(form, business, service.name, faults)
    if place is None or faults:
        return await _form(request, form, faults, lead, is_twice=is_twice)
    now = datetime.now(UTC)
    by = By("hand", request[VIEWER].name)
    try:
        booked = await by_hand.book(
            database, business, service, place, phone, name, by, now
        )
    except Taken as taken:
        faults.add("time", _why(taken, business, place, now))
        return await _form(request, form, faults, lead, taken, is_twice)
    await audit(request, "appointment.booked", booked.appointment.id)
    raise web.HTTPSeeOther(_day_path(business, place.starts_at))


async def find_leads(request: web.Request) -> web.StreamResponse:
    """Answer with the leads that fit what is typed."""
    business, database = _of(request)
    text = request.query.get("q", "").replace("\0", "").strip()[:NAME_CHARS_MAX]
    found = await diary.find_leads(database, business.id, text) if text else []
    return await render(request, "calendar/leads.html", leads=found, q=text)


async def appointment(request: web.Request) -> web.StreamResponse:
    """Show one appointment, with the forms that move and cancel it."""
    one = await _entry(request)
    return await _details(request, one, _fields_of(request[BUSINESS], one), {})


async def show_phone(request: web.Request) -> web.StreamResponse:
    """Show the caller's number, and write that down."""
    one = await _entry(request)
    await audit(request, "appointment.phone_seen", one.id)
    return await render(request, "calendar/phone.html", one=one)


async def move(request: web.Request) -> web.StreamResponse:
    """Move an appointment by hand."""
    business, database = _of(request)
    given = request[FORM]
    form = chosen(given)
    one, faults = await _entry(request), Faults()
    place, is_twice = read_place(form, business, faults)
    _check_does(form, business, one.service, faults, keeps=one.resource)
    if place is None or faults:
        return await _details(request, one, form, faults, is_twice=is_twice)
    now = datetime.now(UTC)
    by = By("hand", request[VIEWER].name)
    try:
        moved = await by_hand.move(database, business, one.id, place, by, now)
    except Taken as taken:
        faults.add("time", _why(taken, business, place, now))
        return await _details(request, one, form, faults, taken, is_twice)
    except Closed:
        return await _closed(request)
    except Unknown:
        raise web.HTTPNotFound from None
    await audit(request, "appointment.moved", moved.id)
    raise web.HTTPSeeOther(_day_path(business, moved.starts_at))


async def cancel(request: web.Request) -> web.StreamResponse:
    """Cancel an appointment by hand."""
    business, database = _of(request)
    one = await _entry(request)
    by = By("hand", request[VIEWER].name)
    try:
        await by_hand.cancel(database, business.id, one.id, by, datetime.now(UTC))
    except Closed:
        return await _closed(request)
    except Unknown:
        raise web.HTTPNotFound from None
    await audit(request, "appointment.cancelled", one.id)
    raise web.HTTPSeeOther(_day_path(business, one.starts_at))


async def _closed(request: web.Request) -> web.Response:
    """Say that it was cancelled or moved meanwhile: the page tells by whom."""
    one = await _entry(request)
    fields = _fields_of(request[BUSINESS], one)
    return await _details(request, one, fields, {}, status=409)


async def _form(
    request: web.Request,
    values: Any,
    faults: dict[str, str],
    lead: KnownLead | None,
    taken: Taken | None = None,
    is_twice: bool = False,
) -> web.Response:
    return await render(
        request,
        "calendar/new.html",
        status=422 if faults else 200,
        values=values,
        faults=faults,
        lead=lead,
        is_twice=is_twice or bool(values.get("fold")),
        offers=_offers(request, taken),
        people=free_times.people(request[BUSINESS]),
    )


async def _details(
    request: web.Request,
    one: Entry,
    values: Any,
    faults: dict[str, str],
    taken: Taken | None = None,
    is_twice: bool = False,
    status: int = 200,
) -> web.Response:
    business = request[BUSINESS]
    return await render(
        request,
        "calendar/appointment.html",
        status=422 if faults else status,
        one=one,
        values=values,
        faults=faults,
        is_twice=is_twice or bool(values.get("fold")),
        offers=_offers(request, taken),
        people=free_times.people(business),
        person=free_times.name_of(business, one.resource),
    )


def _offers(request: web.Request, taken: Taken | None) -> list[dict[str, Any]]:
    """Return the free times nearest to the one that is taken, each as fields."""
    business = request[BUSINESS]
    return [
        {
            "at": one.starts_at,
            "staff": one.people[0] if business.staff else "",
            "name": free_times.name_of(business, one.people[0]),
            **local_fields(one.starts_at, business),
        }
        for one in (taken.alternatives if taken else ())
    ]


def _why(taken: Taken, business: Business, place: Place, now: datetime) -> str:
    if taken.own is not None:
        return _("This caller has an appointment of their own then.")
    if place.starts_at < now:
        return _("This time is over.")
    if taken.others:
        names = ", ".join(free_times.name_of(business, one) for one in taken.others)
        return _("This person is not free then. Free: %(names)s.") % {"names": names}
    return _("This time is taken, or outside of the hours.")


def _check_does(
    form: Any,
    business: Business,
    service: str,
    faults: Faults,
    keeps: int | None = None,
) -> None:
    """Name the person's field where the person does not do the service."""
    number = read_person(form, business, faults)
    if number is None or number == keeps:
        return
    person = next(one for one in business.staff if one.number == number)
    if not free_times.does(person, Service(service, 5)):
        faults.add("staff", _("This person does not do this service."))


def _fields_of(business: Business, one: Entry) -> dict[str, str]:
    staff = str(one.resource) if business.staff else ""
    return {**local_fields(one.starts_at, business), "staff": staff}


async def _lead(database: Database, business: Business, text: str) -> KnownLead | None:
    lead_id = read_id(text)
    if lead_id is None:
        return None
    return await diary.lead(database, business.id, lead_id)


async def _entry(request: web.Request) -> Entry:
    business, database = _of(request)
    which = read_id(request.match_info["appointment"])
    if which is None:
        raise web.HTTPNotFound
    one = await diary.entry(database, business.id, which)
    if one is None:
        raise web.HTTPNotFound
    return one


def _of(request: web.Request) -> tuple[Business, Database]:
    return request[BUSINESS], request.config_dict[CONSOLE].database


def _day_path(business: Business, at: datetime) -> str:
    day: date = at.astimezone(ZoneInfo(business.time_zone)).date()
    return f"{business_path(business.id, 'calendar')}?day={day}"


def add_routes(app: web.Application, console: Console) -> None:
    """Add the pages."""
    root = "/b/{business}/calendar"
    app.router.add_get(root, show)
    app.router.add_get(f"{root}/part", part)
    app.router.add_get(f"{root}/new", new)
    app.router.add_post(f"{root}/new", create)
    app.router.add_get(f"{root}/leads", find_leads)
    app.router.add_get(f"{root}/{{appointment}}", appointment)
    app.router.add_post(f"{root}/{{appointment}}/phone", show_phone)
    app.router.add_post(f"{root}/{{appointment}}/move", move)
    app.router.add_post(f"{root}/{{appointment}}/cancel", cancel)
