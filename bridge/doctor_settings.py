"""`kolbridge doctor`: what is set, before anything is tried."""

from collections.abc import Mapping
from pathlib import Path

from bridge.doctor_check import Check
from bridge.prices import PRICES_DATE, VENDOR_PRICES
from bridge.settings import Settings, SettingsError, check_complete, load


def check_settings(
    env: Mapping[str, str], dotenv: Path
) -> tuple[Settings | None, list[Check]]:
    """Check what is set; without settings that can be read nothing else can be."""
    try:
        settings = load(env, dotenv)
    except SettingsError as error:
        return None, [Check("settings", False, str(error))]
    missing = [Check("settings", False, line) for line in check_complete(settings)]
    if settings.public_url is None:
        text = "PUBLIC_URL is not set: Twilio needs https://name to reach this machine"
        missing.append(Check("settings", False, text))
    checks = missing or [Check("settings", True, "complete")]
    return settings, [*checks, _check_prices(settings)]


def _check_prices(settings: Settings) -> Check:
    """Say by which prices calls have a cost; to have none is no fault."""
    prices = settings.openai_prices
    call = settings.call
    unknown = [
        model
        for model in (call.openai_model, call.openai_transcription_model)
        if model not in prices
    ]
    if unknown:
        models = " and ".join(unknown)
        text = f"calls are written without: OPENAI_PRICES has no price of {models}"
    elif prices is VENDOR_PRICES:
        text = f"by the vendor's prices of {PRICES_DATE}, in US dollars"
    else:
        text = "by OPENAI_PRICES"
    return Check("costs", True, text)
