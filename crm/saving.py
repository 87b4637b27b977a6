"""Writes a whole business: created or changed in one transaction, or not at all.

The owner's role writes it, because only that role may assign numbers. The tenant is set
all the same, so that even here no row of another business can be touched.
"""

from datetime import timedelta
from typing import Any
from uuid import UUID

from crm.businesses import COLUMNS, Business
from crm.database import Database
from crm.names import same_name_key


class NumberTaken(ValueError):
    """A number belongs to another business; the text names the number and its owner."""

    def __init__(self, number: str, owner: str) -> None:
        super().__init__(f"{number} belongs to {owner!r}")


async def save(db: Database, business: Business) -> None:
    """Write all of a business, which is created if its id is new.

    Rows that the business no longer has are deleted. A service keeps its appointments
    as long as it keeps its name, however the name is typed. Raises NumberTaken.
    """
    async with db.owner() as connection:
        await connection.fetchval(
            "select set_config('app.business_id', $1, true)", str(business.id)
        )
        values = [getattr(business, name) for name in COLUMNS]
        places = ", ".join(f"${at}" for at in range(2, 2 + len(COLUMNS)))
        sets = ", ".join(f"{name} = excluded.{name}" for name in COLUMNS)
        await connection.execute(
            f"insert into businesses (id, {', '.join(COLUMNS)}) "
            f"values ($1, {places}) on conflict (id) do update set {sets}",
            business.id,
            *(list(one) if isinstance(one, tuple) else one for one in values),
        )
        await _save_numbers(connection, business)
        await _save_services(connection, business)
        for table, columns, rows in _lists(business):
            await _replace(connection, business.id, table, columns, rows)


async def _save_numbers(connection: Any, business: Business) -> None:
    numbers = list(business.numbers)
    await connection.execute(
        "delete from business_numbers where business_id = $1 and e164 <> all ($2)",
        business.id,
        numbers,
    )
    await connection.executemany(
        "insert into business_numbers (business_id, e164) values ($1, $2) "
        "on conflict (e164) do nothing",
        [(business.id, number) for number in numbers],
    )
    taken = await connection.fetchrow(
        "select e164, name from business_numbers join businesses on id = business_id "
        "where business_id <> $1 and e164 = any ($2) order by e164 limit 1",
        business.id,
        numbers,
    )
    if taken is not None:
        raise NumberTaken(*taken)


async def _save_services(connection: Any, business: Business) -> None:
    await _rename_services(connection, business)
    await connection.execute(
        "delete from services where business_id = $1 and name <> all ($2)",
        business.id,
        [one.name for one in business.services],
    )
    await connection.executemany(
        "insert into services (business_id, name, minutes, buffer_minutes) "
        "values ($1, $2, $3, $4) on conflict (business_id, name) do update set "
        "minutes = excluded.minutes, buffer_minutes = excluded.buffer_minutes",
        [
            (business.id, one.name, one.minutes, one.buffer_minutes)
            for one in business.services
        ],
    )


async def _rename_services(connection: Any, business: Business) -> None:
    """Keep a service the same one when only the typing of its name has changed."""
    rows = await connection.fetch(
        "select name from services where business_id = $1", business.id
    )
    stored = {row["name"] for row in rows}
    names = {same_name_key(one.name): one.name for one in business.services}
    for old in stored - set(names.values()):
        new = names.pop(same_name_key(old), None)
        if new is not None and new not in stored:
            await connection.execute(
                "update services set name = $3 where business_id = $1 and name = $2",
                business.id,
                old,
                new,
            )


Rows = list[tuple[Any, ...]]


def _lists(business: Business) -> list[tuple[str, str, Rows]]:
    """Return the rows that no other row refers to, so that they may be rewritten."""
    return [
        ("business_settings", "name, value", list(business.settings.items())),
        (
            "business_hours",
            "dow, opens, closes",
            [
                (
                    one.dow,
                    timedelta(minutes=one.opens_minute),
                    timedelta(minutes=one.closes_minute),
                )
                for one in business.hours
            ],
        ),
        (
            "business_closures",
            "first_day, last_day, reason",
            [(one.first_day, one.last_day, one.reason) for one in business.closures],
        ),
    ]


async def _replace(
    connection: Any, business_id: UUID, table: str, columns: str, rows: Rows
) -> None:
    await connection.execute(f"delete from {table} where business_id = $1", business_id)
    places = ", ".join(f"${at + 2}" for at in range(columns.count(",") + 1))
    await connection.executemany(
        f"insert into {table} (business_id, {columns}) values ($1, {places})",
        [(business_id, *row) for row in rows],
    )
