"""Free times of a business: its hours, less its closures, less its bookings.

The functions are pure: the time and the bookings are arguments. Hours are local. Both
ends of a window are turned into absolute time; in between, time is absolute, so a day
of 23 or 25 hours has slots for 23 or 25 hours. A local time that occurs twice means its
first occurrence.
"""

from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from heapq import nsmallest
from itertools import pairwise
from typing import Literal, NamedTuple, Protocol, TypeVar
from zoneinfo import ZoneInfo

from crm.businesses import Business, Service

PartOfDay = Literal["any", "morning", "afternoon", "evening"]
# Local hours in which a part of the day begins and ends.
_PARTS: dict[PartOfDay, tuple[int, int]] = {
    "any": (0, 24),
    "morning": (0, 12),
    "afternoon": (12, 17),
    "evening": (17, 24),
}
# Hours may last into the second day: `closes` is at most 48 hours.
_DAYS_BACK = 2


class Rules(NamedTuple):
    """When a booking may begin: every `step_minutes` from opening, and not sooner than
    `lead_minutes` nor later than `days_max` from now."""

    step_minutes: int = 15
    lead_minutes: int = 60
    days_max: int = 90


class Span(NamedTuple):
    """An absolute span of time; the end is not in it."""

    starts_at: datetime
    ends_at: datetime


class Timed(Protocol):
    """What has a beginning."""

    @property
    def starts_at(self) -> datetime:
        """When it begins."""


Slot = TypeVar("Slot", bound=Timed)


class Wish(NamedTuple):
    """What a caller wishes: local days, first and last included, and a part of them."""

    first_day: date
    last_day: date
    part_of_day: PartOfDay = "any"


def free_slots(
    business: Business,
    service: Service,
    wish: Wish,
    busy: Iterable[Span],
    rules: Rules,
    now: datetime,
) -> list[Span]:
    """Return the free slots of a wish in order; `busy` includes buffers afterwards."""
    length = timedelta(minutes=service.minutes)
    buffer = timedelta(minutes=service.buffer_minutes)
    taken = _merged(busy)
    found = []
    at = 0
    for start in _starts(business, length, wish, rules, now):
        while at < len(taken) and taken[at].ends_at <= start:
            at += 1
        if at == len(taken) or taken[at].starts_at >= start + length + buffer:
            found.append(Span(start, start + length))
    return found


def nearest(slots: Iterable[Slot], target: datetime, limit: int) -> list[Slot]:
    """Return the slots closest to `target`, the closest first."""
    return nsmallest(
        limit, slots, key=lambda slot: (abs(slot.starts_at - target), slot.starts_at)
    )


def days_around(business: Business, moment: datetime, days: int) -> Wish:
    """Return the local days from `days` before a moment to `days` after it."""
    day = moment.astimezone(ZoneInfo(business.time_zone)).date()
    return Wish(day - timedelta(days=days), day + timedelta(days=days))


def weeks(wish: Wish) -> Iterator[Wish]:
    """Yield a wish in parts of seven days, so that each is little work."""
    first = wish.first_day
    while first <= wish.last_day:
        last = min(first + timedelta(days=6), wish.last_day)
        yield wish._replace(first_day=first, last_day=last)
        first = last + timedelta(days=1)


def absolute_span(business: Business, wish: Wish) -> Span:
    """Return a span of absolute time that holds every slot of a wish and its buffer."""
    zone = ZoneInfo(business.time_zone)
    return Span(
        to_utc(wish.first_day, 0, zone) - timedelta(days=_DAYS_BACK),
        to_utc(wish.last_day + timedelta(days=1), 0, zone) + timedelta(days=_DAYS_BACK),
    )


def to_utc(day: date, minute: int, zone: ZoneInfo) -> datetime:
    """Return the moment when the local clock shows `minute` minutes after midnight."""
    local = datetime.combine(day, time()) + timedelta(minutes=minute)
    return local.replace(tzinfo=zone).astimezone(UTC)


def _starts(
    business: Business, length: timedelta, wish: Wish, rules: Rules, now: datetime
) -> list[datetime]:
    """Return every start inside hours, in order; nights that overlap count once.

    Each hours' starts are counted from their own opening. What begins in them may end
    in the next, where those open as these close: at midnight, day and night.
    """
    step = timedelta(minutes=rules.step_minutes)
    earliest = now + timedelta(minutes=rules.lead_minutes)
    latest = now + timedelta(days=rules.days_max)
    wished = list(_wished(business, wish))
    starts = set()
    # What begins on the last day may end on the next.
    longer = wish._replace(last_day=wish.last_day + timedelta(days=1))
    opened = [one for one in windows(business, longer) if one.starts_at < one.ends_at]
    runs = _merged(opened)
    for window in opened:
        closes_at = next(one.ends_at for one in runs if one.ends_at >= window.ends_at)
        for part in wished:
            start = window.starts_at
            first = max(part.starts_at, earliest)
            if start < first:
                start += -(-(first - start) // step) * step
            last = min(closes_at - length, latest)
            while start <= last and start < min(part.ends_at, window.ends_at):
                starts.add(start)
                start += step
    return sorted(starts)


def _wished(business: Business, wish: Wish) -> Iterator[Span]:
    """Yield the absolute span of each wished day, or of the part of it."""
    zone = ZoneInfo(business.time_zone)
    low, high = _PARTS[wish.part_of_day]
    for offset in range((wish.last_day - wish.first_day).days + 1):
        day = wish.first_day + timedelta(days=offset)
        yield Span(to_utc(day, low * 60, zone), to_utc(day, high * 60, zone))


def windows(business: Business, wish: Wish) -> Iterator[Span]:
    """Yield the hours that reach into a wish; hours belong to the day they open on.

    A closed day has no hours, and cuts hours that reach into it from the night before.
    """
    zone = ZoneInfo(business.time_zone)
    days = (wish.last_day - wish.first_day).days + 1
    for offset in range(-_DAYS_BACK, days):
        day = wish.first_day + timedelta(days=offset)
        if _is_closed(business, day):
            continue
        after = (day + timedelta(days=ahead) for ahead in range(1, _DAYS_BACK + 1))
        ends = [to_utc(one, 0, zone) for one in after if _is_closed(business, one)]
        for hours in business.hours:
            if hours.dow == day.isoweekday() % 7:
                yield Span(
                    to_utc(day, hours.opens_minute, zone),
                    min([to_utc(day, hours.closes_minute, zone), *ends]),
                )


def _is_closed(business: Business, day: date) -> bool:
    return any(one.first_day <= day <= one.last_day for one in business.closures)


def _merged(spans: Iterable[Span]) -> list[Span]:
    """Return spans in order, joined where they overlap."""
    merged: list[Span] = []
    for span in sorted(spans):
        if merged and span.starts_at <= merged[-1].ends_at:
            last = merged.pop()
            span = Span(last.starts_at, max(last.ends_at, span.ends_at))
        merged.append(span)
    assert all(a.ends_at < b.starts_at for a, b in pairwise(merged))
    return merged
