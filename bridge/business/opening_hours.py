"""Opening hours as they are typed: days such as monday, Mon or mon-fri, and spans."""

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise

from crm.businesses import Hours

DAYS = (
    "sunday",
    "monday",
    "tuesday",
    "wednesday",
    "thursday",
    "friday",
    "saturday",
)
DAY_MINUTES = 24 * 60
# Two letters distinguish the days of the week.
_LETTERS_MIN = 2
_SPAN = re.compile(r"(\d\d?):(\d\d)-(\d\d?):(\d\d)", re.ASCII)
_DASHES = re.compile(r"\s*[-\u2010-\u2015]\s*")


class TenantError(ValueError):
    """The request cannot be carried out; the text says why."""


def days_of(text: str) -> list[str]:
    """Return the days that a text names: Monday, mon, mon-fri, sun-thu, mon,wed,fri.

    A range may pass the week's end: fri-mon. Raises TenantError.
    """
    found: list[str] = []
    for part in text.split(","):
        ends = [_day(text, one) for one in _DASHES.split(part.strip())]
        if len(ends) > 2:
            raise _no_day(text)
        count = (ends[-1] - ends[0]) % len(DAYS) + 1
        found += (DAYS[(ends[0] + ahead) % len(DAYS)] for ahead in range(count))
    return found


def read_hours(given: Mapping[str, tuple[str, ...]]) -> tuple[Hours, ...]:
    """Return the hours of a week. Raises TenantError where a day is given twice."""
    week: dict[str, tuple[str, ...]] = {}
    for text, spans in given.items():
        for day in days_of(text):
            if day in week:
                raise TenantError(f"hours.{text}: {day} stands there twice")
            week[day] = () if is_closed(spans) else spans
    return tuple(one for day in DAYS for one in _hours_of(day, week.get(day, ())))


def is_closed(spans: Sequence[str]) -> bool:
    """Tell whether a day's hours say in a word that there are none."""
    return [one.strip().casefold() for one in spans] == ["closed"]


def show_hours(hours: Sequence[Hours]) -> dict[str, tuple[str, ...]]:
    """Return the spans of each day that has any, as they are typed."""
    shown: dict[str, tuple[str, ...]] = {}
    for one in hours:
        day = DAYS[one.dow]
        shown[day] = (*shown.get(day, ()), show_span(one))
    return shown


def show_span(hours: Hours) -> str:
    """Return a span as it is typed."""
    closes = hours.closes_minute
    if closes > DAY_MINUTES:
        closes -= DAY_MINUTES
    opens = f"{hours.opens_minute // 60:02}:{hours.opens_minute % 60:02}"
    return f"{opens}-{closes // 60:02}:{closes % 60:02}"


def _day(text: str, name: str) -> int:
    wanted = name.casefold().rstrip(".")
    for at, day in enumerate(DAYS):
        if len(wanted) >= _LETTERS_MIN and day.startswith(wanted):
            return at
    raise _no_day(text)


def _no_day(text: str) -> TenantError:
    return TenantError(f"hours.{text}: expected a day such as monday, or mon-fri")


def _hours_of(day: str, spans: tuple[str, ...]) -> list[Hours]:
    found = sorted(_span(day, text) for text in spans)
    for (_, closes), (opens, _) in pairwise(found):
        if opens < closes:
            raise TenantError(f"hours.{day}: spans overlap: {', '.join(spans)}")
    return [Hours(DAYS.index(day), opens, closes) for opens, closes in found]


def _span(day: str, text: str) -> tuple[int, int]:
    found = _SPAN.fullmatch(_DASHES.sub("-", text.strip()))
    hours = [int(part) for part in found.groups()] if found else [99] * 4
    opens, closes = hours[0] * 60 + hours[1], hours[2] * 60 + hours[3]
    is_time = max(hours[1], hours[3]) < 60 and opens < DAY_MINUTES >= closes
    if not is_time or opens == closes:
        raise TenantError(f"hours.{day}: {text!r}: expected hours such as 09:00-17:30")
    return opens, closes if closes > opens else closes + DAY_MINUTES
