"""Days and hours, as people type them."""

import pytest

from bridge.tenant_hours import DAYS, TenantError, days_of, read_hours
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


def test_a_day_stands_there_once():
    with pytest.raises(TenantError, match=r"hours\.tue: tuesday stands there twice"):
        read_hours({"mon-wed": (), "tue": ("09:00-17:00",)})
