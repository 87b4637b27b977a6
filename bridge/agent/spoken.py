"""Times as they are said in the business's language and country, by Babel's CLDR data.

Days and months are written out, since a caller hears them. An hour that the clock shows
twice is said with its offset's name. A language whose names the data lacks gets the
English form; the model says that form in the caller's language.
"""

import re
from datetime import date, datetime
from functools import lru_cache
from typing import NamedTuple

from babel import Locale, UnknownLocaleError
from babel.dates import (
    DateTimePattern,
    format_skeleton,
    get_timezone_gmt,
    get_timezone_name,
    parse_pattern,
)

_ENGLISH = Locale("en")
# Reads the data of English, 12 ms, while the process starts and not in a call.
_NAMES = _ENGLISH.languages
# Babel leaves CLDR's relative days out; without an entry the date is said alone.
_NEAR = {
    "ar": ("اليوم،", "غدًا،"),
    "de": ("heute,", "morgen,"),
    "en": ("today,", "tomorrow,"),
    "es": ("hoy,", "mañana,"),
    "fr": ("aujourd'hui,", "demain,"),
    "he": ("היום,", "מחר,"),
    "it": ("oggi,", "domani,"),
    "pt": ("hoje,", "amanhã,"),
    "ru": ("сегодня,", "завтра,"),
}
# Day and month, the widest form a locale has first; every locale has the last.
_SKELETONS = ("MMMMEEEEd", "MMMMEd", "MMMEd")
_SHORT_SKELETONS = ("MMMEd", "MEd", "Md")
# Of a pattern: what stands in quotes, or a name that can be written out in full.
_NAME = re.compile(r"'[^']*'|E+|c+|MMM+|LLL+|a+")


class _Form(NamedTuple):
    locale: Locale
    day: DateTimePattern
    clock: DateTimePattern
    both: str


def say_time(local: datetime, today: date, language: str, country: str) -> str:
    """Return the spoken form of a local time; `today` is the local date of the call.

    `local` knows its zone and, of an hour that occurs twice, which it is (`fold`). A
    language's first time in a process reads its data: 4 to 6 ms.
    """
    form = _form(language, country)
    day = form.day.apply(local, form.locale)
    ahead = (local.date() - today).days
    near = _NEAR.get(form.locale.language, ())
    if 0 <= ahead < len(near):
        day = f"{near[ahead]} {day}"
    # CLDR keeps "4:30" and "PM" together by a space of its own.
    clock = form.clock.apply(local, form.locale).replace("\u202f", " ")
    if (name := _offset_name(local, form.locale)) is not None:
        clock = f"{clock} {name}"
    return form.both.format(clock, day)


def write_time(
    local: datetime, language: str, country: str, chars_max: int
) -> tuple[str, str]:
    """Return the short written form of a local time, as "Tue, Dec 1, 4:30 PM", and the
    offset's name where the clock shows the hour twice."""
    form = _form(language, country)
    clock = form.clock.apply(local, form.locale).replace("\u202f", " ")
    for skeleton in _SHORT_SKELETONS:
        day = format_skeleton(skeleton, local, locale=form.locale)
        text = f"{day}, {clock}"
        if len(text) <= chars_max:
            break
    return text[:chars_max], _offset_name(local, form.locale) or ""


def _offset_name(local: datetime, locale: Locale) -> str | None:
    """Return the offset's name for an hour that the clock shows twice, else None.

    The later offset is the summer's, whatever the zone's `dst` says: Ireland's is
    negative, in winter.
    """
    twin = local.replace(fold=1 - local.fold)
    ahead, twins = local.utcoffset(), twin.utcoffset()
    if ahead is None or twins is None or ahead == twins:
        return None
    is_later = ahead > twins
    mine = get_timezone_name(
        local, zone_variant="daylight" if is_later else "standard", locale=locale
    )
    other = get_timezone_name(
        twin, zone_variant="standard" if is_later else "daylight", locale=locale
    )
    return mine if mine != other else get_timezone_gmt(local, "long", locale=locale)


def language_name(code: str) -> str | None:
    """Return a language's English name, or None where there is no such language."""
    return _NAMES.get(code)


@lru_cache(maxsize=256)
def _form(language: str, country: str) -> _Form:
    locale = _locale(language, country)
    skeletons = locale.datetime_skeletons
    day = next(skeletons[name] for name in _SKELETONS if name in skeletons)
    return _Form(
        locale,
        _written_out(day, locale),
        _written_out(locale.time_formats["short"], locale),
        str(locale.datetime_formats["long"]),
    )


def _locale(language: str, country: str) -> Locale:
    for name in (f"{language}_{country}", language):
        try:
            found = Locale.parse(name)
        except UnknownLocaleError:
            continue
        # CLDR's stand-in for a name that nobody has given yet.
        if found.months["format"]["wide"][1] != "M01":
            return found
    return _ENGLISH


def _written_out(pattern: DateTimePattern, locale: Locale) -> DateTimePattern:
    """Return a pattern with its names in full: `E, MMM d` becomes `EEEE, MMMM d`."""

    def widest(found: re.Match[str]) -> str:
        letter = found[0][0]
        if letter == "'" or (letter == "a" and "pm" not in periods):
            return found[0]
        return letter * 4

    periods = locale.day_periods["format"].get("wide", {})
    return parse_pattern(_NAME.sub(widest, pattern.pattern))
