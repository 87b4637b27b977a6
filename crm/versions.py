"""Versions of an assistant's settings: who changed what, and when.

A version holds all that decides how the assistant speaks. Every save of a business adds
one where that has changed. What was changed past the versions becomes a version of
nobody first, so that one can go back to it.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from msgspec.structs import asdict, replace

from crm.authors import NOBODY, By
from crm.businesses import Business
from crm.database import Database

_COLUMNS = "number, made_at, source, made_by, note, changed, contents"


class Assistant(msgspec.Struct, frozen=True, kw_only=True):
    """What decides how the assistant speaks; `settings` has voice and tuning."""

    language: str
    greeting: str
    fallback_sentence: str
    custom_prompt: str
    required_fields: tuple[str, ...]
    settings: dict[str, Any]


class Version(msgspec.Struct, frozen=True, kw_only=True):
    """One version; `changed` names the fields that differ from the one before."""

    number: int
    made_at: datetime
    by: By
    note: str
    changed: tuple[str, ...]
    contents: Assistant


def of(business: Business) -> Assistant:
    """Return a business's assistant as it is."""
    fields = {name: getattr(business, name) for name in Assistant.__struct_fields__}
    return Assistant(**fields)


def apply(business: Business, contents: Assistant) -> Business:
    """Return the business with this assistant; the rest stays as it is."""
    return replace(business, **asdict(contents))


def differences(old: Assistant, new: Assistant) -> tuple[str, ...]:
    """Return the names of what differs; a setting is `settings.NAME`."""
    found = [
        name
        for name in Assistant.__struct_fields__
        if name != "settings" and getattr(old, name) != getattr(new, name)
    ]
    settings = sorted({*old.settings, *new.settings})
    found += (
        f"settings.{name}"
        for name in settings
        if old.settings.get(name) != new.settings.get(name)
    )
    return tuple(found)


async def add(
    connection: Any, before: Business | None, after: Business, by: By, note: str = ""
) -> None:
    """Add a version in the transaction that changes the business, if one is due."""
    last = await _last(connection, after.id)
    kept = None if last is None else last.contents
    number = 0 if last is None else last.number
    if before is not None and of(before) != kept:
        number += 1
        await _insert(connection, before.id, number, kept, of(before), NOBODY, "")
        kept = of(before)
    if of(after) != kept:
        await _insert(connection, after.id, number + 1, kept, of(after), by, note)


async def listed(
    db: Database, business_id: UUID, *, before: int | None = None, limit: int = 30
) -> list[Version]:
    """Return versions, newest first; those older than `before`, if given."""
    async with db.tenant(business_id) as connection:
        rows = await connection.fetch(
            f"select {_COLUMNS} from assistant_versions where business_id = $1 "
            "and ($2::int is null or number < $2) order by number desc limit $3",
            business_id,
            before,
            limit,
        )
    return [_version(row) for row in rows]


async def get(db: Database, business_id: UUID, number: int) -> Version | None:
    """Return one version, or None if there is none of this number."""
    async with db.tenant(business_id) as connection:
        row = await connection.fetchrow(
            f"select {_COLUMNS} from assistant_versions "
            "where business_id = $1 and number = $2",
            business_id,
            number,
        )
    return None if row is None else _version(row)


async def _last(connection: Any, business_id: UUID) -> Version | None:
    row = await connection.fetchrow(
        f"select {_COLUMNS} from assistant_versions where business_id = $1 "
        "order by number desc limit 1",
        business_id,
    )
    return None if row is None else _version(row)


async def _insert(
    connection: Any,
    business_id: UUID,
    number: int,
    old: Assistant | None,
    new: Assistant,
    by: By,
    note: str,
) -> None:
    await connection.execute(
        f"insert into assistant_versions (business_id, {_COLUMNS}) "
        "values ($1, $2, clock_timestamp(), $3, $4, $5, $6, $7)",
        business_id,
        number,
        *by,
        note,
        [] if old is None else list(differences(old, new)),
        msgspec.to_builtins(new),
    )


def _version(row: Any) -> Version:
    return Version(
        number=row["number"],
        made_at=row["made_at"],
        by=By(row["source"], row["made_by"]),
        note=row["note"],
        changed=tuple(row["changed"]),
        contents=msgspec.convert(row["contents"], Assistant),
    )
