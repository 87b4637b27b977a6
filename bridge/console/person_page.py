"""A person of the staff: services, hours and days off."""

from collections.abc import Mapping

from aiohttp import web
from msgspec.structs import replace
from multidict import MultiDict

from bridge.business.bookable import Closure, Staff
from bridge.business.opening_hours import DAYS, show_hours
from bridge.business.tenant_file import TenantFile
from bridge.console import services_page
from bridge.console.auditing import audit
from bridge.console.business_edit import (
    Gone,
    Numbers,
    Refused,
    back,
    changed_to,
    day_of,
    edit,
    fields_of,
    hours_of,
    index_of,
)
from bridge.console.business_words import COLOURS, DAY_NAMES, faults_of
from bridge.console.console import (
    BUSINESS,
    FORM,
    OPERATOR,
    OWNER,
    Console,
    business_path,
    require,
)
from bridge.console.language import gettext as _
from bridge.console.rendering import render
from crm.businesses import Person
from crm.staff import StillBooked


async def person(request: web.Request) -> web.StreamResponse:
    """Show the form of a person, or of a new one."""
    require(request, OWNER, OPERATOR)
    return await _stored_form(request, request.query.get("number", ""), {}, {})


async def _stored_form(
    request: web.Request, number: str, typed: Mapping[str, str], faults: dict[str, str]
) -> web.Response:
    """Return the form of a person as they are stored, with what was typed besides."""
    one = _person(request, number) if number else None
    if one is None:
        fields: dict[str, str] = {"name": "", "colour": "", "active": "1"}
        return await _person_form(request, number, fields, (), faults)
    spans = show_hours(one.hours)
    hours = {day: " ".join(given) for day, given in spans.items()}
    active = "1" if one.is_active else ""
    fields = {"name": one.name, "colour": one.colour, "active": active}
    fields |= {day: hours.get(day, "") for day in DAYS}
    fields |= {f"was.{name}": text for name, text in fields.items()}
    return await _person_form(
        request, number, {**fields, **typed}, one.services, faults
    )


def _person(request: web.Request, number: str) -> Person:
    """Return the person of a number; raises HTTPNotFound."""
    for one in request[BUSINESS].staff:
        if str(one.number) == number:
            return one
    raise web.HTTPNotFound


async def _person_form(
    request: web.Request,
    number: str,
    fields: Mapping[str, str],
    services: tuple[str, ...],
    faults: dict[str, str],
) -> web.Response:
    return await render(
        request,
        "services/person.html",
        status=422 if faults else 200,
        number=number,
        fields=fields,
        does=services,
        did=request.get(FORM, MultiDict[str]()).getall("was.services", services),
        faults=faults,
        colours=COLOURS,
        days=DAY_NAMES,
        days_off=_person(request, number).days_off if number else (),
    )


async def save_person(request: web.Request) -> web.StreamResponse:
    """Add or change a person."""
    require(request, OWNER, OPERATOR)
    fields, number = fields_of(request), request[FORM].get("number", "")
    services = tuple(request[FORM].getall("services", []))
    did = request[FORM].getall("was.services", [])

    def change(file: TenantFile, numbers: Numbers) -> tuple[TenantFile, Numbers]:
        if not number:
            new = _changed(Staff(name=""), fields, services)
            return replace(file, staff=(*file.staff, new)), (*numbers, None)
        at = index_of(numbers, number)
        old = file.staff[at]
        is_same = "was.name" in fields and {*services} == {*did}
        one = _changed(old, fields, old.services if is_same else services)
        staff = (*file.staff[:at], one, *file.staff[at + 1 :])
        return replace(file, staff=staff), numbers

    try:
        await edit(request, change)
    except Refused as refused:
        faults = faults_of(refused.text)
        return await _person_form(request, number, fields, services, faults)
    except Gone:
        raise web.HTTPNotFound from None
    await audit(request, "staff.changed", number)
    raise web.HTTPSeeOther(back(request, "staff"))


def _changed(old: Staff, fields: Mapping[str, str], services: tuple[str, ...]) -> Staff:
    """Return a person with what a form changed."""
    return replace(
        old,
        name=changed_to(fields, "name", old.name),
        colour=changed_to(fields, "colour", old.colour),
        services=services,
        hours=hours_of(fields, old.hours),
        active=bool(changed_to(fields, "active", "1" if old.active else "")),
    )


async def remove_person(request: web.Request) -> web.StreamResponse:
    """Remove a person, unless they have appointments to come."""
    require(request, OWNER, OPERATOR)
    number = request[FORM].get("number", "")

    def change(file: TenantFile, numbers: Numbers) -> tuple[TenantFile, Numbers]:
        at = index_of(numbers, number)
        staff = (*file.staff[:at], *file.staff[at + 1 :])
        return replace(file, staff=staff), (*numbers[:at], *numbers[at + 1 :])

    try:
        await edit(request, change)
    except StillBooked:
        text = _("This person has appointments to come: move or cancel them first.")
        return await services_page.page(request, {"staff": text}, {})
    except Gone:
        raise web.HTTPNotFound from None
    await audit(request, "staff.removed", number)
    raise web.HTTPSeeOther(back(request, "staff"))


# --- days off ---


async def add_days_off(request: web.Request) -> web.StreamResponse:
    """Add days on which a person cannot be booked."""
    require(request, OWNER, OPERATOR)
    fields, number = fields_of(request), request[FORM].get("number", "")
    faults = {}
    day, until = day_of(fields.get("day")), day_of(fields.get("until"))
    if day is None:
        faults["day"] = _("Choose a day.")
    elif fields.get("until") and (until is None or until < day):
        faults["until"] = _("Choose a day that is not before the first.")
    elif any(one.first_day == day for one in _person(request, number).days_off):
        faults["day"] = _("There are days off from this day on already.")
    if faults or day is None:
        return await _stored_form(request, number, fields, faults)
    new = Closure(day, until, fields.get("reason", ""))

    def change(file: TenantFile, numbers: Numbers) -> tuple[TenantFile, Numbers]:
        return _with_days_off(file, index_of(numbers, number), new), numbers

    try:
        await edit(request, change)
    except Refused as refused:
        return await _stored_form(request, number, fields, _fault_of(refused.text))
    except Gone:
        raise web.HTTPNotFound from None
    await audit(request, "days_off.added", number)
    raise web.HTTPSeeOther(_here(request, number))


def _fault_of(text: str) -> dict[str, str]:
    if ": reason: " in text:
        return {"reason": _("Write text only.")}
    return {"day": _("This person has as many days off as one person may have.")}


def _with_days_off(file: TenantFile, at: int, new: Closure) -> TenantFile:
    days_off = sorted((*file.staff[at].days_off, new), key=lambda one: one.day)
    one = replace(file.staff[at], days_off=tuple(days_off))
    return replace(file, staff=(*file.staff[:at], one, *file.staff[at + 1 :]))


async def remove_days_off(request: web.Request) -> web.StreamResponse:
    """Let a person be booked again on days that were to be off."""
    require(request, OWNER, OPERATOR)
    number, day = request[FORM].get("number", ""), day_of(request[FORM].get("day"))

    def change(file: TenantFile, numbers: Numbers) -> tuple[TenantFile, Numbers]:
        at = index_of(numbers, number)
        kept = tuple(one for one in file.staff[at].days_off if one.day != day)
        one = replace(file.staff[at], days_off=kept)
        staff = (*file.staff[:at], one, *file.staff[at + 1 :])
        return replace(file, staff=staff), numbers

    try:
        await edit(request, change)
    except Gone:
        raise web.HTTPNotFound from None
    await audit(request, "days_off.removed", number)
    raise web.HTTPSeeOther(_here(request, number))


def _here(request: web.Request, number: str) -> str:
    path = business_path(request[BUSINESS].id, "services", "person")
    return f"{path}?number={number}#days-off"


def add_routes(app: web.Application, console: Console) -> None:
    """Add the form, and the days off."""
    root = "/b/{business}/services/person"
    app.router.add_get(root, person)
    app.router.add_post(root, save_person)
    app.router.add_post(f"{root}/remove", remove_person)
    app.router.add_post(f"{root}/days-off", add_days_off)
    app.router.add_post(f"{root}/days-off/remove", remove_days_off)
