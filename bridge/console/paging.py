"""Where a page of a list begins: after what its address says."""

from collections.abc import Mapping
from datetime import UTC, date, datetime
from uuid import UUID

# A position is microseconds since 1970.
_POSITION_DIGITS_MAX = 18


def time_of(text: str) -> datetime | None:
    """Return a time with its zone; None if the text is none that a database has."""
    try:
        at = datetime.fromisoformat(text)
        return at.astimezone(UTC) if at.tzinfo else None
    except (ValueError, OverflowError):
        return None


def read_day(text: str) -> date | None:
    """Return a day; None if the text is none that PostgreSQL can move to a zone."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return None
    return day if date(1970, 1, 1) <= day <= date(9000, 1, 1) else None


def time_and_id_of(query: Mapping[str, str]) -> tuple[datetime, UUID] | None:
    """Return `before`, a time with its zone, and `id`; None if they are not there."""
    at = time_of(query.get("before", ""))
    try:
        return None if at is None else (at, UUID(query.get("id", "")))
    except ValueError:
        return None


def position_of(text: str) -> int | None:
    """Return a position in a conversation; None if the text is none."""
    is_position = text.isascii() and text.isdecimal()
    return int(text) if is_position and len(text) <= _POSITION_DIGITS_MAX else None
