"""Businesses: which business answers on which number, and with what settings."""

from datetime import date, timedelta
from typing import Any
from uuid import UUID

import msgspec
import orjson
from msgspec.structs import astuple

from crm import phones
from crm.database import Database


class Service(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A service that callers can book."""

    name: str
    minutes: int
    buffer_minutes: int = 0
    # As callers are told it, with its currency.
    price: str = ""
    # As #336699.
    colour: str = ""


class Hours(msgspec.Struct, frozen=True):
    """Opening hours of a weekday (0 is Sunday), in minutes after midnight."""

    dow: int
    opens_minute: int
    closes_minute: int


class Closure(msgspec.Struct, frozen=True):
    """Days without hours, first and last included."""

    first_day: date
    last_day: date
    reason: str = ""


class Person(msgspec.Struct, frozen=True):
    """One of a business's people who can be booked.

    `number` is what appointments refer to, None until the person is stored. Without
    `hours` a person has the business's, without `services` they do all of them.
    """

    number: int | None
    name: str
    colour: str = ""
    hours: tuple[Hours, ...] = ()
    services: tuple[str, ...] = ()
    is_active: bool = True
    # Their reasons are for the business alone.
    days_off: tuple[Closure, ...] = ()


class Business(msgspec.Struct, frozen=True, kw_only=True):
    """A tenant with everything that a call needs to know about it."""

    id: UUID
    name: str
    language: str
    country: str
    time_zone: str
    greeting: str
    custom_prompt: str
    fallback_sentence: str
    required_fields: tuple[str, ...] = ()
    settings: dict[str, Any] = {}
    services: tuple[Service, ...] = ()
    hours: tuple[Hours, ...] = ()
    closures: tuple[Closure, ...] = ()
    numbers: tuple[str, ...] = ()
    staff: tuple[Person, ...] = ()


# What `update` may change; the names are the table's own.
COLUMNS = (
    "name",
    "language",
    "country",
    "time_zone",
    "greeting",
    "custom_prompt",
    "fallback_sentence",
    "required_fields",
)
# The rows of a business besides its own. A value of jsonb is read as text: within a row
# of a list the driver does not decode it.
_LISTS = {
    "settings": "select name, value::text from business_settings "
    "where business_id = $1",
    "services": "select name, minutes, buffer_minutes, price, colour from services "
    "where business_id = $1 order by position, name",
    "hours": "select dow, opens, closes from business_hours "
    "where business_id = $1 order by dow, opens",
    "closures": "select first_day, last_day, reason from business_closures "
    "where business_id = $1 order by first_day",
    "numbers": "select e164 from business_numbers where business_id = $1 order by e164",
    "staff": "select r.number, r.name, r.colour, r.is_active, array("
    "select s.name from resource_services d join services s "
    "on s.business_id = d.business_id and s.id = d.service_id "
    "where d.business_id = r.business_id and d.number = r.number "
    "order by s.position, s.name) as services "
    "from resources r where r.business_id = $1 order by r.position, r.name",
    "staff_hours": "select number, dow, opens, closes from resource_hours "
    "where business_id = $1 order by number, dow, opens",
    "days_off": "select number, first_day, last_day, reason from resource_days_off "
    "where business_id = $1 order by number, first_day",
}
# All of a business at once: a page and a call begin with it, and each answer of the
# database is waited for.
_READ = (
    f"select id, {', '.join(COLUMNS)}, "
    + ", ".join(f"array(select x from ({q}) x) as {name}" for name, q in _LISTS.items())
    + " from businesses where id = $1"
)


async def find_by_number(db: Database, address: str) -> Business | None:
    """Return the business that a dialled number belongs to, in any form of a `To`."""
    number = phones.dialled(address)
    async with db.routing() as connection:
        business_id = await connection.fetchval(
            "select business_id from business_numbers where e164 = $1", number
        )
    return None if business_id is None else await get(db, business_id)


async def numbers(db: Database) -> list[tuple[str, UUID]]:
    """Return every dialled number and the business that it belongs to."""
    async with db.routing() as connection:
        rows = await connection.fetch("select e164, business_id from business_numbers")
    return [(row["e164"], row["business_id"]) for row in rows]


async def get(db: Database, business_id: UUID) -> Business | None:
    """Return one business, or None if no business has this id."""
    async with db.tenant(business_id) as connection:
        return await read(connection, business_id)


async def read(connection: Any, business_id: UUID) -> Business | None:
    """Return one business, in a transaction."""
    row = await connection.fetchrow(_READ, business_id)
    if row is None:
        return None
    # The rows of a list have no names, but the order of _LISTS.
    return Business(
        id=row["id"],
        **{name: row[name] for name in COLUMNS if name != "required_fields"},
        required_fields=tuple(row["required_fields"]),
        settings={name: orjson.loads(value) for name, value in row["settings"]},
        services=tuple(Service(*entry) for entry in row["services"]),
        hours=tuple(_hours(*entry) for entry in row["hours"]),
        closures=tuple(Closure(*entry) for entry in row["closures"]),
        numbers=tuple(number for (number,) in row["numbers"]),
        staff=tuple(
            Person(
                number,
                name,
                colour,
                tuple(_hours(*own) for of, *own in row["staff_hours"] if of == number),
                tuple(services),
                is_active,
                tuple(Closure(*off) for of, *off in row["days_off"] if of == number),
            )
            for number, name, colour, is_active, services in row["staff"]
        ),
    )


def _hours(dow: int, opens: timedelta, closes: timedelta) -> Hours:
    return Hours(dow, _minutes(opens), _minutes(closes))


async def create(db: Database, name: str, **columns: Any) -> UUID:
    """Create a business; `columns` are those of COLUMNS."""
    names = ["name", *columns]
    _check_columns(columns)
    places = ", ".join(f"${at}" for at in range(1, len(names) + 1))
    async with db.owner() as connection:
        business_id: UUID = await connection.fetchval(
            f"insert into businesses ({', '.join(names)}) values ({places}) "
            "returning id",
            name,
            *columns.values(),
        )
    return business_id


async def add_number(db: Database, business_id: UUID, e164: str) -> None:
    """Assign a number to a business; a number belongs to one business only."""
    async with db.owner() as connection:
        await connection.execute(
            "insert into business_numbers (e164, business_id) values ($1, $2)",
            e164,
            business_id,
        )


async def list_all(db: Database) -> list[tuple[UUID, str]]:
    """Return every business's id and name."""
    async with db.owner() as connection:
        rows = await connection.fetch("select id, name from businesses order by name")
    return [(row["id"], row["name"]) for row in rows]


async def time_zones(db: Database) -> dict[UUID, str]:
    """Return every business's time zone by its id."""
    async with db.owner() as connection:
        rows = await connection.fetch("select id, time_zone from businesses")
    return {row["id"]: row["time_zone"] for row in rows}


async def update(db: Database, business_id: UUID, **columns: Any) -> None:
    """Change columns of a business."""
    _check_columns(columns)
    if not columns:
        return
    sets = ", ".join(f"{name} = ${at}" for at, name in enumerate(columns, start=2))
    async with db.tenant(business_id) as connection:
        await connection.execute(
            f"update businesses set {sets} where id = $1",
            business_id,
            *columns.values(),
        )


async def set_setting(db: Database, business_id: UUID, name: str, value: Any) -> None:
    """Override a setting for this business; None restores the default."""
    async with db.tenant(business_id) as connection:
        if value is None:
            await connection.execute(
                "delete from business_settings where business_id = $1 and name = $2",
                business_id,
                name,
            )
            return
        await connection.execute(
            "insert into business_settings (business_id, name, value) "
            "values ($1, $2, $3) on conflict (business_id, name) "
            "do update set value = excluded.value",
            business_id,
            name,
            value,
        )


async def set_hours(
    db: Database, business_id: UUID, dow: int, spans: list[tuple[int, int]]
) -> None:
    """Replace a weekday's hours; `spans` are in minutes after midnight."""
    async with db.tenant(business_id) as connection:
        await connection.execute(
            "delete from business_hours where business_id = $1 and dow = $2",
            business_id,
            dow,
        )
        await connection.executemany(
            "insert into business_hours (business_id, dow, opens, closes) "
            "values ($1, $2, $3, $4)",
            [
                (business_id, dow, timedelta(minutes=a), timedelta(minutes=b))
                for a, b in spans
            ],
        )


async def add_service(db: Database, business_id: UUID, service: Service) -> None:
    """Add a service, or change the service of this name."""
    async with db.tenant(business_id) as connection:
        await connection.execute(
            "insert into services (business_id, name, minutes, buffer_minutes, price, "
            "colour) values ($1, $2, $3, $4, $5, $6) "
            "on conflict (business_id, name) do update set minutes = excluded.minutes, "
            "buffer_minutes = excluded.buffer_minutes, price = excluded.price, "
            "colour = excluded.colour",
            business_id,
            *astuple(service),
        )


def _check_columns(columns: dict[str, Any]) -> None:
    for name in columns:
        if name not in COLUMNS:
            raise ValueError(f"{name}: expected one of {', '.join(COLUMNS)}")


def _minutes(span: timedelta) -> int:
    return int(span.total_seconds() // 60)
