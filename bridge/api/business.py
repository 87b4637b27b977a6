"""The business: its services, staff, hours, closures and assistant.

Each part is written whole and checked as a business's file is, together with the rest.
"""

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

import msgspec

from bridge.api.problems import Problem, of_text, wrong_field
from bridge.api.routes import Asked, Route
from bridge.business import tenant_file
from bridge.business.bookable import Closure, Staff
from bridge.business.opening_hours import TenantError
from bridge.business.tenant_file import TenantFile
from bridge.settings.message_options import of_service
from crm import saving
from crm.businesses import Business, Service
from crm.staff import StillBooked

HoursOfWeek = dict[str, tuple[str, ...]]


class Assistant(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What decides how the assistant speaks; `settings` override the service's."""

    language: str
    greeting: str
    fallback_sentence: str
    prompt: str
    required_fields: tuple[str, ...]
    settings: dict[str, Any]


class AssistantChange(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True
):
    """What is to change; what is not named stays."""

    language: str | msgspec.UnsetType = msgspec.UNSET
    greeting: str | msgspec.UnsetType = msgspec.UNSET
    fallback_sentence: str | msgspec.UnsetType = msgspec.UNSET
    prompt: str | msgspec.UnsetType = msgspec.UNSET
    required_fields: tuple[str, ...] | msgspec.UnsetType = msgspec.UNSET
    settings: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET


async def whole(asked: Asked) -> TenantFile:
    return tenant_file.from_business(asked.business)


async def assistant(asked: Asked) -> Assistant:
    return _assistant(asked.business)


async def change_assistant(asked: Asked) -> Assistant:
    body: AssistantChange = asked.body
    fields = {
        name: value
        for name, value in msgspec.structs.asdict(body).items()
        if value is not msgspec.UNSET
    }
    return _assistant(await _change(asked, fields))


def _assistant(business: Business) -> Assistant:
    file = tenant_file.from_business(business)
    fields = {name: getattr(file, name) for name in Assistant.__struct_fields__}
    return Assistant(**fields)


async def _change(asked: Asked, fields: dict[str, Any]) -> Business:
    """Change fields of the business's file; raises Problem."""

    def edit(business: Business) -> Business:
        file = msgspec.structs.replace(tenant_file.from_business(business), **fields)
        kept = of_service(business.settings)
        file = msgspec.structs.replace(file, settings={**kept, **file.settings})
        new = tenant_file.to_business(file, business.id, asked.settings.call)
        if of_service(new.settings) != kept:
            raise wrong_field("settings", _not_yours(new, kept))
        return new

    try:
        return await saving.change(
            asked.database, asked.business.id, edit, asked.by, note="API"
        )
    except TenantError as error:
        raise of_text(error) from None
    except StillBooked as error:
        raise Problem(HTTPStatus.CONFLICT, str(error)) from None


def _not_yours(new: Business, kept: dict[str, Any]) -> str:
    """Say which settings were changed that only the service's operator changes."""
    names = [
        name.upper()
        for name, value in of_service(new.settings).items()
        if name not in kept or kept[name] != value
    ]
    return f"{', '.join(names)}: expected no change: `kolbridge tenant set` makes it"


def _part(name: str) -> tuple[Callable[[Asked], Awaitable[Any]], ...]:
    """Return what reads, and what replaces, one field of the business's file."""

    async def read(asked: Asked) -> Any:
        return getattr(tenant_file.from_business(asked.business), name)

    async def replace(asked: Asked) -> Any:
        business = await _change(asked, {name: asked.body})
        return getattr(tenant_file.from_business(business), name)

    return read, replace


def _routes_of(name: str, what: str, kind: Any) -> tuple[Route, Route]:
    read, replace = _part(name)
    return (
        Route("GET", f"/{name}", f"Read the {what}", read, kind),
        Route("PUT", f"/{name}", f"Replace the {what}", replace, kind, body=kind),
    )


ROUTES = (
    Route("GET", "/business", "Read all of the business", whole, TenantFile),
    Route("GET", "/assistant", "Read the assistant's settings", assistant, Assistant),
    Route(
        "PATCH",
        "/assistant",
        "Change the assistant's settings",
        change_assistant,
        Assistant,
        body=AssistantChange,
    ),
    *_routes_of("services", "services", tuple[Service, ...]),
    *_routes_of("staff", "people who can be booked", tuple[Staff, ...]),
    *_routes_of("hours", "opening hours", HoursOfWeek),
    *_routes_of(
        "closures", "days on which the business is closed", tuple[Closure, ...]
    ),
)
