"""The result of a sandbox call: what the phone and the caller saw."""

from __future__ import annotations

import wave
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

from bridge.sandbox import mulaw
from bridge.sandbox.playout import Echo
from bridge.sandbox.timeline import Happening

EndedBy = Literal["caller", "bridge", "network", "update", "nobody"]


class MediaIn(NamedTuple):
    """Media from the other side: when it came, and how much."""

    at_ms: float
    size_bytes: int


@dataclass
class CallResult:
    """One call as Twilio and the caller saw it; times are in ms of the stream.

    `near` is what the caller said and `far` what they heard, both mu-law from the start
    of the stream, with digital silence where there was nothing.
    """

    call_sid: str
    stream_sid: str
    near: bytes = b""
    far: bytes = b""
    heard: list[bytes] = field(default_factory=list)  # `far` of each stream of the call
    started_at: float | None = None  # monotonic time of ms 0
    happenings: list[Happening] = field(default_factory=list)
    marks: list[Echo] = field(default_factory=list)
    clears_ms: list[float] = field(default_factory=list)
    media: list[MediaIn] = field(default_factory=list)
    raw: list[str | bytes] = field(default_factory=list)  # every frame that came
    frames_sent: int = 0
    frames_lost: int = 0
    # Of those, how many were on their way before the last mark's echo.
    frames_at_last_mark: int = 0
    parameters: dict[str, str] = field(default_factory=dict)
    # What Twilio's debugger would show: each begins with its code.
    warnings: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    spoken: list[str] = field(default_factory=list)  # by Twilio's own <Say>
    documents: list[bytes] = field(default_factory=list)
    webhook_status: int | None = None
    handshake_status: int | None = None
    close_code: int | None = None
    ended_by: EndedBy = "nobody"

    @property
    def frames_received(self) -> int:
        """The media received, in frames of 20 ms."""
        return sum(piece.size_bytes for piece in self.media) // mulaw.FRAME_BYTES

    @property
    def duration_ms(self) -> float:
        """The duration of the stream."""
        return len(self.far) / mulaw.BYTES_PER_MS

    def times_ms(self, kind: str) -> list[float]:
        """Return the time of each happening of a kind."""
        return [event.at_ms for event in self.happenings if event.kind == kind]

    def save(self, path: Path) -> None:
        """Write the call as a stereo WAV: the caller left, the other side right."""
        length = max(len(self.near), len(self.far))
        near = mulaw.decode(self.near.ljust(length, mulaw.SILENCE))
        far = mulaw.decode(self.far.ljust(length, mulaw.SILENCE))
        both = mulaw.decode(bytes(2 * length))
        both[0::2], both[1::2] = near, far
        with wave.open(str(path), "wb") as file:
            file.setnchannels(2)
            file.setsampwidth(2)
            file.setframerate(mulaw.RATE_HZ)
            file.writeframes(mulaw.little_endian(both).tobytes())
