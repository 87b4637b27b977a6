"""A day or a week of a business's calendar as the rows and cells of a table.

The functions read nothing but their arguments. Those that look at every person let the
event loop have its turn after each, since it carries calls. Rows are moments, not hours
of a clock: a day of 23 or 25 hours has its own number of rows, and an hour that occurs
twice stands there twice.
"""

import asyncio
from calendar import MONDAY
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from babel import Locale, UnknownLocaleError

from crm import calendar
from crm.businesses import Business
from crm.calendar import Span, Wish
from crm.diary import Entry
from crm.free_times import WHOLE, as_of

STEP = timedelta(minutes=15)
# Of a person who is not among the staff, or of a business without staff.
_NO_COLOUR = ""


class Column(NamedTuple):
    """Whose calendar it is; `name` is "" where the business is booked as a whole."""

    number: int
    name: str
    colour: str
    is_active: bool = True


class Cell(NamedTuple):
    """A part of a column: free, closed, past, a buffer, or booked with `entries`."""

    kind: str
    rows: int
    at: datetime
    column: Column
    entries: tuple[Entry, ...] = ()


class Row(NamedTuple):
    """A quarter of an hour; `is_again`: the clock shows this time a second time."""

    at: datetime
    is_hour: bool
    is_again: bool
    cells: tuple[Cell, ...]


class Day(NamedTuple):
    """One person's day in a week."""

    day: date
    is_closed: bool
    entries: tuple[Entry, ...]


def columns(business: Business, entries: Sequence[Entry]) -> list[Column]:
    """Return whose calendars are shown: all who can be booked, or are booked then."""
    booked = {one.resource for one in entries}
    staff = {one.number: one for one in business.staff if one.number is not None}
    found = [
        Column(number, one.name, one.colour, one.is_active)
        for number, one in staff.items()
        if one.is_active or number in booked
    ]
    gone = sorted(booked - staff.keys()) or ([] if found else [WHOLE])
    return found + [Column(number, "", _NO_COLOUR, not staff) for number in gone]


def span_of(business: Business, first: date, days: int) -> Span:
    """Return the absolute span of local days."""
    zone = ZoneInfo(business.time_zone)
    return Span(
        calendar.to_utc(first, 0, zone),
        calendar.to_utc(first + timedelta(days=days), 0, zone),
    )


async def day_rows(
    business: Business, day: date, entries: Sequence[Entry], now: datetime
) -> list[Row]:
    """Return the rows of a day: from its first opening or booking to its last."""
    whole, shown = span_of(business, day, 1), columns(business, entries)
    open_spans = {}
    for one in shown:
        open_spans[one] = _open(business, one, day, 1)
        await asyncio.sleep(0)
    used = [span for spans in open_spans.values() for span in spans]
    used += [Span(one.starts_at, one.ends_at) for one in entries]
    if not used:
        return []
    first = max(min(span.starts_at for span in used), whole.starts_at)
    last = min(max(span.ends_at for span in used), whole.ends_at)
    # From a full hour on.
    first -= (first - whole.starts_at) % timedelta(hours=1)
    moments = [first + STEP * at for at in range(-(-(last - first) // STEP))]
    cells = []
    for one in shown:
        own = _of(one, entries)
        cells.append(_cells(one, moments, open_spans[one], own, now))
        await asyncio.sleep(0)
    zone = ZoneInfo(business.time_zone)
    rows = []
    for at, moment in enumerate(moments):
        local = moment.astimezone(zone)
        here = tuple(cell for column in cells if (cell := column.get(at)) is not None)
        rows.append(Row(moment, local.minute == 0, local.fold == 1, here))
    return rows


def week_of(day: date, country: str) -> date:
    """Return the first day of the week, as the business's country counts."""
    try:
        first = Locale.parse(f"und_{country}").first_week_day
    except UnknownLocaleError:
        # Babel lacks a few islands, Bonaire among them; most of the world has Monday.
        first = MONDAY
    return day - timedelta(days=(day.weekday() - first) % 7)


async def week_rows(
    business: Business, first: date, entries: Sequence[Entry]
) -> list[tuple[Column, list[Day]]]:
    """Return each person with the seven days of a week."""
    zone = ZoneInfo(business.time_zone)
    rows = []
    for column in columns(business, entries):
        own = _of(column, entries)
        opens = _open(business, column, first, 7)
        week = []
        for ahead in range(7):
            day = first + timedelta(days=ahead)
            whole = span_of(business, day, 1)
            is_open = any(
                one.starts_at < whole.ends_at and one.ends_at > whole.starts_at
                for one in opens
            )
            booked = tuple(
                one for one in own if one.starts_at.astimezone(zone).date() == day
            )
            week.append(Day(day, not is_open, booked))
        rows.append((column, week))
        await asyncio.sleep(0)
    return rows


def _of(column: Column, entries: Sequence[Entry]) -> list[Entry]:
    return [one for one in entries if one.resource == column.number]


def _open(business: Business, column: Column, first: date, days: int) -> list[Span]:
    """Return when a person works on some days, within them."""
    if not column.is_active:
        return []
    person = next((one for one in business.staff if one.number == column.number), None)
    own = business if person is None else as_of(business, person)
    whole = span_of(business, first, days)
    last = first + timedelta(days=days - 1)
    found = (
        Span(max(span.starts_at, whole.starts_at), min(span.ends_at, whole.ends_at))
        for span in calendar.windows(own, Wish(first, last))
    )
    return [span for span in found if span.starts_at < span.ends_at]


def _cells(
    column: Column,
    moments: Sequence[datetime],
    open_spans: Sequence[Span],
    entries: Sequence[Entry],
    now: datetime,
) -> dict[int, Cell]:
    """Return the cells of a column by the row in which each begins."""
    found: dict[int, Cell] = {}
    at = 0
    while at < len(moments):
        cell = _booked(column, moments, at, entries)
        if cell is None:
            kind = _kind(moments[at], open_spans, entries, now)
            cell = Cell(kind, 1, moments[at], column)
        found[at] = cell
        at += cell.rows
    return found


def _booked(
    column: Column, moments: Sequence[datetime], at: int, entries: Sequence[Entry]
) -> Cell | None:
    """Return the cell of all appointments that touch each other from a row on."""
    here: list[Entry] = []
    end = moments[at] + STEP
    for one in entries:
        # Entries are in order of their start.
        if one.starts_at < end and one.ends_at > moments[at]:
            here.append(one)
            end = max(end, moments[at] + -(-(one.ends_at - moments[at]) // STEP) * STEP)
    if not here:
        return None
    rows = min((end - moments[at]) // STEP, len(moments) - at)
    return Cell("booked", rows, here[0].starts_at, column, tuple(here))


def _kind(
    moment: datetime,
    open_spans: Sequence[Span],
    entries: Sequence[Entry],
    now: datetime,
) -> str:
    if not any(one.starts_at <= moment < one.ends_at for one in open_spans):
        return "closed"
    if any(one.ends_at <= moment < one.busy_until for one in entries):
        return "buffer"
    return "past" if moment < now else "free"
