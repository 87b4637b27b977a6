"""The identifier by which OpenAI tells one caller of a business from another."""

import hmac

from bridge.call.plan import CallPlan
from bridge.settings.process import Settings


def safety_identifier(settings: Settings, plan: CallPlan) -> str:
    """Return a stable identifier for the caller that does not reveal the number.

    Callers whose number is unproven are told apart by their calls. A caller whom OpenAI
    blocks must block neither the other callers nor the true owner of the number.
    """
    key = settings.openai_api_key or settings.twilio_auth_token or "loopback"
    who = plan.from_number if plan.caller_worth == "verified" else plan.call_sid
    number = f"{plan.business_id}:{who}"
    return hmac.digest(key.encode(), number.encode(), "sha256").hex()
