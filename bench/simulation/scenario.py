"""Scenario: every random choice of one simulated call, derived from its seed.

A seed sets the business's options, the networks of both sides, what the caller says and
when they hang up, and which faults occur. Two runs of a seed are identical.
"""

from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from bridge.settings.options import CallOptions
from dsp.g711 import FRAME_BYTES

CLIPS = Path(__file__).parents[2] / "bridge" / "sandbox" / "clips"
QUIET = b"\xfe\x7e" * (FRAME_BYTES // 2)
# Four bytes of each frame hold its number, in the sixteen softest mu-law values.
STAMP_BYTES = 4
_SPEECH = (
    "human-en-reader-1",
    "human-en-reader-2",
    "human-en-command-1",
    "human-en-command-2",
    "caller-en-interrupts",
    "caller-he-1",
)
_NOISE = ("noise-fan", "noise-line-hum")
# One call in so many has an operator, who steps in.
OPERATED_EVERY, OPERATED = 8, 5
MARKS = ("echoed", "echoed", "echoed", "late", "bunched", "never")


def frames_of(name: str) -> list[bytes]:
    """Return the whole frames of a clip."""
    data = (CLIPS / f"{name}.ulaw").read_bytes()
    whole = len(data) - len(data) % FRAME_BYTES
    return [data[at : at + FRAME_BYTES] for at in range(0, whole, FRAME_BYTES)]


SPEECH = [frames_of(name) for name in _SPEECH]
NOISE = [frames_of(name) for name in _NOISE]


class Link(NamedTuple):
    """One direction of a network: latency and jitter in s; order is kept."""

    latency_s: float
    jitter_s: float


class Scenario:
    """The choices of one call; the fakes use `rng`, too."""

    def __init__(self, seed: int) -> None:
        rng = self.rng = Random(seed)
        self.seed = seed
        self.is_calm = rng.random() < 0.3
        self.phone_up = self._link(0.02)
        self.phone_down = self._link(0.02)
        self.model_up = self._link(0.03)
        self.model_down = self._link(0.03)
        self.marks = rng.choice(MARKS)
        self.start_s = rng.uniform(0.0, 0.6)
        self.tick_late_s = 0.001 if self.is_calm else rng.choice((0.001, 0.004, 0.03))
        self.is_fault = not self.is_calm and rng.random() < 0.6
        self.loss = 0.0 if self.is_calm else rng.choice((0.0, 0.0, 0.01, 0.05))
        self.has_odd_payloads = not self.is_calm and rng.random() < 0.08
        self.greeting = "Hello." if rng.random() < 0.7 else ""
        # One caller in twenty falls silent instead, and the call must end by itself.
        self.hang_up_s = None if rng.random() < 0.05 else rng.expovariate(1 / 8.0)
        self.talks_s = 8.0 if self.hang_up_s is None else float("inf")
        self.hangs_up_rudely = rng.random() < 0.3
        # Consecutive loud frames; some servers miss a quiet caller's short turns.
        self.server_hears_after = 25 if seed % 5 == 2 else 3
        self.stalls = self._stalls()
        self.has_operator = seed % OPERATED_EVERY == OPERATED

    def options(self) -> CallOptions:
        """Return the options of the call's business."""
        rng = self.rng
        chosen: dict[str, Any] = {
            "turn_detection": rng.choice(("server_vad", "semantic_vad", "gate")),
            "turn_silence_ms": rng.choice((200, 500, 500, 900)),
            "noise_calibration_ms": rng.choice((0, 200, 600)),
            "audio_preroll_ms": rng.choice((0, 100, 200, 200, 300)),
            "audio_hangover_frames": rng.choice((0, 4, 10, 10)),
            "voice_threshold_rms": rng.choice((200.0, 500.0)),
            "min_consecutive_voice_frames": rng.choice((1, 3, 3, 8)),
            "barge_in_grace_ms": rng.choice((0, 350, 350, 800)),
            "barge_in_cooldown_ms": rng.choice((0, 300, 1_000)),
            "barge_in_ring_ms": rng.choice((1_500, 2_500)),
            "late_answer_ms": rng.choice((0, 500, 1_500)),
            "playout_lead_ms": rng.choice((60, 300, 300, 600)),
            "idle_prompt_ms": rng.choice((3_000, 4_000, 12_000)),
            "max_call_seconds": rng.choice((30, 1_800)),
            "openai_session_seconds": rng.choice((3_600, 2, 4)),
            "barge_in_ignore_backchannel": rng.random() < 0.3,
            "tool_filler": rng.random() < 0.5,
        }
        return CallOptions(**chosen)

    def caller(self) -> Iterator[bytes]:
        """Yield frames for ever: quiet, speech, noise, a short yes."""
        rng = self.rng
        while True:
            kind = rng.random()
            if kind < 0.4:
                yield from [QUIET] * rng.randrange(5, 100)
            elif kind < 0.75:
                yield from _piece(rng, SPEECH, 15, 150)
            elif kind < 0.9:
                yield from _piece(rng, SPEECH, 3, 20)
            else:
                yield from _piece(rng, NOISE, 10, 100)

    def unstalled(self, at: float) -> float:
        """Return when a process that stalls at times gets to an event due at `at`."""
        for begin, end in self.stalls:
            if begin <= at < end:
                return end
        return at

    def _link(self, latency_s: float) -> Link:
        if self.is_calm:
            return Link(self.rng.uniform(0.002, latency_s), 0.003)
        return Link(
            self.rng.uniform(0.001, 0.12), self.rng.choice((0.0, 0.01, 0.1, 0.4))
        )

    def _stalls(self) -> list[tuple[float, float]]:
        if self.is_calm or self.rng.random() < 0.7:
            return []
        starts = sorted(self.rng.uniform(0, 15) for _ in range(3))
        return [(at, at + self.rng.choice((0.05, 0.2, 1.0))) for at in starts]


def _piece(
    rng: Random, clips: list[list[bytes]], low: int, high: int
) -> Iterator[bytes]:
    clip = rng.choice(clips)
    length = rng.randrange(low, high)
    first = rng.randrange(max(1, len(clip) - length))
    return iter(clip[first : first + length])


def stamp(frame: bytes, number: int) -> bytes:
    """Return the frame with its number written into its last four samples."""
    return frame[:-STAMP_BYTES] + bytes(
        0xF0 | (number >> shift & 15) for shift in (12, 8, 4, 0)
    )


def number_of(frame: bytes) -> int:
    """Return the number that `stamp` wrote."""
    number = 0
    for value in frame[-STAMP_BYTES:]:
        number = number << 4 | value & 15
    return number
