"""A lead: history over calls and messages, edit, merge, do not contact, erase."""

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from aiohttp import web
from multidict import MultiDict

from bridge.console.auditing import audit
from bridge.console.call_words import outcome_words
from bridge.console.console import (
    BUSINESS,
    CONSOLE,
    FORM,
    OPERATOR,
    OWNER,
    Console,
    business_path,
    require,
)
from bridge.console.language import gettext as _
from bridge.console.leads_page import status_words
from bridge.console.paging import time_of
from bridge.console.rendering import render
from bridge.records.erasing import erase_person
from crm import call_search, conversation_pages, lead_care, phones
from crm.call_search import Found, Place, Wish
from crm.conversation_pages import Day
from crm.erasing import CallRuns
from crm.lead_care import STATUSES, Change, MergeError, Person, Visit
from crm.phones import PhoneError

HISTORY_SHOWN = 50
_VALUE_CHARS_MAX = 1_000
_NAME_CHARS_MAX = 200
_FIELD_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
_STATUS_CHARS_MAX = 40
# Digits of the number that are typed before all is erased.
_CONFIRMED_DIGITS = 4


async def show(request: web.Request) -> web.StreamResponse:
    """Show a lead; the page of a merged one leads to the person's."""
    person = await _person(request)
    if str(person.id) != request.match_info["lead"]:
        return _to(request, person.id)
    return await _page(request, person)


async def show_phone(request: web.Request) -> web.StreamResponse:
    """Show the whole numbers; the look is written down."""
    person = await _person(request)
    await audit(request, "lead.phone_seen", person.id)
    if "HX-Request" in request.headers:
        return await render(request, "leads/phones.html", lead=person)
    return await _page(request, person, is_phone_shown=True)


async def edit(request: web.Request) -> web.StreamResponse:
    """Change what the form changed: what a call has learnt meanwhile stays."""
    person, form = await _person(request), request[FORM]
    faults: dict[str, str] = {}
    fields = dict(_changed_fields(form, faults))
    name = _changed(form, "name")
    if name is not None and len(name) > _NAME_CHARS_MAX:
        faults["name"] = _("This is too long.")
    status = _changed(form, "status")
    if status is not None and not 0 < len(status) <= _STATUS_CHARS_MAX:
        faults["status"] = _("This is no status.")
    if faults:
        return await _page(request, person, faults)
    silence = _changed(form, "do_not_contact")
    is_silent = None if silence is None else bool(silence)
    database, business = request.config_dict[CONSOLE].database, request[BUSINESS]
    wanted = Change(name=name, status=status, do_not_contact=is_silent, fields=fields)
    await lead_care.change(database, business.id, person.id, wanted)
    changed = [*fields, *(["name"] if name is not None else ())]
    changed += ["status"] if status is not None else []
    changed += ["do_not_contact"] if is_silent is not None else []
    if changed:
        await audit(request, "lead.changed", person.id, changed=changed)
    return _to(request, person.id)


async def merge(request: web.Request) -> web.StreamResponse:
    """Make another lead the same person."""
    require(request, OPERATOR, OWNER)
    person, business = await _person(request), request[BUSINESS]
    database = request.config_dict[CONSOLE].database
    try:
        phone = phones.to_e164(request[FORM].get("other", ""), business.country)
        other = await lead_care.merge(database, business.id, person.id, phone)
    except PhoneError:
        faults = {"other": _("This is no telephone number.")}
        return await _page(request, person, faults)
    except MergeError as error:
        text = _("This is a number of the same person already.")
        if str(error) == "unknown":
            text = _("No lead has this number.")
        return await _page(request, person, {"other": text})
    await audit(request, "lead.merged", person.id, other=str(other))
    return _to(request, person.id)


async def separate(request: web.Request) -> web.StreamResponse:
    """Make a number a person of its own again."""
    require(request, OPERATOR, OWNER)
    person, business = await _person(request), request[BUSINESS]
    other = _uuid(request[FORM].get("other", ""))
    if other not in dict(person.others):
        raise web.HTTPNotFound
    database = request.config_dict[CONSOLE].database
    await lead_care.separate(database, business.id, other)
    await audit(request, "lead.separated", person.id, other=str(other))
    return _to(request, person.id)


async def erase(request: web.Request) -> web.StreamResponse:
    """Delete all of the person, and say what was deleted and what is left."""
    require(request, OPERATOR, OWNER)
    person, business = await _person(request), request[BUSINESS]
    if request[FORM].get("digits", "").strip() != person.phone[-_CONFIRMED_DIGITS:]:
        faults = {"digits": _("These are not the last digits of the number.")}
        return await _page(request, person, faults)
    console = request.config_dict[CONSOLE]
    try:
        erasure = await erase_person(
            console.database, console.settings, business.id, person.id
        )
    except CallRuns:
        faults = {"digits": _("A call of this person runs. Try again afterwards.")}
        return await _page(request, person, faults)
    if erasure is None:
        raise web.HTTPNotFound
    await audit(request, "lead.erased", person.id, rows=erasure.rows)
    return await render(request, "leads/erased.html", erasure=erasure)


async def _person(request: web.Request) -> Person:
    lead_id = _uuid(request.match_info["lead"])
    database, business = request.config_dict[CONSOLE].database, request[BUSINESS]
    person = await lead_care.get(database, business.id, lead_id)
    if person is None:
        raise web.HTTPNotFound
    return person


async def _page(
    request: web.Request,
    person: Person,
    faults: dict[str, str] | None = None,
    *,
    is_phone_shown: bool = False,
) -> web.StreamResponse:
    business = request[BUSINESS]
    asked = [one for one in business.required_fields if one not in ("name", "phone")]
    form: Any = request.get(FORM) if faults else None
    statuses = dict.fromkeys((*STATUSES, person.status))
    visits, older_visits = await _visits(request, person.id)
    history, older = await _history(request, person.id)
    return await render(
        request,
        "leads/lead.html",
        status=422 if faults else 200,
        lead=person,
        typed=form or {},
        faults=faults or {},
        is_phone_shown=is_phone_shown,
        fields=dict.fromkeys((*asked, *sorted(person.fields))),
        statuses=[(name, status_words(name)) for name in statuses],
        history=history,
        older=older,
        visits=visits,
        older_visits=older_visits,
        outcome_words=outcome_words,
    )


async def _visits(
    request: web.Request, lead_id: UUID
) -> tuple[list[Visit], str | None]:
    """Return a page of a person's appointments, and the query of the next one."""
    own = (request.config_dict[CONSOLE].database, request[BUSINESS].id, lead_id)
    before = time_of(request.query.get("visits", ""))
    shown = await lead_care.visits(*own, HISTORY_SHOWN, before)
    if len(shown) < HISTORY_SHOWN:
        return shown, None
    last = shown[-1].starts_at
    has_more = await lead_care.visits(*own, 1, last)
    return shown, _older("visits", last) if has_more else None


async def _history(
    request: web.Request, lead_id: UUID
) -> tuple[list[tuple[datetime, Found | None, Day | None]], str | None]:
    """Return a page of the calls of a person, and of the days on which they wrote,
    newest first, and the query of the next page."""
    database, business_id = request.config_dict[CONSOLE].database, request[BUSINESS].id
    before = time_of(request.query.get("before", ""))
    limit = HISTORY_SHOWN + 1
    place = None if before is None else Place(before, "")
    rung = await call_search.search(
        database, business_id, Wish(lead_id=lead_id), limit, place
    )
    wrote = await conversation_pages.days_of_lead(
        database, business_id, lead_id, limit, before
    )
    history: list[tuple[datetime, Found | None, Day | None]] = [
        *((call.started_at, call, None) for call in rung),
        *((day.last_at, None, day) for day in wrote),
    ]
    history.sort(key=lambda one: one[0], reverse=True)
    shown = history[:HISTORY_SHOWN]
    has_more = len(history) > HISTORY_SHOWN
    return shown, _older("before", shown[-1][0]) if has_more else None


def _older(name: str, at: datetime) -> str:
    return "?" + urlencode({name: at.isoformat()})


def _changed(form: MultiDict[str], name: str) -> str | None:
    """Return a value that differs from what the form showed; None if none does."""
    # Browsers send the ends of lines as CRLF.
    value, was = (
        form.get(key, "").replace("\r\n", "\n").strip() for key in (name, f"was.{name}")
    )
    return None if value == was else value


def _changed_fields(
    form: MultiDict[str], faults: dict[str, str]
) -> Iterator[tuple[str, str]]:
    """Yield the changed fields; put what is wrong into `faults`."""
    for key in form:
        if key.startswith("field."):
            name, value = key.removeprefix("field."), _changed(form, key)
            if value is not None and _is_field(name, value, key, faults):
                yield name, value
    name, value = form.get("new_name", "").strip(), form.get("new_value", "").strip()
    if (name or value) and _is_field(name, value, "new_name", faults):
        yield name, value


def _is_field(name: str, value: str, key: str, faults: dict[str, str]) -> bool:
    if not _FIELD_NAME.fullmatch(name) or name in ("name", "phone"):
        faults[key] = _("Use small letters, digits and _ for a field's name.")
    elif len(value) > _VALUE_CHARS_MAX:
        faults[key] = _("This is too long.")
    return key not in faults


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise web.HTTPNotFound from None


def _to(request: web.Request, lead_id: UUID) -> web.StreamResponse:
    where = business_path(request[BUSINESS].id, "leads", lead_id)
    return web.Response(status=303, headers={"Location": where})


def add_routes(app: web.Application, console: Console) -> None:
    """Add a lead's page and its changes."""
    here = "/b/{business}/leads/{lead}"
    app.router.add_get(here, show)
    app.router.add_post(here, edit)
    app.router.add_post(f"{here}/phone", show_phone)
    app.router.add_post(f"{here}/merge", merge)
    app.router.add_post(f"{here}/separate", separate)
    app.router.add_post(f"{here}/erase", erase)
