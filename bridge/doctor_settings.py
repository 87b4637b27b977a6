"""`kolbridge doctor`: what is set, before anything is tried."""

from collections.abc import Mapping
from pathlib import Path
from resource import RLIM_INFINITY

from bridge.connections import descriptors_needed, raise_descriptor_limit
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
    return settings, [*checks, _check_descriptors(settings), _check_prices(settings)]


def _check_descriptors(settings: Settings) -> Check:
    """Say whether each worker may open the files that its calls need."""
    limit, needed = raise_descriptor_limit(), descriptors_needed(settings)
    if limit >= needed or limit == RLIM_INFINITY:
        return Check(
            "open files", True, f"{needed} needed of {limit} a process may open"
        )
    text = (
        f"a process may open {limit}, MAX_CALLS_PER_WORKER="
        f"{settings.max_calls_per_worker} needs {needed}: raise the hard limit "
        "(LimitNOFILE=, docker --ulimit nofile) or lower MAX_CALLS_PER_WORKER"
    )
    return Check("open files", False, text)


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
