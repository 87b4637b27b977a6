"""`kolbridge tenant`: manages businesses without SQL.

Every verb that changes a business reads it, changes its file, checks the whole file and
saves it in one transaction, so that nothing invalid is ever stored.
"""

import argparse
import shlex
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID, uuid4

import msgspec
from msgspec.structs import replace

from bridge.agent.prompt import build
from bridge.business import tenant_file
from bridge.business.bookable import Closure
from bridge.business.opening_hours import DAYS, TenantError, days_of, is_closed
from bridge.business.tenant_file import TenantFile
from bridge.cli import tenant_delete
from bridge.cli.database import find_business, run_with_database
from bridge.settings.message_options import BOTH
from bridge.settings.options import CallOptions, nearest
from bridge.settings.process import Settings
from bridge.telemetry.masking import one_line
from crm import businesses
from crm.businesses import Business, Service
from crm.connect import Schema
from crm.database import Database
from crm.names import same_name_key
from crm.saving import NumberTaken, save
from crm.staff import StillBooked

Arguments = argparse.Namespace
# What `set` may change beside the settings of calls; a prompt is best read from a file.
_WORDS = (
    "name",
    "language",
    "country",
    "time_zone",
    "greeting",
    "fallback_sentence",
    "prompt",
)
# The first of them may find an empty database.
_MAKES = ("create", "import")


def run(args: Arguments) -> int:
    """Carry out one verb; return 0, or print one line that says what is wrong."""
    schema = Schema.MAKE if args.verb in _MAKES else Schema.KEEP
    return run_with_database("tenant", partial(VERBS[args.verb].run, args), schema)


async def _create(args: Arguments, db: Database, settings: Settings) -> None:
    file = TenantFile(
        name=args.name,
        language=args.language,
        country=args.country,
        time_zone=args.time_zone,
        numbers=tuple(args.number),
        greeting=args.greeting,
        fallback_sentence=args.fallback,
        required_fields=tuple(args.required),
        prompt=_read(args.prompt).decode() if args.prompt else "",
    )
    business_id = uuid4()
    await _save(db, file, business_id, settings.call)
    print(business_id)


async def _list(args: Arguments, db: Database, settings: Settings) -> None:
    for business_id, name in await businesses.list_all(db):
        if args.json:
            business = await _get(db, business_id)
            print(msgspec.json.encode(business).decode())
        else:
            print(one_line(f"{business_id}  {name}"))


async def _show(args: Arguments, db: Database, settings: Settings) -> None:
    business = await _get(db, await find_business(db, args.business))
    prompt = build(business, None, datetime.now(UTC)).instructions
    if args.json:
        shown = {**msgspec.to_builtins(business), "instructions": prompt}
        print(msgspec.json.format(msgspec.json.encode(shown), indent=2).decode())
        return
    file = tenant_file.from_business(business)
    print(f"# {business.id}")
    print(tenant_file.write(file, is_json=False))
    print("# What the model would be told if an unknown caller rang now:\n")
    print(prompt)


async def _set(args: Arguments, db: Database, settings: Settings) -> None:
    def change(file: TenantFile) -> TenantFile:
        own = {name.lower(): value for name, value in file.settings.items()}
        words: dict[str, Any] = {}
        for pair in args.values:
            name, equals, value = pair.partition("=")
            if not equals:
                raise TenantError(f"expected NAME=VALUE, got {pair!r}")
            if name in _WORDS:
                words[name] = value
            elif name == "required_fields":
                words[name] = tuple(value.replace(",", " ").split())
            elif name.lower() not in BOTH:
                known = (*_WORDS, "required_fields", *BOTH)
                meant = nearest(name.lower(), known)
                raise TenantError(f"{name}: there is no such field or setting{meant}")
            elif value:
                own[name.lower()] = value
            else:
                own.pop(name.lower(), None)
        return replace(file, settings=own, **words)

    await _edit(args, db, settings, change)


async def _numbers(args: Arguments, db: Database, settings: Settings) -> None:
    def change(file: TenantFile) -> TenantFile:
        _check_known("numbers", args.remove, file.numbers)
        kept = [one for one in file.numbers if one not in args.remove]
        return replace(file, numbers=(*kept, *args.add))

    for number in (await _edit(args, db, settings, change)).numbers:
        print(number)


async def _hours(args: Arguments, db: Database, settings: Settings) -> None:
    def change(file: TenantFile) -> TenantFile:
        if args.day is None:
            return file
        if not args.spans:
            raise TenantError("expected hours such as 09:00-17:30, or closed")
        hours = dict(file.hours)
        for day in days_of(args.day):
            hours[day] = () if is_closed(args.spans) else tuple(args.spans)
        return replace(file, hours={day: hours[day] for day in DAYS if hours.get(day)})

    file = await _edit(args, db, settings, change)
    for day in DAYS:
        print(f"{day:10} {' '.join(file.hours.get(day, ())) or 'closed'}")


async def _closures(args: Arguments, db: Database, settings: Settings) -> None:
    def change(file: TenantFile) -> TenantFile:
        known = {str(one.day) for one in file.closures}
        _check_known("closures", args.remove, known)
        kept = [one for one in file.closures if str(one.day) not in args.remove]
        added = [_closure(text, args.reason) for text in args.add]
        return replace(file, closures=(*kept, *added))

    for one in (await _edit(args, db, settings, change)).closures:
        print(f"{one.day} {one.until or one.day} {one.reason}".rstrip())


async def _services(args: Arguments, db: Database, settings: Settings) -> None:
    def change(file: TenantFile) -> TenantFile:
        if args.name is None:
            return file
        exact = [one for one in file.services if one.name == args.name]
        wanted = same_name_key(args.name)
        alike = [one for one in file.services if same_name_key(one.name) == wanted]
        gone = exact if args.remove and exact else alike
        kept = [one for one in file.services if one not in gone]
        if args.remove:
            if not gone:
                raise TenantError(f"services: {args.name!r} does not stand there")
            return replace(file, services=tuple(kept))
        if args.minutes is None:
            raise TenantError(f"{args.name!r}: expected how many minutes it takes")
        old = gone[0] if gone else Service(args.name, args.minutes)
        price = old.price if args.price is None else args.price
        service = Service(args.name, args.minutes, args.buffer, price, old.colour)
        at = file.services.index(gone[0]) if gone else len(kept)
        return replace(file, services=(*kept[:at], service, *kept[at:]))

    for one in (await _edit(args, db, settings, change)).services:
        price = f"  {one.price}" if one.price else ""
        print(f"{one.minutes:4} min + {one.buffer_minutes} min  {one.name}{price}")


async def _prompt(args: Arguments, db: Database, settings: Settings) -> None:
    text = _read(args.file).decode()
    await _edit(args, db, settings, lambda file: replace(file, prompt=text))


async def _import(args: Arguments, db: Database, settings: Settings) -> None:
    data = _read(args.file)
    file = tenant_file.read(data, is_json=args.file.suffix == ".json")
    wanted = same_name_key(file.name)
    found = [
        one
        for one, name in await businesses.list_all(db)
        if same_name_key(name) == wanted
    ]
    if len(found) > 1:
        raise TenantError(f"name={file.name!r}: more than one business has this name")
    if not found:
        await _check_not_renamed(db, file)
    business_id = found[0] if found else uuid4()
    await _save(db, file, business_id, settings.call)
    print(f"{business_id}  {file.name}: {'changed' if found else 'created'}")


async def _check_not_renamed(db: Database, file: TenantFile) -> None:
    """Refuse a file that renames a business, which would create a second one."""
    for number in file.numbers:
        owner = await businesses.find_by_number(db, number)
        if owner is not None:
            rename = shlex.join(
                ("kolbridge", "tenant", "set", owner.name, f"name={file.name}")
            )
            raise TenantError(
                f"numbers: {number} belongs to {owner.name!r}, and no business is "
                f"called {file.name!r}; to rename the one: {rename}"
            )


async def _export(args: Arguments, db: Database, settings: Settings) -> None:
    file = tenant_file.from_business(
        await _get(db, await find_business(db, args.business))
    )
    if args.file is None:
        sys.stdout.write(tenant_file.write(file, is_json=args.json))
        return
    is_json = args.json or args.file.suffix == ".json"
    try:
        args.file.write_text(tenant_file.write(file, is_json=is_json), "utf-8")
    except OSError as error:
        raise TenantError(f"{args.file}: {error.strerror}") from None


async def _edit(
    args: Arguments,
    db: Database,
    settings: Settings,
    change: Callable[[TenantFile], TenantFile],
) -> TenantFile:
    """Change a business's file and save it; return the new state."""
    business_id = await find_business(db, args.business)
    file = tenant_file.from_business(await _get(db, business_id))
    changed = change(file)
    if changed != file:
        await _save(db, changed, business_id, settings.call)
    return changed


async def _save(
    db: Database, file: TenantFile, business_id: UUID, defaults: CallOptions
) -> None:
    business = tenant_file.to_business(file, business_id, defaults)
    stored = await businesses.get(db, business_id)
    tenant_file.check_numbers(business.numbers, stored.numbers if stored else ())
    wanted = same_name_key(file.name)
    for other, name in await businesses.list_all(db):
        if same_name_key(name) == wanted and other != business_id:
            raise TenantError(f"name={file.name!r}: there is a business of this name")
    try:
        await save(db, business)
    except NumberTaken as error:
        raise TenantError(f"numbers: {error}") from None
    except StillBooked as error:
        raise TenantError(f"staff: {error}") from None


async def _get(db: Database, business_id: UUID) -> Business:
    business = await businesses.get(db, business_id)
    if business is None:
        raise TenantError(f"{business_id}: it was deleted meanwhile")
    return business


def _closure(text: str, reason: str) -> Closure:
    day, _, until = text.partition("..")
    try:
        return Closure(
            date.fromisoformat(day),
            date.fromisoformat(until) if until else None,
            reason,
        )
    except ValueError:
        raise TenantError(
            f"{text!r}: expected a day such as 2026-12-25, or 2026-12-24..2026-12-26"
        ) from None


def _check_known(field: str, wanted: list[str], known: Any) -> None:
    for one in wanted:
        if one not in known:
            raise TenantError(f"{field}: {one!r} does not stand there")


def _read(path: Path) -> bytes:
    try:
        data = path.read_bytes()
        data.decode()
    except OSError as error:
        raise TenantError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise TenantError(f"{path}: expected UTF-8: {error}") from None
    return data


class Verb(NamedTuple):
    """One thing to do with businesses."""

    help: str
    examples: str
    run: Callable[[Arguments, Database, Settings], Awaitable[None]]


VERBS = {
    "create": Verb(
        "create a business",
        """\
  kolbridge tenant create "Dana's Salon" --number +12025550123 \\
      --time-zone America/New_York --greeting "Hello, Dana's Salon." --required name""",
        _create,
    ),
    "list": Verb("list businesses", "  kolbridge tenant list --json", _list),
    "show": Verb(
        "show a business, and the prompt that the model gets",
        """  kolbridge tenant show "Dana's Salon\"""",
        _show,
    ),
    "set": Verb(
        "change fields or call settings; an empty value resets a setting",
        """\
  kolbridge tenant set "Dana's Salon" OPENAI_VOICE=cedar SNR_START_NORMAL=9
  kolbridge tenant set "Dana's Salon" greeting="Good morning." OPENAI_VOICE=
  kolbridge tenant set "Dana's Salon" required_fields=name,email""",
        _set,
    ),
    "numbers": Verb(
        "list, add or remove phone numbers",
        """\
  kolbridge tenant numbers "Dana's Salon"
  kolbridge tenant numbers "Dana's Salon" --add +12025550123 --remove +12025550124""",
        _numbers,
    ),
    "hours": Verb(
        "list opening hours, or set them for one or more days",
        """\
  kolbridge tenant hours "Dana's Salon" mon-fri 09:00-18:00
  kolbridge tenant hours "Dana's Salon" sunday 09:00-13:00 14:00-18:30
  kolbridge tenant hours "Dana's Salon" saturday closed""",
        _hours,
    ),
    "closures": Verb(
        "list, add or remove closed days",
        """\
  kolbridge tenant closures "Dana's Salon" --add 2026-12-24..2026-12-26 --reason Feast
  kolbridge tenant closures "Dana's Salon" --remove 2026-12-24""",
        _closures,
    ),
    "services": Verb(
        "list services, or add, change or remove one",
        """\
  kolbridge tenant services "Dana's Salon" Haircut 45 --buffer 5 --price '$80'
  kolbridge tenant services "Dana's Salon" Haircut --remove""",
        _services,
    ),
    "prompt": Verb(
        "read the business's instructions from a file",
        """  kolbridge tenant prompt "Dana's Salon" prompt.txt""",
        _prompt,
    ),
    "import": Verb(
        "create or replace the business of this name from a TOML or JSON file",
        "  kolbridge tenant import salon.toml",
        _import,
    ),
    "delete": Verb(
        "delete a business with its leads, appointments and calls, after confirmation",
        """\
  kolbridge tenant delete "Dana's Salon"
  kolbridge tenant delete "Dana's Salon" --yes    without confirmation, for scripts""",
        tenant_delete.run,
    ),
    "export": Verb(
        "write a business to a TOML or JSON file",
        """\
  kolbridge tenant export "Dana's Salon" salon.toml
  kolbridge tenant export "Dana's Salon" --json""",
        _export,
    ),
}
