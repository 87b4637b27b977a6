"""Who spoke in a call, and what it came to, in the words of the viewer's language."""

from bridge.console.language import N_, gettext

_ROLES = {
    "caller": N_("the caller"),
    "ai": N_("the assistant"),
    "keypad": N_("keypad"),
    "operator": N_("a person"),
    "told": N_("told to the assistant"),
}
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


def role_words(role: str) -> str:
    """Return who spoke."""
    return gettext(_ROLES[role]) if role in _ROLES else role
