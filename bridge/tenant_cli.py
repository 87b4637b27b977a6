"""`kolbridge tenant`: businesses without SQL."""

import argparse
import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from bridge import options
from bridge.settings import SettingsError, load
from crm import businesses
from crm.connect import open_url
from crm.database import Database
from crm.leads import FieldError, check_phone

EXAMPLES = """examples:
  kolbridge tenant create "Dana's Salon" --number +15551230000 --language en \\
      --time-zone America/New_York --greeting "Hello, Dana's Salon." --required name
  kolbridge tenant list
  kolbridge tenant show "Dana's Salon"
  kolbridge tenant set "Dana's Salon" OPENAI_VOICE=cedar SNR_START_NORMAL=9
  kolbridge tenant set "Dana's Salon" greeting="Good morning." OPENAI_VOICE=
  kolbridge tenant hours "Dana's Salon" sunday 09:00-13:00 14:00-18:30
  kolbridge tenant service "Dana's Salon" "Haircut" 45 --buffer 5
"""
DAYS = (
    "sunday",
    "monday",
    "tuesday",
    "wednesday",
    "thursday",
    "friday",
    "saturday",
)


class TenantError(ValueError):
    """What was asked cannot be done; the text says why."""


def add_parser(subparsers: Any) -> None:
    """Add `tenant` and its verbs to the command line."""
    parser = subparsers.add_parser(
        "tenant",
        help="businesses: create, list, show, set, number, hours, service, prompt",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    create = verbs.add_parser("create", help="make a business")
    create.add_argument("name")
    create.add_argument("--number", action="append", default=[], metavar="E164")
    create.add_argument("--language", default="en", help="two letters (en)")
    create.add_argument("--country", default="US", help="two letters (US)")
    create.add_argument("--time-zone", default="UTC", help="as in Asia/Jerusalem")
    create.add_argument("--greeting", default="")
    create.add_argument("--fallback", default="", help="said when the AI cannot be had")
    create.add_argument("--prompt", type=Path, help="a file with the instructions")
    create.add_argument("--required", action="append", default=[], metavar="FIELD")
    verbs.add_parser("list", help="list businesses")
    for verb, what in (
        ("show", "show all of a business"),
        ("set", "change NAME=VALUE: a column or a call's setting; empty resets it"),
        ("number", "give it a number"),
        ("hours", "set a weekday's hours; none: closed"),
        ("service", "add or change a service"),
        ("prompt", "take its instructions from a file"),
    ):
        sub = verbs.add_parser(verb, help=what)
        sub.add_argument("business", help="its name or id")
        if verb == "set":
            sub.add_argument("values", nargs="+", metavar="NAME=VALUE")
        elif verb == "number":
            sub.add_argument("number", metavar="E164")
        elif verb == "hours":
            sub.add_argument("day", choices=DAYS)
            sub.add_argument("spans", nargs="*", metavar="HH:MM-HH:MM")
        elif verb == "service":
            sub.add_argument("name")
            sub.add_argument("minutes", type=int)
            sub.add_argument("--buffer", type=int, default=0, metavar="MINUTES")
        elif verb == "prompt":
            sub.add_argument("file", type=Path)


def run(args: argparse.Namespace) -> int:
    """Carry out one verb; 0, or 2 with one line that says what was wrong."""
    server = None
    try:
        settings = load(os.environ, Path(".env"))
        url, server = open_url(settings.database_url, Path(settings.kolbridge_home))
        asyncio.run(_with_database(url, args))
    except (TenantError, SettingsError, FieldError, options.OptionError) as error:
        print(f"kolbridge tenant: {error}", file=sys.stderr)
        return 2
    finally:
        if server is not None:
            server.stop()
    return 0


async def _with_database(url: str, args: argparse.Namespace) -> None:
    db = await Database.open(url, pool_max=1)
    try:
        await _VERBS[args.verb](db, args)
    finally:
        await db.close()


async def _create(db: Database, args: argparse.Namespace) -> None:
    numbers = [check_phone(number) for number in args.number]
    columns = {
        "language": args.language,
        "country": args.country,
        "time_zone": args.time_zone,
    }
    for name, value in columns.items():
        _check_column(name, value)
    business_id = await businesses.create(
        db,
        args.name,
        **columns,
        greeting=args.greeting,
        fallback_sentence=args.fallback,
        custom_prompt=_read(args.prompt) if args.prompt else "",
        required_fields=args.required,
    )
    for number in numbers:
        await businesses.add_number(db, business_id, number)
    print(business_id)


async def _list(db: Database, args: argparse.Namespace) -> None:
    for business_id, name in await businesses.list_all(db):
        print(f"{business_id}  {name}")


async def _show(db: Database, args: argparse.Namespace) -> None:
    business = await businesses.get(db, await _find(db, args.business))
    text = msgspec.json.encode(business)
    print(msgspec.json.format(text, indent=2).decode())


async def _set(db: Database, args: argparse.Namespace) -> None:
    business_id = await _find(db, args.business)
    columns: dict[str, Any] = {}
    overrides: dict[str, Any] = {}
    for pair in args.values:
        name, equals, value = pair.partition("=")
        if not equals:
            raise TenantError(f"expected NAME=VALUE, got {pair!r}")
        if name in businesses.COLUMNS:
            _check_column(name, value)
            columns[name] = value.split() if name == "required_fields" else value
        else:
            overrides[name.lower()] = value
    default = options.CallOptions()
    merged = options.merge(
        default, {name: value for name, value in overrides.items() if value}
    )
    for name, value in overrides.items():
        if not hasattr(default, name):
            raise options.OptionError(f"{name.upper()}: there is no such setting")
        stored = getattr(merged, name) if value else None
        await businesses.set_setting(db, business_id, name, stored)
    await businesses.update(db, business_id, **columns)


async def _number(db: Database, args: argparse.Namespace) -> None:
    business_id = await _find(db, args.business)
    await businesses.add_number(db, business_id, check_phone(args.number))


async def _hours(db: Database, args: argparse.Namespace) -> None:
    spans = [_span(text) for text in args.spans]
    business_id = await _find(db, args.business)
    await businesses.set_hours(db, business_id, DAYS.index(args.day), spans)


async def _service(db: Database, args: argparse.Namespace) -> None:
    if not 5 <= args.minutes <= 1440:
        raise TenantError(f"minutes={args.minutes}: expected 5 to 1440")
    service = businesses.Service(args.name, args.minutes, args.buffer)
    await businesses.add_service(db, await _find(db, args.business), service)


async def _prompt(db: Database, args: argparse.Namespace) -> None:
    business_id = await _find(db, args.business)
    await businesses.update(db, business_id, custom_prompt=_read(args.file))


_VERBS: dict[str, Callable[[Database, argparse.Namespace], Awaitable[None]]] = {
    "create": _create,
    "list": _list,
    "show": _show,
    "set": _set,
    "number": _number,
    "hours": _hours,
    "service": _service,
    "prompt": _prompt,
}


async def _find(db: Database, wanted: str) -> UUID:
    found = [
        business_id
        for business_id, name in await businesses.list_all(db)
        if wanted in (name, str(business_id))
    ]
    if len(found) != 1:
        count = "no" if not found else "more than one"
        raise TenantError(f"{wanted!r}: {count} business has this name or id")
    return found[0]


def _check_column(name: str, value: str) -> None:
    if name == "time_zone":
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError):
            raise TenantError(
                f"time_zone={value!r}: expected a zone such as Asia/Jerusalem"
            ) from None
    if name == "language" and not (len(value) == 2 and value.islower()):
        raise TenantError(f"language={value!r}: expected two letters such as en or he")
    if name == "country" and not (len(value) == 2 and value.isupper()):
        raise TenantError(f"country={value!r}: expected two letters such as US or IL")
    if name == "name" and not value:
        raise TenantError("name='': expected a name")


def _span(text: str) -> tuple[int, int]:
    opens, _, closes = text.partition("-")
    try:
        begin, end = _minute(opens), _minute(closes)
    except ValueError:
        raise TenantError(f"{text!r}: expected hours such as 09:00-17:30") from None
    return begin, end if end > begin else end + 24 * 60


def _minute(text: str) -> int:
    hour, minute = (int(part) for part in text.split(":"))
    if not (0 <= hour <= 24 and 0 <= minute < 60 and hour * 60 + minute <= 1440):
        raise ValueError(text)
    return hour * 60 + minute


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise TenantError(f"{path}: {error.strerror}") from None
