"""What a call came to, in the words of the viewer's language."""

from bridge.console.language import N_, gettext

# As `bridge.records.summary.outcome_of` names them.
OUTCOMES = {
    "booked": N_("appointment booked"),
    "rescheduled": N_("appointment moved"),
    "cancelled": N_("appointment cancelled"),
    "lead": N_("data noted"),
    "declined": N_("declined"),
    "talked": N_("talked"),
    "silent": N_("caller said nothing"),
    "unanswered": N_("not answered"),
    "failed": N_("failed"),
}


def outcome_words(outcome: str) -> str:
    """Return an outcome in words; one of another version as it is named."""
    return gettext(OUTCOMES[outcome]) if outcome in OUTCOMES else outcome
