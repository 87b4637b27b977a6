"""The words of a business's forms: colours, days, and what is wrong with a field."""

from collections.abc import Sequence

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


# What a fault of the whole form says, by a part of the error.
_FORM_FAULTS = {
    " people at most": N_("There are as many people as one business may have."),
    " tokens long": N_(
        "With this the assistant would have more to know than its model takes: "
        "shorten its prompt first."
    ),
}


def refusal_of(text: str, titles: Sequence[str] = ()) -> dict[str, str]:
    """Return what a form says at its top: which fields are wrong, and the words of the
    check, which are English."""
    for part, words in _FORM_FAULTS.items():
        if part in text and not titles:
            return {"form": _(words)}
    if not titles:
        return {"form": _("Nothing was saved. The check says:"), "check": text}
    named = ", ".join(
        f"\N{FIRST STRONG ISOLATE}{one}\N{POP DIRECTIONAL ISOLATE}" for one in titles
    )
    what = _("Nothing was saved. Look at: %(fields)s.") % {"fields": named}
    return {"form": what, "check": text}


def faults_of(text: str) -> dict[str, str]:
    """Return the field that an error names, with what to write there."""
    day = faulty_day(text)
    if day is not None:
        return {day: _(_HOURS_TEXT)}
    for part, (field, words) in _SERVICE_FAULTS.items():
        if part in text:
            return {field: _(words)}
    return refusal_of(text)
