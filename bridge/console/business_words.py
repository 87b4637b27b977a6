"""The words of a business's forms: colours, days, and what is wrong with a field."""

from bridge.console.business_edit import faulty_day
from bridge.console.language import N_, gettext as _

COLOURS = {
    "": N_("none"),
    "#3366cc": N_("blue"),
    "#2e8b57": N_("green"),
    "#cc6600": N_("orange"),
    "#aa3377": N_("purple"),
    "#b3261e": N_("red"),
    "#008b8b": N_("turquoise"),
    "#8b6d2f": N_("brown"),
    "#666666": N_("grey"),
}
DAY_NAMES = {
    "sunday": N_("Sunday"),
    "monday": N_("Monday"),
    "tuesday": N_("Tuesday"),
    "wednesday": N_("Wednesday"),
    "thursday": N_("Thursday"),
    "friday": N_("Friday"),
    "saturday": N_("Saturday"),
}
_HOURS_TEXT = N_(
    "Write hours such as 09:00-17:30, several with a space between, or nothing."
)
# What a fault of a field says, by the part of an error that names the field.
_SERVICE_FAULTS = {
    ": minutes=": ("minutes", N_("Write 5 to 1440 minutes.")),
    "buffer_minutes=": ("buffer_minutes", N_("Write 0 to 1440 minutes.")),
    "price=": ("price", N_("Write a line of 40 characters at most.")),
    "colour=": ("colour", N_("Choose a colour.")),
    "twice": ("name", N_("This name is there already.")),
    "expected a name": ("name", N_("Write a name on one line.")),
}


def faults_of(text: str) -> dict[str, str]:
    """Return the field that an error names, with what to write there."""
    day = faulty_day(text)
    if day is not None:
        return {day: _(_HOURS_TEXT)}
    for part, (field, words) in _SERVICE_FAULTS.items():
        if part in text:
            return {field: _(words)}
    return {"form": text}
