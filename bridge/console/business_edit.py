"""Changes a business from a form: checked as a whole, saved in one transaction.

The check is that of `kolbridge tenant`. Whoever edits at the same time loses nothing:
a change is made to the business as it is then, locked.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import date

from aiohttp import web
from msgspec.structs import replace

from bridge.business import tenant_file
from bridge.business.opening_hours import DAYS, TenantError
from bridge.business.tenant_file import TenantFile
from bridge.console.console import BUSINESS, CONSOLE, FORM, VIEWER, business_path
from crm import saving
from crm.authors import By
from crm.businesses import Business

# The numbers of the people in a file, in its order; None for a new one.
Numbers = tuple[int | None, ...]
Change = Callable[[TenantFile, Numbers], tuple[TenantFile, Numbers]]


class Gone(Exception):
    """What was to be changed is not there any more."""


class Refused(Exception):
    """The change is not valid; `text` says why, in the words of `kolbridge tenant`."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


async def edit(
    request: web.Request,
    change: Change,
    *,
    note: str = "",
    renamed: Mapping[str, str] | None = None,
) -> Business:
    """Change the request's business; raises Refused, Gone or StillBooked."""
    console, business_id = request.config_dict[CONSOLE], request[BUSINESS].id

    def checked(business: Business) -> Business:
        numbers = tuple(one.number for one in business.staff)
        file, numbers = change(tenant_file.from_business(business), numbers)
        new = tenant_file.to_business(file, business_id, console.settings.call)
        staff = tuple(
            replace(one, number=number)
            for one, number in zip(new.staff, numbers, strict=True)
        )
        return replace(new, staff=staff)

    by = By("hand", request[VIEWER].name)
    try:
        return await saving.change(
            console.database, business_id, checked, by, note=note, renamed=renamed
        )
    except TenantError as error:
        raise Refused(str(error)) from None


def fields_of(request: web.Request) -> dict[str, str]:
    """Return the fields of a form, without the spaces around them."""
    return {name: value.strip() for name, value in request[FORM].items()}


def changed_to(fields: Mapping[str, str], name: str, stored: str) -> str:
    """Return what a form changed a field to, or what is stored now if it did not: the
    form may have been open for long."""
    value = fields.get(name, "")
    return stored if value == fields.get(f"was.{name}") else value


def hours_of(
    fields: Mapping[str, str], stored: Mapping[str, Sequence[str]]
) -> dict[str, tuple[str, ...]]:
    """Return the hours of a form, whose fields are the days of the week."""
    texts = {
        day: changed_to(fields, day, " ".join(stored.get(day, ()))) for day in DAYS
    }
    return {day: tuple(text.split()) for day, text in texts.items() if text}


def faulty_day(text: str) -> str | None:
    """Return the day whose hours an error names."""
    return next((day for day in DAYS if f"hours.{day}:" in text), None)


def index_of(numbers: Numbers, number: str) -> int:
    """Return the place of the person of a form; raises Gone."""
    for at, one in enumerate(numbers):
        if str(one) == number:
            return at
    raise Gone


def day_of(text: str | None) -> date | None:
    """Return the day of a form's field, None where there is none."""
    try:
        return date.fromisoformat(text or "")
    except ValueError:
        return None


def back(request: web.Request, section: str) -> str:
    """Return the address of a section of the page of services and staff."""
    return f"{business_path(request[BUSINESS].id, 'services')}#{section}"
