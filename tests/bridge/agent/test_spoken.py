"""Times and languages, as a native says them."""

import string
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from bridge.agent.spoken import language_name, say_time

AT = datetime(2026, 11, 24, 16, 30, tzinfo=UTC)


def said(language, country, *, days_before=7, at=AT):
    return say_time(at, at.date() - timedelta(days=days_before), language, country)


@pytest.mark.parametrize(
    ("language", "country", "spoken"),
    [
        ("en", "US", "Tuesday, November 24, 4:30 PM"),
        ("en", "GB", "Tuesday 24 November, 16:30"),
        ("he", "IL", "יום שלישי, 24 בנובמבר, 16:30"),
        ("ar", "IL", "الثلاثاء، 24 نوفمبر، 16:30"),
        ("ru", "RU", "вторник, 24 ноября, 16:30"),
        ("fr", "FR", "mardi 24 novembre, 16:30"),
        ("es", "ES", "martes, 24 de noviembre, 16:30"),
        ("de", "DE", "Dienstag, 24. November, 16:30"),
        ("it", "IT", "martedì 24 novembre 16:30"),
        ("pt", "BR", "terça-feira, 24 de novembro 16:30"),
        ("pl", "PL", "wtorek, 24 listopada 16:30"),
        ("uk", "UA", "вівторок, 24 листопада, 16:30"),
        ("ja", "JP", "11月24日(火曜日) 16:30"),
        ("ko", "KR", "11월 24일 (화요일) 오후 4:30"),
        ("zh", "CN", "11月24日星期二 16:30"),
        ("am", "ET", "ማክሰኞ፣ ኖቬምበር 24 4:30 ከሰዓት"),
    ],
)
def test_times_are_spoken_in_the_businesss_language(language, country, spoken):
    assert said(language, country) == spoken


@pytest.mark.parametrize(
    ("language", "today", "tomorrow"),
    [
        ("en", "today, Tuesday", "tomorrow, Tuesday"),
        ("he", "היום, יום שלישי", "מחר, יום שלישי"),
        ("ar", "اليوم، الثلاثاء", "غدًا، الثلاثاء"),
        ("ru", "сегодня, вторник", "завтра, вторник"),
        ("fr", "aujourd'hui, mardi", "demain, mardi"),
        ("es", "hoy, martes", "mañana, martes"),
        ("de", "heute, Dienstag", "morgen, Dienstag"),
    ],
)
def test_today_and_tomorrow_have_their_words(language, today, tomorrow):
    assert said(language, "US", days_before=0).startswith(today)
    assert said(language, "US", days_before=1).startswith(tomorrow)


def test_a_language_without_a_word_for_tomorrow_says_the_day():
    assert said("pl", "PL", days_before=1) == said("pl", "PL")


def test_a_language_spoken_abroad_keeps_its_form():
    assert said("he", "US") == said("he", "IL")


def test_the_offset_of_the_business_is_what_is_said():
    local = datetime.fromisoformat("2026-10-25T01:30:00+02:00")

    assert said("de", "DE", at=local).endswith("25. Oktober, 01:30")


TWICE = [
    ("America/New_York", datetime(2026, 11, 1, 1, 30)),
    ("Asia/Jerusalem", datetime(2026, 10, 25, 1, 30)),
    ("Australia/Lord_Howe", datetime(2026, 4, 5, 1, 45)),
    # Its summer is the standard, and its winter behind it.
    ("Europe/Dublin", datetime(2026, 10, 25, 1, 30)),
    ("Africa/Cairo", datetime(2026, 10, 29, 23, 30)),
    # No summer at all: the whole zone moved, in 2024.
    ("Asia/Almaty", datetime(2024, 2, 29, 23, 30)),
]


@pytest.mark.parametrize(("zone", "at"), TWICE)
def test_an_hour_that_comes_twice_is_told_apart_in_every_language(zone, at):
    codes = [a + b for a in string.ascii_lowercase for b in string.ascii_lowercase]
    first, second = (at.replace(tzinfo=ZoneInfo(zone), fold=fold) for fold in (0, 1))

    for code in filter(language_name, codes):
        assert said(code, "US", at=first) != said(code, "US", at=second)


@pytest.mark.parametrize(
    ("zone", "first", "second"),
    [
        ("America/New_York", "1:30 AM Eastern Daylight Time", "Eastern Standard Time"),
        ("Europe/Dublin", "1:30 AM Irish Standard Time", "AM Greenwich Mean Time"),
        ("Asia/Almaty", "11:30 PM GMT+06:00", "11:30 PM Kazakhstan Time"),
    ],
)
def test_an_hour_that_comes_twice_is_said_with_its_offsets_name(zone, first, second):
    at = dict(TWICE)[zone].replace(tzinfo=ZoneInfo(zone))

    assert said("en", "US", at=at).endswith(first)
    assert said("en", "US", at=at.replace(fold=1)).endswith(second)
    assert said("en", "US", at=at + timedelta(hours=3)).endswith("M")


@pytest.mark.parametrize("language", ["oj", "nv", "xx"])
def test_a_language_that_the_data_lacks_gets_the_english_form(language):
    assert said(language, "GB") == said("en", "US")


def test_every_language_a_business_can_have_is_said_with_names_not_codes():
    codes = [a + b for a in string.ascii_lowercase for b in string.ascii_lowercase]
    known = [code for code in codes if language_name(code)]

    assert len(known) > 180
    for code in known:
        text = said(code, "US")
        assert "24" in text
        assert "M11" not in text
        assert "MMM" not in text
        assert "EEE" not in text


def test_languages_have_names():
    assert language_name("ka") == "Georgian"
    assert language_name("xx") is None
