"""Where a call's model is, and how the bridge names itself there."""

from urllib.parse import quote

from bridge.call.plan import CallPlan
from bridge.line.safety_identifier import safety_identifier
from bridge.settings.process import Settings


def address_of(settings: Settings, plan: CallPlan) -> tuple[str, dict[str, str]]:
    """Return the URL and the headers with which a call's session is opened."""
    url = settings.openai_realtime_url
    join = "&" if "?" in url else "?"
    url = f"{url}{join}model={quote(plan.options.openai_model)}"
    headers = {"OpenAI-Safety-Identifier": safety_identifier(settings, plan)}
    if settings.openai_api_key is not None:
        headers["Authorization"] = f"Bearer {settings.openai_api_key}"
    return url, headers
