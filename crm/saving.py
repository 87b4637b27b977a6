"""Writes a whole business: created or changed in one transaction, or not at all.

`save` writes as the owner's role, because only that role may make businesses and assign
numbers. The tenant is set all the same, so that even here no row of another business
can be touched. `change` writes as the service's role, which leaves numbers as they are.
"""

import asyncio
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

from msgspec.structs import astuple

from crm import staff, versions
from crm.authors import COMMAND_LINE, By
from crm.businesses import COLUMNS, Business, read
from crm.database import Database
from crm.names import same_name_key


class NumberTaken(ValueError):
    """A number belongs to another business; the text names the number and its owner."""

    def __init__(self, number: str, owner: str) -> None:
        super().__init__(f"{number} belongs to {owner!r}")


class Deleted(ValueError):
    """The business was deleted meanwhile."""

    def __init__(self) -> None:
        super().__init__("the business was deleted meanwhile")


async def save(db: Database, business: Business, by: By = COMMAND_LINE) -> None:
    """Write all of a business, which is created if its id is new.

    Rows that the business no longer has are deleted. A service keeps its appointments
    as long as it keeps its name, however the name is typed. Raises NumberTaken, and
    staff.StillBooked.
    """
    async with db.owner() as connection:
        await connection.fetchval(
            "select set_config('app.business_id', $1, true)", str(business.id)
        )
        before = await _locked(connection, business.id)
        if before is None:
            await connection.execute(
                "insert into businesses (id, name) values ($1, $2)",
                business.id,
                business.name,
            )
        await _save_numbers(connection, business)
        await _save_rest(connection, business)
        await versions.add(connection, before, business, by)


async def change(
    db: Database,
    business_id: UUID,
    edit: Callable[[Business], Business],
    by: By,
    *,
    note: str = "",
    renamed: Mapping[str, str] | None = None,
) -> Business:
    """Change all of a business but its numbers; return it as it is now.

    `edit` gets the business as it is, locked, and may raise: nothing is changed then.
    It runs in a thread: the check of a long prompt takes tens of ms, and the event loop
    carries calls.
    `renamed` gives services new names, with which they keep their appointments. Raises
    Deleted, and staff.StillBooked.
    """
    async with db.tenant(business_id) as connection:
        before = await _locked(connection, business_id)
        if before is None:
            raise Deleted
        business = await asyncio.to_thread(edit, before)
        assert business.id == business_id, "an edit keeps the id"
        for old, new in (renamed or {}).items():
            await _rename_service(connection, business_id, old, new)
        await _save_rest(connection, business)
        await versions.add(connection, before, business, by, note)
        after = await read(connection, business_id)
    assert after is not None, "it was locked"
    return after


async def _locked(connection: Any, business_id: UUID) -> Business | None:
    """Return a business that nobody else changes until the transaction ends."""
    await connection.execute(
        "select from businesses where id = $1 for update", business_id
    )
    return await read(connection, business_id)


async def _save_rest(connection: Any, business: Business) -> None:
    values = [getattr(business, name) for name in COLUMNS]
    sets = ", ".join(f"{name} = ${at}" for at, name in enumerate(COLUMNS, start=2))
    await connection.execute(
        f"update businesses set {sets} where id = $1",
        business.id,
        *(list(one) if isinstance(one, tuple) else one for one in values),
    )
    await _save_services(connection, business)
    await staff.save(connection, business)
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
        "insert into services (business_id, name, minutes, buffer_minutes, price, "
        "colour, position) values ($1, $2, $3, $4, $5, $6, $7) "
        "on conflict (business_id, name) do update set minutes = excluded.minutes, "
        "buffer_minutes = excluded.buffer_minutes, price = excluded.price, "
        "colour = excluded.colour, position = excluded.position",
        [(business.id, *astuple(one), at) for at, one in enumerate(business.services)],
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
            await _rename_service(connection, business.id, old, new)


async def _rename_service(
    connection: Any, business_id: UUID, old: str, new: str
) -> None:
    await connection.execute(
        "update services set name = $3 where business_id = $1 and name = $2",
        business_id,
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
