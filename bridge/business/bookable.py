"""Services, staff and closures of a business's file, and the checks of them."""

import re
from datetime import date

import msgspec

from bridge.business.opening_hours import (
    DAY_MINUTES,
    TenantError,
    read_hours,
    show_hours,
)
from crm.businesses import Closure as StoredClosure, Hours, Person, Service
from crm.names import same_name_key, tidy, unwritable

PRICE_CHARS_MAX = 40
# Each of them is a search of their own for free times.
STAFF_MAX = 50
# Of one person: each is looked at for each day on which a time is looked for.
DAYS_OFF_MAX = 100
_COLOUR = re.compile(r"#[0-9a-f]{6}")


class Closure(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A day, or days up to and with `until`, without any hours."""

    day: date
    until: date | None = None
    reason: str = ""


class Staff(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    omit_defaults=True,
):
    """A person who can be booked. Without `hours` they have the business's, without
    `services` they do all of them."""

    name: str
    colour: str = ""
    services: tuple[str, ...] = ()
    hours: dict[str, tuple[str, ...]] = {}
    active: bool = True
    days_off: tuple[Closure, ...] = ()


def show_person(person: Person) -> Staff:
    """Return a person as a file has them."""
    return Staff(
        name=person.name,
        colour=person.colour,
        services=person.services,
        hours=show_hours(person.hours),
        active=person.is_active,
        days_off=show_closures(person.days_off),
    )


def show_closures(closures: tuple[StoredClosure, ...]) -> tuple[Closure, ...]:
    """Return closures as a file has them."""
    return tuple(
        Closure(
            one.first_day,
            one.last_day if one.last_day > one.first_day else None,
            one.reason,
        )
        for one in closures
    )


def read_closures(
    field: str, closures: tuple[Closure, ...]
) -> tuple[StoredClosure, ...]:
    """Check closures or days off; raises TenantError, which begins with `field`."""
    days = set()
    for one in closures:
        if one.until is not None and one.until < one.day:
            raise TenantError(f"{field}: {one.day}: until {one.until} is before it")
        if one.day in days:
            raise TenantError(f"{field}: '{one.day}' stands there twice")
        days.add(one.day)
        check_text(f"{field}: {one.day}: reason", one.reason)
    return tuple(
        StoredClosure(one.day, one.until or one.day, one.reason) for one in closures
    )


def check_text(field: str, text: str) -> None:
    """Refuse what neither the database nor a document for Twilio can hold."""
    if (found := unwritable(text)) is not None:
        raise TenantError(f"{field}: expected text, got the character {found!a}")


def read_services(services: tuple[Service, ...]) -> tuple[Service, ...]:
    """Check services; raises TenantError naming the field."""
    kept: dict[str, Service] = {}
    for one in services:
        at = f"services: {one.name!r}"
        if not 5 <= one.minutes <= DAY_MINUTES:
            raise TenantError(f"{at}: minutes={one.minutes}: expected 5 to 1440")
        if not 0 <= one.buffer_minutes <= DAY_MINUTES:
            buffer = one.buffer_minutes
            raise TenantError(f"{at}: buffer_minutes={buffer}: expected 0 to 1440")
        tidied = msgspec.structs.replace(
            one,
            name=read_name("services: ", one.name),
            price=_price(at, one.price),
            colour=_colour(at, one.colour),
        )
        same = kept.setdefault(same_name_key(one.name), tidied)
        if same is not tidied:
            also = "" if same.name == one.name else f", as {same.name!r}"
            raise TenantError(f"{at} stands there twice{also}")
    return tuple(kept.values())


def read_staff(
    staff: tuple[Staff, ...], services: tuple[Service, ...]
) -> tuple[Person, ...]:
    """Return the people of a file, without numbers; raises TenantError."""
    if len(staff) > STAFF_MAX:
        raise TenantError(f"staff: expected {STAFF_MAX} people at most")
    known = {same_name_key(one.name): one.name for one in services}
    kept: dict[str, Person] = {}
    for one in staff:
        at = f"staff: {one.name!r}"
        person = Person(
            None,
            read_name("staff: ", one.name),
            _colour(at, one.colour),
            _own_hours(at, one),
            tuple(dict.fromkeys(_known(at, name, known) for name in one.services)),
            one.active,
            _days_off(at, one),
        )
        if kept.setdefault(same_name_key(one.name), person) is not person:
            raise TenantError(f"{at} stands there twice")
    return tuple(kept.values())


def read_name(field: str, name: str) -> str:
    """Return a name in its stored form; raises TenantError."""
    try:
        return tidy(name)
    except ValueError as error:
        raise TenantError(f"{field}{name!r}: {error}") from None


def _own_hours(at: str, one: Staff) -> tuple[Hours, ...]:
    try:
        return read_hours(one.hours)
    except TenantError as error:
        raise TenantError(f"{at}: {error}") from None


def _days_off(at: str, one: Staff) -> tuple[StoredClosure, ...]:
    if len(one.days_off) > DAYS_OFF_MAX:
        raise TenantError(f"{at}: days_off: expected {DAYS_OFF_MAX} at most")
    return read_closures(f"{at}: days_off", one.days_off)


def _known(at: str, name: str, known: dict[str, str]) -> str:
    found = known.get(same_name_key(name))
    if found is None:
        have = ", ".join(known.values()) or "no services"
        raise TenantError(f"{at}: services: {name!r}: expected one of {have}")
    return found


def _price(at: str, price: str) -> str:
    text = price.strip()
    is_short = len(text) <= PRICE_CHARS_MAX and len(text.splitlines()) <= 1
    if not is_short or unwritable(text) is not None:
        raise TenantError(
            f"{at}: price={price!r}: expected a line of {PRICE_CHARS_MAX} characters "
            "at most, such as $80"
        )
    return text


def _colour(at: str, colour: str) -> str:
    text = colour.strip().lower()
    if text and not _COLOUR.fullmatch(text):
        raise TenantError(f"{at}: colour={colour!r}: expected a colour such as #336699")
    return text
