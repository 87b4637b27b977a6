"""What the forms of the calendar say: a time of the business's clock, a person, a lead.

A wrong field is named in `faults`, by the name of its input.
"""

from collections.abc import Mapping
from datetime import UTC, date, datetime, time
from typing import NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

from bridge.console.language import gettext as _
from crm import phones
from crm.businesses import Business, Service
from crm.by_hand import Place
from crm.names import same_name_key

NAME_CHARS_MAX = 200
# What is booked where a business has named no service.
PLAIN = Service("", 30)
# Dates that both calendars of Python and PostgreSQL can count with.
_YEARS = range(2000, 2200)


class Faults(dict[str, str]):
    """What is wrong with which field; no field is named twice."""

    def add(self, field: str, text: str) -> None:
        self.setdefault(field, text)


class Chosen(NamedTuple):
    """A moment, and whether the clock shows its time twice."""

    at: datetime | None
    is_twice: bool = False


def chosen(form: Mapping[str, str]) -> dict[str, str]:
    """Return a form's fields, with the free time that was chosen instead, if any."""
    day, time_, fold, staff = [*form.get("instead", "").split(" "), "", "", "", ""][:4]
    fields = dict(form)
    if day:
        fold = "" if fold == "-" else fold
        fields |= {"day": day, "time": time_, "fold": fold, "staff": staff}
    return fields


def read_day(text: str, fallback: date) -> date:
    """Return the day of an address, or `fallback` for one that is none."""
    try:
        found = date.fromisoformat(text)
    except ValueError:
        return fallback
    return found if found.year in _YEARS else fallback


def read_time(form: Mapping[str, str], business: Business, faults: Faults) -> Chosen:
    """Return the moment of `day` and `time`; `fold` decides where there are two."""
    try:
        day = date.fromisoformat(form.get("day", ""))
    except ValueError:
        day = date.min
    if day.year not in _YEARS:
        faults.add("day", _("Choose a day."))
    try:
        clock = time.fromisoformat(form.get("time", ""))
    except ValueError:
        faults.add("time", _("Choose a time."))
        return Chosen(None)
    if clock.tzinfo is not None:
        faults.add("time", _("Choose a time."))
    if faults:
        return Chosen(None)
    zone = ZoneInfo(business.time_zone)
    first = datetime.combine(day, clock, zone)
    second = first.replace(fold=1)
    if first.astimezone(UTC).astimezone(zone).replace(tzinfo=None) != first.replace(
        tzinfo=None
    ):
        faults.add("time", _("The clocks change then: there is no such time."))
        return Chosen(None)
    is_twice = first.utcoffset() != second.utcoffset()
    if is_twice and form.get("fold") not in ("0", "1"):
        faults.add("fold", _("The clocks change then: this time comes twice."))
        return Chosen(None, is_twice)
    chosen = second if form.get("fold") == "1" else first
    return Chosen(chosen.astimezone(UTC), is_twice)


def read_person(
    form: Mapping[str, str], business: Business, faults: Faults
) -> int | None:
    """Return the number of the person chosen, None where anyone will do."""
    text = form.get("staff", "")
    if not text:
        return None
    for one in business.staff:
        if str(one.number) == text and one.is_active:
            return one.number
    faults.add("staff", _("Choose one of these people."))
    return None


def read_place(
    form: Mapping[str, str], business: Business, faults: Faults
) -> tuple[Place | None, bool]:
    """Return where an appointment is to be, and whether its time comes twice."""
    chosen = read_time(form, business, faults)
    person = read_person(form, business, faults)
    if chosen.at is None or faults:
        return None, chosen.is_twice
    return Place(chosen.at, person), chosen.is_twice


def read_service(
    form: Mapping[str, str], business: Business, faults: Faults
) -> Service:
    """Return the service chosen."""
    wanted = same_name_key(form.get("service", ""))
    for one in business.services:
        if same_name_key(one.name) == wanted:
            return one
    if business.services:
        faults.add("service", _("Choose a service."))
    return PLAIN


def read_phone(text: str, business: Business, faults: Faults) -> str:
    """Return an international number."""
    try:
        return phones.to_e164(text, business.country)
    except phones.PhoneError:
        said = _("Enter a whole phone number, such as %(example)s.")
        faults.add("phone", said % {"example": phones.EXAMPLE})
        return ""


def read_id(text: str) -> UUID | None:
    """Return an id, or None for a text that is none."""
    try:
        return UUID(text)
    except ValueError:
        return None


def local_fields(at: datetime, business: Business) -> dict[str, str]:
    """Return a moment as the fields of a form have it."""
    local = at.astimezone(ZoneInfo(business.time_zone))
    fold = local.replace(fold=1)
    is_twice = fold.utcoffset() != local.replace(fold=0).utcoffset()
    return {
        "day": f"{local:%Y-%m-%d}",
        "time": f"{local:%H:%M}",
        "fold": str(local.fold) if is_twice else "",
    }
