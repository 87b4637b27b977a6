from collections.abc import Sequence

from bridge.media.playout import Playout
from bridge.media.uplink import Uplink

UNUSUAL: int
GIVEN: int
NOTABLE: int

class Ear:
    is_open: bool
    rx_frames: int
    flood_messages: int
    next_timestamp_ms: int
    spoke_at: float
    voice_logged_at: float
    given: Sequence[bytes]
    def __init__(
        self,
        uplink: Uplink,
        playout: Playout,
        *,
        ends_turns: bool,
        turn_silence_ms: int,
    ) -> None: ...
    def hear(self, data: bytes, now: float) -> int: ...
    def is_flood(self, data: bytes, now: float) -> bool: ...
    def note_malformed(self) -> None: ...
