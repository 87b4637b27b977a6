"""How a sandbox model behaves, and the records that it keeps of a session."""

from dataclasses import dataclass
from typing import Any, NamedTuple

# Races that a correct client meets; every other error is a mistake of the client.
RACES = frozenset(
    (
        "response_cancel_not_active",
        "input_audio_buffer_commit_empty",
        "conversation_already_has_active_response",
        "item_create_duplicate_item_id",
        "session_expired",
    )
)


@dataclass(frozen=True)
class Options:
    """How the sandbox model behaves; the defaults resemble the real one."""

    speed: float = 8.0  # times real time
    thinking_ms: float = 250
    transcription_ms: float = 300  # after the commit
    configure_ms: float = 20  # from session.update to session.updated
    delta_ms: tuple[float, float] = (40, 420)
    expires_after_s: float = 3600
    idle_scale: float = 1.0  # < 1 shortens idle timeouts
    seed: int = 1
    # This takes 50 kB per second of a call; a load test switches it off.
    keeps_events: bool = True


class Timed(NamedTuple):
    """An event and its time on the monotonic clock."""

    at: float
    event: dict[str, Any]


class TimedAudio(NamedTuple):
    """Audio a client wrote, and when."""

    at: float
    audio: bytes
