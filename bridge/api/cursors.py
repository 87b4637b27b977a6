"""Cursors: where a page ends, as an opaque word that the next request gives back."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar
from uuid import UUID

import msgspec

from bridge.api.problems import wrong_field

LIMIT_DEFAULT = 50

Item = TypeVar("Item")


class Page(msgspec.Struct, Generic[Item], frozen=True):
    """A page of a list; `next` is the cursor of the next page, null on the last."""

    items: list[Item]
    next: str | None


def write(at: datetime, key: str | UUID) -> str:
    """Return the cursor of a row."""
    return urlsafe_b64encode(f"{at.isoformat()} {key}".encode()).decode()


def read(cursor: str | None, *, is_uuid: bool) -> tuple[datetime, Any] | None:
    """Return the row that a cursor names; raises Problem."""
    if cursor is None:
        return None
    try:
        at, _, key = urlsafe_b64decode(cursor.encode()).decode().partition(" ")
        moment = datetime.fromisoformat(at)
        if moment.tzinfo is None or "\0" in key:
            raise ValueError
        return moment.astimezone(UTC), UUID(key) if is_uuid else key
    except (ValueError, OverflowError, Error):
        raise wrong_field("cursor", "expected the `next` of a page") from None


def write_place(position: int, key: UUID) -> str:
    """Return the cursor of a row whose place is a number."""
    return urlsafe_b64encode(f"{position} {key}".encode()).decode()


def read_place(cursor: str | None) -> tuple[int, UUID] | None:
    """Return the place that a cursor names; raises Problem."""
    if cursor is None:
        return None
    try:
        position, _, key = urlsafe_b64decode(cursor.encode()).decode().partition(" ")
        if not position.isascii() or not position.isdecimal() or len(position) > 18:
            raise ValueError
        return int(position), UUID(key)
    except (ValueError, Error):
        raise wrong_field("cursor", "expected the `next` of a page") from None


def page(rows: Sequence[Any], limit: int, at: str, key: str) -> Page[Any]:
    """Return a page of rows, of which one more than `limit` was asked for."""
    items = list(rows[:limit])
    if len(rows) <= limit:
        return Page(items, None)
    last = items[-1]
    return Page(items, write(getattr(last, at), getattr(last, key)))
