"""Times as they are said, in the business's language: Hebrew and English.

Other languages get the English form; the model speaks the caller's language.
"""

from datetime import date, datetime

_EN_DAYS = (
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
    "Sunday",
)
_EN_MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)
_HE_DAYS = ("שני", "שלישי", "רביעי", "חמישי", "שישי", "שבת", "ראשון")
_HE_MONTHS = (
    "ינואר",
    "פברואר",
    "מרץ",
    "אפריל",
    "מאי",
    "יוני",
    "יולי",
    "אוגוסט",
    "ספטמבר",
    "אוקטובר",
    "נובמבר",
    "דצמבר",
)


def say_time(local: datetime, today: date, language: str) -> str:
    """Return the spoken form of a local time; `today` is the local date of the call."""
    return _hebrew(local, today) if language == "he" else _english(local, today)


def _english(local: datetime, today: date) -> str:
    near = {0: "today, ", 1: "tomorrow, "}.get((local.date() - today).days, "")
    day = f"{_EN_DAYS[local.weekday()]}, {_EN_MONTHS[local.month - 1]} {local.day}"
    hour, half = local.hour % 12 or 12, "AM" if local.hour < 12 else "PM"
    clock = f"{hour}:{local.minute:02} {half}" if local.minute else f"{hour} {half}"
    return f"{near}{day} at {clock}"


def _hebrew(local: datetime, today: date) -> str:
    near = {0: "היום, ", 1: "מחר, "}.get((local.date() - today).days, "")
    name = _HE_DAYS[local.weekday()]
    day = name if name == "שבת" else f"יום {name}"
    month = _HE_MONTHS[local.month - 1]
    return f"{near}{day}, {local.day} ב{month} בשעה {local.hour}:{local.minute:02}"
