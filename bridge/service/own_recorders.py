"""The flight recorders of this process, from the settings."""

from pathlib import Path

from bridge.recorder.flight_recorder import Recorders
from bridge.settings.process import Settings
from bridge.telemetry.metrics import Metrics


def recorders_of(settings: Settings, metrics: Metrics) -> Recorders | None:
    """Return the flight recorders, if the settings ask for them."""
    if settings.record_dir is None:
        return None
    return Recorders(
        Path(settings.record_dir),
        metrics,
        secrets=settings.secrets,
        keeps_audio=settings.record_audio,
    )
