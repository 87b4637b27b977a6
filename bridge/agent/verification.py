"""The tool by which a caller whose number may be forged proves who they are.

The tool is offered only where a business asks for it (CALLER_TRUST=attested) and the
network did not attest the number. The tool's answer to a wrong fact is the same whether
the number is known or not.
"""

from datetime import UTC, datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from bridge.agent.calendar_tools import ToolContext
from bridge.agent.prompt_length import fitting
from bridge.agent.tools import Answer, LimitError, Tool, ToolError
from crm import leads, proofs
from crm.calendar import Span
from crm.claims import Claim
from crm.leads import Lead
from crm.proofs import Fact, NoTries

CALLER_VERIFY = "caller_verify"
_TEXT = (
    "Let the caller prove who they are, before anything on file is told or changed and "
    "before an appointment made earlier is cancelled or moved. Ask for one: the e-mail "
    "address they left, or day and hour of an appointment they have. Pass on what they "
    "say; never suggest a value or say which part was wrong."
)


class CallerVerify(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True
):
    """Arguments of `caller_verify`."""

    email: Annotated[
        str, Meta(max_length=200, description="The address, as dana@example.org.")
    ] = ""
    appointment: Annotated[
        str,
        Meta(
            max_length=40,
            description="When the appointment is, as 2026-11-24T16:30.",
        ),
    ] = ""


def verification_tool(context: ToolContext) -> Tool:
    """Return the tool of a call whose caller is not verified."""

    async def run(asked: CallerVerify, _: str) -> Answer:
        return await _verify(context, asked)

    return Tool(CallerVerify, _TEXT, run)


async def _verify(context: ToolContext, asked: CallerVerify) -> Answer:
    claimant, business = context.claimant(), context.business
    if claimant is None:
        own = context.standing.own_phone or ""
        lead = await leads.find(context.database, business.id, own)
        if lead is None:
            return Answer({"verified": True})
        return _known(context, lead, business.required_fields)
    email = asked.email.replace("\0", "").strip()
    if not email and not asked.appointment.strip():
        raise ToolError("expected an email or an appointment, as the caller said it")
    at = context.moment("appointment", asked.appointment) if asked.appointment else None
    try:
        verdict = await proofs.prove(
            context.database, business.id, claimant, Fact(email, at)
        )
    except NoTries:
        raise LimitError(
            "verify_tries",
            "no more tries: the caller stays unverified. Say that nothing on file can "
            "be told or changed on this call, and take down what they want",
        ) from None
    if verdict.opened is None:
        raise ToolError(
            "this does not prove who the caller is", tries_left=verdict.tries_left
        )
    if isinstance(verdict.opened, Lead):
        context.standing.verify()
    return _known(context, verdict.opened, business.required_fields)


def _known(
    context: ToolContext, opened: Lead | Claim, required: tuple[str, ...]
) -> Answer:
    """Tell of a lead what a verified caller's prompt would have held."""
    missing = opened.missing(required)
    known: dict[str, object] = {"phone": opened.phone, **opened.fields}
    if opened.name:
        known["name"] = opened.name
    if opened.next_appointment_at is not None:
        at = opened.next_appointment_at
        known["next_appointment"] = context.told([Span(at, at)], datetime.now(UTC))[0]
    return Answer(
        {"verified": True, "known": fitting(known), "missing": missing},
        missing,
        "caller verified",
    )
