"""The report as a document that is printed: what its page shows, in the same words."""

from datetime import datetime
from zoneinfo import ZoneInfo

from babel.dates import format_datetime
from babel.numbers import format_currency, format_decimal

from bridge.console import language
from bridge.console.call_words import role_words
from bridge.console.language import gettext as _
from bridge.console.leads_page import status_words
from bridge.console.paper import Paper, Table, Text
from bridge.console.report import Line, Tried
from bridge.telemetry.masking import mask_phone
from crm.businesses import Business
from crm.calls import ToolCall, Turn

_NOTHING = "\N{EN DASH}"
# Before what is read from left to right in every language.
_LEFT_TO_RIGHT = "\N{LEFT-TO-RIGHT MARK}"
Log = list[tuple[Turn | None, ToolCall | None]]


def paper_of(
    business: Business,
    now: datetime,
    tried: Tried | None,
    log: Log,
    lines: list[Line],
    currency: str,
) -> Paper:
    """Return the report in the language of the request."""
    zone = ZoneInfo(business.time_zone)
    parts: list[Table | Text] = [_checks(lines)]
    if tried is None:
        parts.append(Text(_("The call"), _("There is no call yet.")))
    else:
        parts += [_call(tried, zone, currency), _log(log), _lead(tried)]
        parts += [_appointments(tried, zone), _told(tried)]
    return Paper(
        language.current(),
        language.direction() == "rtl",
        f"{_('Is it ready for callers?')} {business.name}",
        _("As of %(when)s.") % {"when": _time(now, zone)},
        tuple(parts),
    )


def _checks(lines: list[Line]) -> Table:
    rows = tuple(("✓" if one.ok else "✗", one.title, one.found) for one in lines)
    return Table(_("Checks"), (4, 50, 46), rows)


def _call(tried: Tried, zone: ZoneInfo, currency: str) -> Table:
    row = tried.row
    began, lasted = row["started_at"], row["ended_at"] - row["started_at"]
    test = f" · {_('a test call')}" if row["is_test"] else ""
    cost = row["cost"]
    return _facts(
        _("The call"),
        (_("When"), _time(began, zone) + test),
        (_("Call"), row["call_sid"]),
        (_("Caller"), _phone(row["from_number"])),
        (_("Duration"), _clock(lasted.total_seconds())),
        (
            _("Cost"),
            _NOTHING
            if cost is None
            else format_currency(cost, currency, locale=language.current()),
        ),
    )


def _log(log: Log) -> Table | Text:
    title = _("What was said and done")
    if not log:
        return Text(title, _("Nothing was said."))
    head = (_("At"), _("Who"), _("What"))
    return Table(title, (7, 20, 73), tuple(map(_entry, log)), head)


def _entry(entry: tuple[Turn | None, ToolCall | None]) -> tuple[str, ...]:
    turn, tool = entry
    if turn is not None:
        cut = f" ({_('interrupted')})" if turn.interrupted else ""
        return _clock(turn.at_s), role_words(turn.role), turn.text + cut
    assert tool is not None, "an entry has one of them"
    mark = "✓" if tool.ok else "✗"
    took = format_decimal(round(tool.duration_ms), locale="en")
    return (
        _clock(tool.at_s),
        tool.name,
        f"{_LEFT_TO_RIGHT}{mark} {tool.arguments} → {tool.result} {took} ms",
    )


def _lead(tried: Tried) -> Table | Text:
    lead = tried.lead
    if lead is None:
        return Text(_("The lead"), _("No lead came of this call."))
    return _facts(
        _("The lead"),
        (_("Name"), lead.name or _NOTHING),
        (_("Number"), _phone(lead.phone)),
        (_("State"), status_words(lead.status)),
        *((name, str(value)) for name, value in lead.fields.items()),
    )


def _appointments(tried: Tried, zone: ZoneInfo) -> Table | Text:
    if not tried.appointments:
        return Text(_("The appointment"), _("No appointment came of this call."))
    rows = [
        row
        for one in tried.appointments
        for row in (
            (_("When"), _time(one.starts_at, zone, "full")),
            (_("Service"), one.service or _NOTHING),
            (_("Name"), one.name or _NOTHING),
        )
    ]
    return _facts(_("The appointment"), *rows)


def _told(tried: Tried) -> Text:
    return Text(_("What the model was told"), tried.told)


def _facts(title: str, *rows: tuple[str, str]) -> Table:
    return Table(title, (25, 75), rows)


def _time(at: datetime, zone: ZoneInfo, form: str = "medium") -> str:
    return format_datetime(at, form, zone, language.current())


def _phone(number: str | None) -> str:
    return _LEFT_TO_RIGHT + mask_phone(number) if number else _NOTHING


def _clock(seconds: float) -> str:
    whole = round(seconds)
    return f"{whole // 60}:{whole % 60:02}"
