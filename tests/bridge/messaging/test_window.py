"""What may be sent to a writer: text, a template, later, or nothing."""

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from bridge.messaging.window import (
    REPLY,
    STARTED,
    STOPPED,
    Addressee,
    Decision,
    QuietHours,
    Way,
    decide,
    quiet_until,
    read_quiet_hours,
)

NOW = datetime(2026, 11, 29, 12, 0, tzinfo=UTC)
JERUSALEM = ZoneInfo("Asia/Jerusalem")
NIGHT = QuietHours(time(21), time(8))


def ago(**units):
    return NOW - timedelta(**units)


def decided(purpose=REPLY, addressee=None, **facts):
    facts = {"has_text": True, "has_template": False, **facts}
    return decide(purpose, addressee or Addressee(ago(minutes=1)), NOW, **facts)


@pytest.mark.parametrize(
    ("last", "way"),
    [
        (ago(seconds=1), Way.TEXT),
        (ago(hours=23, minutes=58, seconds=59), Way.TEXT),
        (ago(hours=23, minutes=59), Way.DROPPED),
        (ago(days=3), Way.DROPPED),
        (None, Way.DROPPED),
    ],
)
def test_text_goes_out_within_a_day_less_a_minute(last, way):
    assert decided(addressee=Addressee(last)).way is way


def test_a_template_takes_the_place_of_text_when_the_window_is_closed():
    late = Addressee(ago(hours=25))

    assert decided("reminder", late, has_template=True) == Decision(Way.TEMPLATE)
    assert decided("reminder", late) == Decision(Way.DROPPED, "window")
    assert decided("reminder", has_template=True) == Decision(Way.TEXT)


def test_a_template_alone_goes_out_at_any_time():
    assert decided("reminder", has_text=False, has_template=True).way is Way.TEMPLATE


def test_what_twilio_refused_as_text_is_not_sent_as_text_again():
    refused = {"is_refused_as_text": True}

    assert decided(**refused, has_template=True).way is Way.TEMPLATE
    assert decided(**refused) == Decision(Way.DROPPED, "window")


@pytest.mark.parametrize("purpose", [REPLY, STARTED, "person", "reminder"])
def test_who_has_stopped_gets_the_confirmation_alone(purpose):
    stopped = Addressee(ago(minutes=1), stopped_at=ago(seconds=5))

    assert decided(purpose, stopped) == Decision(Way.DROPPED, "stopped")
    assert decided(STOPPED, stopped) == Decision(Way.TEXT)


def test_who_is_not_to_be_contacted_is_answered_and_not_addressed():
    addressee = Addressee(ago(minutes=1), is_not_contacted=True)

    assert decided(REPLY, addressee).way is Way.TEXT
    assert decided("reminder", addressee) == Decision(Way.DROPPED, "do_not_contact")


def test_what_is_not_so_any_more_is_not_said():
    assert decided("reminder", is_outdated=True, quiet_until=ago(hours=-8)) == (
        Decision(Way.DROPPED, "outdated")
    )


def test_what_nobody_asked_for_waits_for_the_end_of_the_quiet_hours():
    quiet = {"quiet_until": NOW + timedelta(hours=3)}

    assert decided("reminder", **quiet) == Decision(
        Way.LATER, until=quiet["quiet_until"]
    )
    assert decided(REPLY, **quiet).way is Way.TEXT
    assert decided("reminder", quiet_until=NOW).way is Way.TEXT


@pytest.mark.parametrize(
    ("clock", "until"),
    [
        ("20:59", None),
        ("21:00", "2026-11-30 08:00"),
        ("23:59", "2026-11-30 08:00"),
        ("00:00", "2026-11-29 08:00"),
        ("07:59", "2026-11-29 08:00"),
        ("08:00", None),
    ],
)
def test_quiet_hours_go_past_midnight(clock, until):
    hour, minute = map(int, clock.split(":"))
    now = datetime(2026, 11, 29, hour, minute, tzinfo=JERUSALEM)

    found = quiet_until(NIGHT, JERUSALEM, now.astimezone(UTC))

    assert (found and f"{found.astimezone(JERUSALEM):%Y-%m-%d %H:%M}") == until


@pytest.mark.parametrize(("hour", "is_quiet"), [(12, False), (13, True), (15, False)])
def test_quiet_hours_of_the_day(hour, is_quiet):
    now = datetime(2026, 11, 29, hour, 0, tzinfo=UTC)
    quiet = QuietHours(time(13), time(15))

    assert (quiet_until(quiet, ZoneInfo("UTC"), now) is not None) == is_quiet


def test_the_clock_that_changes_in_the_night_counts():
    """In New York the night of 1 November 2026 has an hour more."""
    zone = ZoneInfo("America/New_York")
    now = datetime(2026, 10, 31, 21, 30, tzinfo=zone)

    assert quiet_until(NIGHT, zone, now) == datetime(2026, 11, 1, 13, 0, tzinfo=UTC)


def test_quiet_hours_are_read_from_text():
    assert read_quiet_hours("21:00-08:00") == NIGHT
    assert read_quiet_hours("off") is None
