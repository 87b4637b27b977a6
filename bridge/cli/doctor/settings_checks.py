"""`kolbridge doctor`: what is set, before anything is tried."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from pathlib import Path
from resource import RLIM_INFINITY
from stat import S_IROTH

from bridge.cli.doctor.check import Check, warning
from bridge.ports.connections import descriptors_needed, raise_descriptor_limit
from bridge.settings.options import CallOptions
from bridge.settings.prices import PRICES_DATE, VENDOR_PRICES
from bridge.settings.process import (
    Settings,
    SettingsError,
    check_complete,
    load,
    missing_of,
    warnings_of,
)

# The shutdown dates of models, as the vendor's pages announced them in November 2026.
_JANUARY, _FEBRUARY = date(2027, 1, 20), date(2027, 2, 26)
SHUTDOWNS = {
    "gpt-realtime": _JANUARY,
    "gpt-realtime-2025-08-28": _JANUARY,
    "gpt-realtime-mini": _JANUARY,
    "gpt-realtime-mini-2025-12-15": _JANUARY,
    "whisper-1": _FEBRUARY,
    "gpt-4o-transcribe": _FEBRUARY,
    "gpt-4o-mini-transcribe": _FEBRUARY,
    "gpt-4o-mini-transcribe-2025-12-15": _FEBRUARY,
    "gpt-4o-transcribe-diarize": _FEBRUARY,
}
# The models of the beta interface, which no longer exists.
_GONE = ("gpt-4o-realtime-preview", "gpt-4o-mini-realtime-preview")
_BETA_ENDED = date(2026, 5, 1)


def check_settings(
    env: Mapping[str, str], dotenv: Path
) -> tuple[Settings | None, list[Check]]:
    """Check what is set; without readable settings there are no further checks."""
    ignored = [warning("settings", line) for line in warnings_of(env, dotenv)]
    ignored += _check_secrecy(dotenv)
    try:
        settings = load(env, dotenv)
    except SettingsError as error:
        lines = [*error.lines, *missing_of(error)]
        return None, [*(Check("settings", False, line) for line in lines), *ignored]
    missing = [Check("settings", False, line) for line in check_complete(settings)]
    if settings.public_url is None:
        text = "PUBLIC_URL is not set: Twilio needs https://name to reach this machine"
        missing.append(Check("settings", False, text))
    checks = missing or [Check("settings", True, "complete")]
    files, prices = _check_descriptors(settings), _check_prices(settings)
    return settings, [*checks, *ignored, files, prices]


def _check_secrecy(dotenv: Path) -> Iterator[Check]:
    """Warn if every user of the machine can read the file with the keys."""
    if dotenv.exists() and dotenv.stat().st_mode & S_IROTH:
        text = f"every user of this machine can read {dotenv}: chmod o= {dotenv}"
        yield warning("settings", text)


def _check_descriptors(settings: Settings) -> Check:
    """Check that each worker may open the files that its calls need."""
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


def check_shutdowns(of: str, options: CallOptions, today: date) -> Iterator[Check]:
    """Tell when the vendor shuts down a model that calls use; `of` says whose calls."""
    for name, model in (
        ("OPENAI_MODEL", options.openai_model),
        ("OPENAI_TRANSCRIPTION_MODEL", options.openai_transcription_model),
    ):
        ends = _BETA_ENDED if model.startswith(_GONE) else SHUTDOWNS.get(model)
        if ends is None:
            continue
        text = f"{name}={model} is switched off by the vendor on {ends}"
        if ends <= today:
            yield Check(f"model of {of}", False, f"{text}: choose another")
        else:
            days = (ends - today).days
            yield warning(f"model of {of}", f"{text}, in {days} days: choose another")


def distinct(checks: Iterable[Check]) -> list[Check]:
    """Return each line once."""
    return list(dict.fromkeys(checks))


def _check_prices(settings: Settings) -> Check:
    """Tell which prices calls are costed by; to have none is no fault."""
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
        return warning("costs", text)
    if prices is VENDOR_PRICES:
        text = f"by the vendor's prices of {PRICES_DATE}, in US dollars"
    else:
        text = "by OPENAI_PRICES"
    return Check("costs", True, text)
