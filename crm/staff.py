"""The people of a business as rows; each function runs inside a transaction."""

from datetime import timedelta
from typing import Any

from crm.businesses import Business, Person
from crm.names import same_name_key


class StillBooked(ValueError):
    """A person cannot be removed: appointments with them are to come."""

    def __init__(self, name: str, count: int) -> None:
        super().__init__(
            f"{name!r} has {count} appointments to come: move or cancel them, or keep "
            "the person with active = false"
        )


async def save(connection: Any, business: Business) -> None:
    """Write all people of a business; raises StillBooked.

    A person without a number is the stored one of that name, or new. A number is never
    given to a second person while appointments name it.
    """
    rows = await connection.fetch(
        "select number, name from resources where business_id = $1", business.id
    )
    stored = {row["number"]: row["name"] for row in rows}
    numbers = await _numbers(connection, business, stored)
    await _check_gone(connection, business, stored, numbers)
    await connection.execute(
        "delete from resources where business_id = $1 and number <> all ($2)",
        business.id,
        numbers,
    )
    await connection.executemany(
        "insert into resources (business_id, number, name, colour, position, is_active)"
        " values ($1, $2, $3, $4, $5, $6) on conflict (business_id, number) do update "
        "set name = excluded.name, colour = excluded.colour, "
        "position = excluded.position, is_active = excluded.is_active",
        [
            (business.id, number, one.name, one.colour, at, one.is_active)
            for at, (number, one) in enumerate(
                zip(numbers, business.staff, strict=True)
            )
        ],
    )
    await _save_hours(connection, business, numbers)
    await _save_services(connection, business, numbers)
    await _save_days_off(connection, business, numbers)


async def _numbers(
    connection: Any, business: Business, stored: dict[int, str]
) -> list[int]:
    """Return the number of each person, new ones included."""
    by_name = {same_name_key(name): number for number, name in stored.items()}
    known = [_known(one, by_name) for one in business.staff]
    booked: int = await connection.fetchval(
        "select coalesce(max(resource), 0) from appointments where business_id = $1",
        business.id,
    )
    last = max([booked, *stored, *(one for one in known if one is not None)])
    if not stored:
        last = -1 if not booked else last
    numbers: list[int] = []
    for number in known:
        if number is None:
            # What was booked before there were people is the first person's.
            is_first = not stored and not numbers
            number = 0 if is_first else last + 1
            last = max(last, number)
        numbers.append(number)
    return numbers


def _known(person: Person, by_name: dict[str, int]) -> int | None:
    if person.number is not None:
        return person.number
    return by_name.get(same_name_key(person.name))


async def _check_gone(
    connection: Any, business: Business, stored: dict[int, str], numbers: list[int]
) -> None:
    """Raise StillBooked where nobody would be left to keep an appointment.

    Without any people, the business as a whole keeps what the first person had.
    """
    gone = [one for one in stored if one not in numbers and (numbers or one != 0)]
    row = await connection.fetchrow(
        "select resource, count(*) from appointments where business_id = $1 "
        "and resource = any ($2) and status = 'booked' and ends_at > now() "
        "group by resource order by resource limit 1",
        business.id,
        gone,
    )
    if row is not None:
        raise StillBooked(stored[row["resource"]], row["count"])


async def _save_hours(connection: Any, business: Business, numbers: list[int]) -> None:
    await connection.execute(
        "delete from resource_hours where business_id = $1", business.id
    )
    await connection.executemany(
        "insert into resource_hours (business_id, number, dow, opens, closes) "
        "values ($1, $2, $3, $4, $5)",
        [
            (
                business.id,
                number,
                hours.dow,
                timedelta(minutes=hours.opens_minute),
                timedelta(minutes=hours.closes_minute),
            )
            for number, one in zip(numbers, business.staff, strict=True)
            for hours in one.hours
        ],
    )


async def _save_services(
    connection: Any, business: Business, numbers: list[int]
) -> None:
    await connection.execute(
        "delete from resource_services where business_id = $1", business.id
    )
    await connection.executemany(
        "insert into resource_services (business_id, number, service_id) "
        "select $1, $2, id from services where business_id = $1 and name = $3",
        [
            (business.id, number, name)
            for number, one in zip(numbers, business.staff, strict=True)
            for name in one.services
        ],
    )


async def _save_days_off(
    connection: Any, business: Business, numbers: list[int]
) -> None:
    await connection.execute(
        "delete from resource_days_off where business_id = $1", business.id
    )
    await connection.executemany(
        "insert into resource_days_off "
        "(business_id, number, first_day, last_day, reason) "
        "values ($1, $2, $3, $4, $5)",
        [
            (business.id, number, off.first_day, off.last_day, off.reason)
            for number, one in zip(numbers, business.staff, strict=True)
            for off in one.days_off
        ],
    )
