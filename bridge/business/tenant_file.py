"""A business as one file in TOML or JSON: its fields, and the checks of them.

Every change of a business, from the command line or from a file, becomes such a file
first and is checked as a whole; an error begins with the field's name.
"""

import re
from datetime import date
from typing import Any
from uuid import UUID
from zoneinfo import available_timezones

import msgspec
import tomli_w

from bridge.agent.prompt import standing_text
from bridge.agent.prompt_length import CALLER_TOKENS, TOKENS_MAX, token_bound
from bridge.agent.spoken import language_name
from bridge.business.bookable import (
    Closure,
    Staff,
    check_text,
    read_closures,
    read_name,
    read_services,
    read_staff,
    show_closures,
    show_person,
)
from bridge.business.opening_hours import TenantError, read_hours, show_hours
from bridge.settings.message_options import MessageOptions, apart
from bridge.settings.options import CallOptions, OptionError, Options, merge
from crm import phones
from crm.businesses import Business, Service

_FIELD = re.compile(r"[a-z][a-z0-9_]{0,62}")


class TenantFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All of a business but its id; hours are spans such as 09:00-17:30, of a day or
    of days such as mon-fri."""

    name: str
    language: str = "en"
    country: str = "US"
    time_zone: str = "UTC"
    numbers: tuple[str, ...] = ()
    greeting: str = ""
    fallback_sentence: str = ""
    required_fields: tuple[str, ...] = ()
    prompt: str = ""
    settings: dict[str, Any] = {}
    hours: dict[str, tuple[str, ...]] = {}
    closures: tuple[Closure, ...] = ()
    services: tuple[Service, ...] = ()
    staff: tuple[Staff, ...] = ()


def read(data: bytes, *, is_json: bool) -> TenantFile:
    """Read a file; raises TenantError naming what is wrong."""
    try:
        if is_json:
            return msgspec.json.decode(data, type=TenantFile)
        return msgspec.toml.decode(data, type=TenantFile)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        what, _, where = str(error).partition(" - at `$.")
        named = f"{where.rstrip('`')}: " if where else ""
        raise TenantError(f"{named}{what[:1].lower()}{what[1:]}") from None


def write(file: TenantFile, *, is_json: bool) -> str:
    """Return a file's text; empty fields are left out."""
    # TOML has a date type.
    kept = () if is_json else (date,)
    fields = msgspec.to_builtins(file, builtin_types=kept)
    plain = {name: value for name, value in fields.items() if value}
    plain["closures"] = list(map(_without_empty, plain.pop("closures", [])))
    plain["services"] = [
        {name: value for name, value in one.items() if value != ""}
        for one in plain.pop("services", [])
    ]
    # The lists of tables stand last in a TOML file.
    if "staff" in plain:
        plain["staff"] = plain.pop("staff")
        for person in plain["staff"]:
            if "days_off" in person:
                off = list(map(_without_empty, person.pop("days_off")))
                person["days_off"] = off
    if is_json:
        return msgspec.json.format(msgspec.json.encode(plain), indent=2).decode() + "\n"
    return tomli_w.dumps(plain, multiline_strings=True)


def _without_empty(table: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in table.items() if value}


def from_business(business: Business) -> TenantFile:
    """Return the file of a business."""
    return TenantFile(
        name=business.name,
        language=business.language,
        country=business.country,
        time_zone=business.time_zone,
        numbers=business.numbers,
        greeting=business.greeting,
        fallback_sentence=business.fallback_sentence,
        required_fields=business.required_fields,
        prompt=business.custom_prompt,
        settings=business.settings,
        hours=show_hours(business.hours),
        closures=show_closures(business.closures),
        services=business.services,
        staff=tuple(map(show_person, business.staff)),
    )


def to_business(file: TenantFile, business_id: UUID, defaults: CallOptions) -> Business:
    """Return the business of a file; raises TenantError naming the field."""
    _check_words(file)
    for name in file.required_fields:
        if not _FIELD.fullmatch(name):
            raise TenantError(
                f"required_fields: {name!r}: expected a word such as first_name"
            )
    services = read_services(file.services)
    business = Business(
        id=business_id,
        name=read_name("name=", file.name),
        language=file.language,
        country=file.country,
        time_zone=file.time_zone,
        greeting=file.greeting,
        custom_prompt=file.prompt,
        fallback_sentence=file.fallback_sentence,
        required_fields=_unique("required_fields", file.required_fields),
        settings=_settings(file.settings, defaults),
        services=services,
        hours=read_hours(file.hours),
        closures=read_closures("closures", file.closures),
        numbers=_unique("numbers", tuple(map(_number, file.numbers))),
        staff=read_staff(file.staff, services),
    )
    _check_length(business)
    return business


def _check_length(business: Business) -> None:
    """Refuse what the model would refuse, call by call."""
    tokens = token_bound(standing_text(business))
    if tokens > TOKENS_MAX - CALLER_TOKENS:
        raise TenantError(
            f"prompt: with the rules, services and hours it may be {tokens} tokens "
            f"long: expected {TOKENS_MAX - CALLER_TOKENS} at most, for the model takes "
            f"{TOKENS_MAX} and {CALLER_TOKENS} are for what is known of the caller"
        )


def _check_words(file: TenantFile) -> None:
    if len(file.language) != 2 or language_name(file.language) is None:
        raise TenantError(
            f"language={file.language!r}: expected the two letters of a language such "
            "as en or he"
        )
    if file.country not in phones.COUNTRIES:
        raise TenantError(
            f"country={file.country!r}: expected a country such as US or IL"
        )
    if file.time_zone not in available_timezones():
        raise TenantError(
            f"time_zone={file.time_zone!r}: expected a zone such as Asia/Jerusalem"
        )
    for name in ("greeting", "fallback_sentence", "prompt"):
        check_text(name, getattr(file, name))


def _settings(given: dict[str, Any], defaults: CallOptions) -> dict[str, Any]:
    """Check settings against each other and the process's; keep the typed values."""
    of_calls, of_messages = apart(given)
    pairs: tuple[tuple[Options, dict[str, object]], ...] = (
        (defaults, of_calls),
        (MessageOptions(), of_messages),
    )
    typed: dict[str, Any] = {}
    wrong: list[str] = []
    for options, own in pairs:
        try:
            merged = merge(options, own)
        except OptionError as error:
            wrong += error.lines
        else:
            typed |= {name.lower(): getattr(merged, name.lower()) for name in own}
    if wrong:
        raise TenantError(f"settings: {'; '.join(wrong)}")
    return {name.lower(): typed[name.lower()] for name in given}


def _number(number: str) -> str:
    if not phones.is_e164(number):
        raise TenantError(
            f"numbers: {number!r}: expected an international number such as "
            f"{phones.EXAMPLE}"
        )
    return number


def check_numbers(numbers: tuple[str, ...], known: tuple[str, ...] = ()) -> None:
    """Refuse a number that no telephone can have; raises TenantError.

    One of `known`, which the business has already, stands as it is.
    """
    for number in numbers:
        try:
            if number not in known:
                phones.check(number, "numbers")
        except phones.PhoneError as error:
            raise TenantError(str(error).replace(": ", f": {number!r}: ", 1)) from None


def _unique(field: str, values: tuple[str, ...]) -> tuple[str, ...]:
    for value in values:
        if values.count(value) > 1:
            raise TenantError(f"{field}: {value!r} stands there twice")
    return values
