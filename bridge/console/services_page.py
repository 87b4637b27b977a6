"""Services, opening hours and closures of a business, and the list of its staff."""

from collections.abc import Mapping
from datetime import date
from typing import Any

from aiohttp import web
from msgspec.structs import replace

from bridge.business.bookable import Closure, Staff
from bridge.business.opening_hours import DAYS, show_hours
from bridge.business.tenant_file import TenantFile
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
    MenuItem,
    require,
)
from bridge.console.language import N_, gettext as _
from bridge.console.rendering import render
from crm.businesses import Service

MENU = (MenuItem(N_("Services and staff"), "/console/b/{business}/services"),)


async def show(request: web.Request) -> web.StreamResponse:
    """Show all that decides what can be booked."""
    return await page(request, {}, {})


async def page(
    request: web.Request, faults: dict[str, str], fields: Mapping[str, str]
) -> web.Response:
    """Return the page with what was typed, and what is wrong with it."""
    business = request[BUSINESS]
    spans = show_hours(business.hours)
    hours = {day: " ".join(spans.get(day, ())) for day in DAYS}
    hours |= {f"was.{day}": text for day, text in hours.items()}
    return await render(
        request,
        "services/list.html",
        status=422 if faults else 200,
        faults=faults,
        fields=fields,
        hours={name: fields.get(name, text) for name, text in hours.items()},
        days=DAY_NAMES,
        may_edit=_may_edit(request),
    )


def _may_edit(request: web.Request) -> bool:
    try:
        require(request, OWNER, OPERATOR)
    except web.HTTPForbidden:
        return False
    return True


# --- services ---


async def service(request: web.Request) -> web.StreamResponse:
    """Show the form of a service, or of a new one."""
    require(request, OWNER, OPERATOR)
    was = request.query.get("was", "")
    known = [one for one in request[BUSINESS].services if one.name == was]
    if was and not known:
        raise web.HTTPNotFound
    one = known[0] if known else Service("", 30)
    fields = {
        "name": one.name,
        "minutes": str(one.minutes),
        "buffer_minutes": str(one.buffer_minutes),
        "price": one.price,
        "colour": one.colour,
    }
    shown = {f"was.{name}": text for name, text in fields.items()}
    return await _service_form(request, was, {**fields, **shown}, {})


async def _service_form(
    request: web.Request, was: str, fields: Mapping[str, str], faults: dict[str, str]
) -> web.Response:
    return await render(
        request,
        "services/service.html",
        status=422 if faults else 200,
        was=was,
        fields=fields,
        faults=faults,
        colours=COLOURS,
    )


async def save_service(request: web.Request) -> web.StreamResponse:
    """Add or change a service; under a new name it keeps its appointments."""
    require(request, OWNER, OPERATOR)
    fields = fields_of(request)
    was = fields.get("was", "")
    name = fields.get("name", "")

    def change(file: TenantFile, numbers: Numbers) -> tuple[TenantFile, Numbers]:
        old = next((one for one in file.services if one.name == was), Service("", 30))
        new = Service(
            name,
            _whole(changed_to(fields, "minutes", str(old.minutes))),
            _whole(changed_to(fields, "buffer_minutes", str(old.buffer_minutes))),
            changed_to(fields, "price", old.price),
            changed_to(fields, "colour", old.colour),
        )
        services = _put(file.services, was, new)
        staff = tuple(_with_service(one, was, name) for one in file.staff)
        return replace(file, services=services, staff=staff), numbers

    renamed = {was: name} if was and was != name else {}
    try:
        await edit(request, change, renamed=renamed)
    except Refused as refused:
        faults = faults_of(refused.text)
        return await _service_form(request, was, fields, faults)
    except Gone:
        raise web.HTTPNotFound from None
    await audit(request, "service.changed")
    raise web.HTTPSeeOther(back(request, "services"))


async def remove_service(request: web.Request) -> web.StreamResponse:
    """Remove a service; its appointments stay, without a name."""
    require(request, OWNER, OPERATOR)
    was = request[FORM].get("was", "")

    def change(file: TenantFile, numbers: Numbers) -> tuple[TenantFile, Numbers]:
        services = tuple(one for one in file.services if one.name != was)
        return replace(file, services=services), numbers

    try:
        await edit(request, change)
    except Refused:
        text = _("Somebody of the staff does this service: change that first.")
        return await page(request, {"services": text}, {})
    await audit(request, "service.removed")
    raise web.HTTPSeeOther(back(request, "services"))


def _with_service(person: Staff, was: str, name: str) -> Staff:
    """Return a person who does a renamed service under its new name."""
    services = tuple(name if was and one == was else one for one in person.services)
    return replace(person, services=services)


# --- order, hours, closures ---


async def move_up(request: web.Request) -> web.StreamResponse:
    """Put a service or a person before the one above."""
    require(request, OWNER, OPERATOR)
    form = request[FORM]
    number, was = form.get("number", ""), form.get("was", "")

    def change(file: TenantFile, numbers: Numbers) -> tuple[TenantFile, Numbers]:
        if number:
            at = index_of(numbers, number)
            staff = _raised(file.staff, at)
            return replace(file, staff=staff), _raised(numbers, at)
        names = [one.name for one in file.services]
        if was not in names:
            raise Gone
        services = _raised(file.services, names.index(was))
        return replace(file, services=services), numbers

    try:
        await edit(request, change)
    except Gone:
        raise web.HTTPNotFound from None
    raise web.HTTPSeeOther(back(request, "staff" if number else "services"))


async def save_hours(request: web.Request) -> web.StreamResponse:
    """Change the opening hours of the week."""
    require(request, OWNER, OPERATOR)
    fields = fields_of(request)

    def change(file: TenantFile, numbers: Numbers) -> tuple[TenantFile, Numbers]:
        return replace(file, hours=hours_of(fields, file.hours)), numbers

    try:
        await edit(request, change)
    except Refused as refused:
        return await page(request, faults_of(refused.text), fields)
    await audit(request, "hours.changed")
    raise web.HTTPSeeOther(back(request, "hours"))


async def add_closure(request: web.Request) -> web.StreamResponse:
    """Add days on which the business is closed."""
    require(request, OWNER, OPERATOR)
    fields = fields_of(request)
    faults = {}
    day, until = day_of(fields.get("day")), day_of(fields.get("until"))
    if day is None:
        faults["day"] = _("Choose a day.")
    elif fields.get("until") and (until is None or until < day):
        faults["until"] = _("Choose a day that is not before the first.")
    elif any(one.first_day == day for one in request[BUSINESS].closures):
        faults["day"] = _("There is a closure from this day on already.")
    if faults or day is None:
        return await page(request, faults, fields)
    new = Closure(day, until, fields.get("reason", ""))

    def change(file: TenantFile, numbers: Numbers) -> tuple[TenantFile, Numbers]:
        kept = (*file.closures, new)
        return replace(file, closures=tuple(sorted(kept, key=_first_day))), numbers

    try:
        await edit(request, change)
    except Refused:
        return await page(request, {"reason": _("Write text only.")}, fields)
    await audit(request, "closure.added")
    raise web.HTTPSeeOther(back(request, "closures"))


async def remove_closure(request: web.Request) -> web.StreamResponse:
    """Open again on days that were to be closed."""
    require(request, OWNER, OPERATOR)
    day = day_of(request[FORM].get("day"))

    def change(file: TenantFile, numbers: Numbers) -> tuple[TenantFile, Numbers]:
        kept = tuple(one for one in file.closures if one.day != day)
        return replace(file, closures=kept), numbers

    await edit(request, change)
    await audit(request, "closure.removed")
    raise web.HTTPSeeOther(back(request, "closures"))


# --- what the forms have in common ---


def _put(services: tuple[Service, ...], was: str, new: Service) -> tuple[Service, ...]:
    if not was:
        return (*services, new)
    names = [one.name for one in services]
    if was not in names:
        raise Gone
    at = names.index(was)
    return (*services[:at], new, *services[at + 1 :])


def _raised(given: tuple[Any, ...], at: int) -> tuple[Any, ...]:
    if at == 0:
        return given
    return (*given[: at - 1], given[at], given[at - 1], *given[at + 1 :])


def _whole(text: str) -> int:
    """Return a number, -1 for what is none: the check refuses it, with its field."""
    is_number = text.isascii() and text.isdigit()
    return int(text) if is_number and len(text) < 6 else -1


def _first_day(closure: Closure) -> date:
    return closure.day


def add_routes(app: web.Application, console: Console) -> None:
    """Add the pages."""
    root = "/b/{business}/services"
    app.router.add_get(root, show)
    app.router.add_get(f"{root}/service", service)
    app.router.add_post(f"{root}/service", save_service)
    app.router.add_post(f"{root}/service/remove", remove_service)
    app.router.add_post(f"{root}/up", move_up)
    app.router.add_post(f"{root}/hours", save_hours)
    app.router.add_post(f"{root}/closures", add_closure)
    app.router.add_post(f"{root}/closures/remove", remove_closure)
