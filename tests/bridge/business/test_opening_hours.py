"""Days and hours, as people type them."""

import pytest

from bridge.business.opening_hours import DAYS, TenantError, days_of, read_hours
from crm.businesses import Hours

WORKDAYS = ["monday", "tuesday", "wednesday", "thursday", "friday"]


@pytest.mark.parametrize(
    ("text", "days"),
    [
        ("monday", ["monday"]),
        ("Monday", ["monday"]),
        ("MON", ["monday"]),
        ("Thurs.", ["thursday"]),
        ("mon-fri", WORKDAYS),
        ("Mo - Fr", WORKDAYS),
        ("mon\u2013fri", WORKDAYS),
        ("fri-mon", ["friday", "saturday", "sunday", "monday"]),
        ("sun-sat", list(DAYS)),
        ("mon,wed, fri", ["monday", "wednesday", "friday"]),
        ("sun-mon,sat", ["sunday", "monday", "saturday"]),
    ],
)
def test_days_are_read_as_people_type_them(text, days):
    assert days_of(text) == days


@pytest.mark.parametrize(
    "text", ["", "s", "funday", "mon-", "mon-tue-wed", "1", "mo nday"]
)
def test_what_is_no_day_is_named(text):
    with pytest.raises(TenantError, match=f"hours.{text}: expected a day such as"):
        days_of(text)


def test_hours_of_many_days_are_those_of_each():
    hours = read_hours({"sat": ("10:00-12:00",), "mon-tue": ("09:00-17:00",)})

    assert hours == (Hours(1, 540, 1020), Hours(2, 540, 1020), Hours(6, 600, 720))


@pytest.mark.parametrize(
    "span", ["09:00-17:30", "9:00 - 17:30", "09:00\u201317:30", " 09:00 \u2014 17:30 "]
)
def test_spans_are_read_as_people_type_them(span):
    assert read_hours({"sun": (span,)}) == (Hours(0, 540, 1050),)


@pytest.mark.parametrize("span", ["\u0669:00-17:00", "09:00-", "09:00", "closed early"])
def test_what_is_no_span_is_named(span):
    with pytest.raises(TenantError, match=r"hours\.sunday: .* expected hours such as"):
        read_hours({"sun": (span,)})


def test_a_day_may_be_said_to_be_closed():
    assert read_hours({"sun": ("Closed",), "mon": ()}) == ()


def test_a_day_stands_there_once():
    with pytest.raises(TenantError, match=r"hours\.tue: tuesday stands there twice"):
        read_hours({"mon-wed": (), "tue": ("09:00-17:00",)})
