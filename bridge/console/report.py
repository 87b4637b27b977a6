"""Report: whether a business is ready for its callers, from one call that was tried.

The checks are pure: they judge a call's record and the business's settings.
"""

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any, NamedTuple

from bridge.agent.prompt import Prompt
from bridge.console.language import gettext as _
from crm.businesses import Business
from crm.calls import ToolCall, Turn
from crm.health import Checked
from crm.pages import AppointmentRow, LeadRow

# What a caller expects: an answer, and silence after they interrupt.
ANSWER_MS_MAX = 1_500
BARGE_IN_MS_MAX = 200


class Tried(NamedTuple):
    """A call with all that came of it; `row` is the call's own row."""

    row: Mapping[str, Any]
    turns: Sequence[Turn]
    tools: Sequence[ToolCall]
    lead: LeadRow | None
    appointments: Sequence[AppointmentRow]

    @property
    def told(self) -> str:
        """What the model was told, as it was sent."""
        return Prompt(self.row["prompt"], self.row["prompt_facts"]).instructions


class Line(NamedTuple):
    """One check: what was wanted, whether it is so, and what was found."""

    title: str
    ok: bool
    found: str = ""


def lines_of(
    business: Business,
    tried: Tried | None,
    checks: Sequence[Checked],
    *,
    is_operator: bool,
) -> list[Line]:
    """Return every check, in the order in which one would fix them.

    The texts of `checks` may name other businesses: only an operator sees them.
    """
    lines = [*_of_business(business), *_of_service(checks, is_operator=is_operator)]
    return lines if tried is None else [*lines, *_of_call(tried)]


def _of_business(business: Business) -> list[Line]:
    hours = business.hours or any(one.hours for one in business.staff)
    return [
        Line(_("A number leads to the business"), bool(business.numbers)),
        Line(_("There is a greeting"), bool(business.greeting.strip())),
        Line(_("The assistant has instructions"), bool(business.custom_prompt.strip())),
        Line(_("There are services"), bool(business.services)),
        Line(_("There are opening hours"), bool(hours)),
    ]


def _of_service(checks: Sequence[Checked], *, is_operator: bool) -> list[Line]:
    faults = [f"{one.name}: {one.text}" for one in checks if one.mark == "fault"]
    title = _("The checks of the service find no fault")
    if not checks:
        return [Line(title, False, _("Nothing was checked yet."))]
    return [Line(title, not faults, "; ".join(faults) if is_operator else "")]


def _of_call(tried: Tried) -> list[Line]:
    row = tried.row
    answers, barge_ins = row["answer_ms"], row["barge_in_ms"]
    failed = [one.name for one in tried.tools if not one.ok]
    is_heard = row["greeting_ms"] is not None and row["tx_frames"] > 0
    said = [one for one in tried.turns if one.role == "caller" and one.text.strip()]
    middle = median(answers) if answers else 0.0
    worst = max(barge_ins, default=0.0)
    return [
        Line(_("The call was answered"), row["answered_at"] is not None),
        Line(_("The caller heard the greeting"), is_heard),
        Line(_("The caller was understood"), bool(said)),
        Line(
            _("Half of the answers came within 1.5 s"),
            bool(answers) and middle <= ANSWER_MS_MAX,
            f"{middle:.0f} ms" if answers else "",
        ),
        Line(
            _("The AI was silent within 200 ms of each interruption"),
            worst <= BARGE_IN_MS_MAX,
            f"{worst:.0f} ms" if barge_ins else "",
        ),
        Line(_("No tool failed"), not failed, ", ".join(failed)),
        Line(_("The call ended in order"), not row["failed"], row["end_reason"]),
        Line(_("The caller is a lead"), tried.lead is not None),
        Line(
            _("The required fields are known"),
            not row["missing_fields"],
            ", ".join(row["missing_fields"]),
        ),
        Line(_("An appointment was booked"), bool(tried.appointments)),
    ]
