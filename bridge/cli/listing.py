"""How lists show a time and a sum: in the business's zone, and with the currency."""

from datetime import datetime
from zoneinfo import ZoneInfo


def local_time(
    at: datetime | None, zone: str, *, timespec: str = "seconds", otherwise: str = "-"
) -> str:
    """Return a time in the business's time zone, with its offset from UTC."""
    if at is None:
        return otherwise
    return at.astimezone(ZoneInfo(zone)).isoformat(sep=" ", timespec=timespec)


def money(cost: float | None, currency: str) -> str:
    """Return a sum with its currency; `-` if there is no sum."""
    return "-" if cost is None else f"{cost:.4f} {currency}"
