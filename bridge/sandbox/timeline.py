"""The scripted caller: what they say, wait for and press, one frame at a time.

`Timeline.next_frame` is called every 20 ms with what the caller hears. It has no clock.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from bridge.sandbox import mulaw
from bridge.sandbox.clips import Clip
from bridge.sandbox.playout import PhonePlayout

FRAME_MS = 20
# The two tones of each key: ITU-T Q.23.
_TONES_HZ = {
    key: (row_hz, column_hz)
    for row_hz, keys in zip(
        (697, 770, 852, 941), ("123A", "456B", "789C", "*0#D"), strict=True
    )
    for column_hz, key in zip((1209, 1336, 1477, 1633), keys, strict=True)
}
_TONE_PEAK = 8000  # about -12 dBFS each


@dataclass(frozen=True)
class Say:
    """Speak a recording to its end."""

    clip: Clip | bytes


@dataclass(frozen=True)
class Noise:
    """Play a recording in the background from now on; None ends it."""

    clip: Clip | bytes | None
    gain_db: float = 0.0


@dataclass(frozen=True)
class Wait:
    """Keep silent for a while."""

    ms: float


@dataclass(frozen=True)
class WaitForAi:
    """Keep silent until the other side speaks ("starts") or has spoken ("ends").

    Speech that is going on counts; speech that ended before this step does not.
    """

    until: Literal["starts", "ends"] = "ends"
    quiet_ms: float = 800
    timeout_ms: float = 20_000


@dataclass(frozen=True)
class InterruptAfter:
    """Wait until this much of the other side's utterance was heard; then go on."""

    ms: float
    timeout_ms: float = 20_000


@dataclass(frozen=True)
class Digit:
    """Press a key; `is_audible` leaves its tone in the caller's audio."""

    key: str
    ms: float = 160
    is_audible: bool = False


@dataclass(frozen=True)
class Raw:
    """Send a given frame, or one made from the stream's sid, to test bad input."""

    frame: str | bytes | Callable[[str], str | bytes]


@dataclass(frozen=True)
class HangUp:
    """End the call."""


@dataclass(frozen=True)
class StayOnLine:
    """Keep silent until the other side ends the call."""


Step = (
    Say | Noise | Wait | WaitForAi | InterruptAfter | Digit | Raw | HangUp | StayOnLine
)


class Happening(NamedTuple):
    """An event on the caller's side, in ms of the stream."""

    at_ms: float
    kind: str
    detail: str = ""


class Tick(NamedTuple):
    """One frame of the caller, and what they do meanwhile."""

    audio: bytes
    digit: str | None = None
    raw: tuple[Raw, ...] = ()
    hangs_up: bool = False


class Timeline:
    """A caller who follows their steps and hangs up after the last."""

    def __init__(self, steps: Sequence[Step]) -> None:
        self._steps = list(steps)
        self._frames = 0
        self._frames_in_step = 0
        self._speech = b""
        self._noise = b""
        self._noise_at = 0
        self._utterances_before: int | None = None
        self.happenings: list[Happening] = []
        self.is_over = False

    def begin_stream(self) -> None:
        """Go on in another stream of the same call: in the middle of a word, if so."""
        self._utterances_before = None

    @property
    def at_ms(self) -> float:
        """The time of the next frame."""
        return self._frames * FRAME_MS

    def next_frame(self, playout: PhonePlayout) -> Tick:
        """Return the next 20 ms, given what the caller has heard."""
        digit = None
        raw: list[Raw] = []
        while self._steps and not self.is_over:
            step = self._steps[0]
            if isinstance(step, Raw):
                raw.append(step)
            elif isinstance(step, Digit) and not self._frames_in_step:
                digit = step.key
            if not self._is_done(step, playout):
                break
            self._next_step()
        self.is_over = self.is_over or not self._steps
        if self.is_over:
            self._note("hangs up")
        audio = self._take_audio()
        self._frames += 1
        self._frames_in_step += 1
        return Tick(audio, digit, tuple(raw), self.is_over)

    def rest(self) -> list[Raw]:
        """Return the raw frames that follow the hang-up."""
        return [step for step in self._steps if isinstance(step, Raw)]

    def _next_step(self) -> None:
        self._steps.pop(0)
        self._frames_in_step = 0
        self._utterances_before = None

    def _note(self, kind: str, detail: str = "") -> None:
        self.happenings.append(Happening(self.at_ms, kind, detail))

    # --- steps ---

    def _is_done(self, step: Step, playout: PhonePlayout) -> bool:
        elapsed_ms = self._frames_in_step * FRAME_MS
        match step:
            case Say():
                return self._is_said(step)
            case Noise():
                self._set_noise(step)
                return True
            case Wait():
                return elapsed_ms >= step.ms
            case WaitForAi() | InterruptAfter():
                return self._has_waited(step, playout, elapsed_ms)
            case Digit():
                if not elapsed_ms:
                    self._note("presses", step.key)
                    self._speech = _tone(step) if step.is_audible else b""
                return elapsed_ms >= step.ms
            case Raw():
                return True
            case HangUp():
                self.is_over = True
                return True
            case StayOnLine():
                return False

    def _is_said(self, step: Say) -> bool:
        if not self._frames_in_step:
            self._speech = _audio(step.clip)
            self._note("says", step.clip.name if isinstance(step.clip, Clip) else "")
            return not self._speech
        if self._speech:
            return False
        self._note("has said")
        return True

    def _set_noise(self, step: Noise) -> None:
        audio = _audio(step.clip)
        repeats = -(-mulaw.FRAME_BYTES // len(audio)) if audio else 0
        self._noise = mulaw.scaled(audio * repeats, step.gain_db)
        self._noise_at = 0
        self._note("noise", f"{mulaw.level_dbfs(self._noise):.0f} dBFS")

    def _has_waited(
        self, step: WaitForAi | InterruptAfter, playout: PhonePlayout, elapsed_ms: float
    ) -> bool:
        if self._utterances_before is None:
            goes_on = playout.utterance_ms > 0
            self._utterances_before = playout.utterances - goes_on
        if elapsed_ms >= step.timeout_ms:
            self._note("waited in vain", repr(step))
            return True
        if playout.utterances <= self._utterances_before:
            return False
        if isinstance(step, InterruptAfter):
            return playout.utterance_ms >= step.ms
        return step.until == "starts" or playout.quiet_ms >= step.quiet_ms

    # --- sound ---

    def _take_audio(self) -> bytes:
        size = mulaw.FRAME_BYTES
        speech, self._speech = self._speech[:size], self._speech[size:]
        if not self._noise:
            return speech.ljust(size, mulaw.SILENCE)
        noise = self._take_noise(size)
        if not speech:
            return noise
        return mulaw.mixed(speech.ljust(size, mulaw.SILENCE), noise)

    def _take_noise(self, size: int) -> bytes:
        start = self._noise_at
        piece = self._noise[start : start + size]
        piece += self._noise[: size - len(piece)]
        self._noise_at = (start + size) % len(self._noise)
        return piece


def _audio(clip: Clip | bytes | None) -> bytes:
    return clip.audio if isinstance(clip, Clip) else clip or b""


def _tone(step: Digit) -> bytes:
    low_hz, high_hz = _TONES_HZ[step.key]
    turn = 2 * math.pi / mulaw.RATE_HZ
    return mulaw.encode(
        [
            round(
                _TONE_PEAK
                * (math.sin(turn * low_hz * n) + math.sin(turn * high_hz * n))
            )
            for n in range(round(step.ms * mulaw.BYTES_PER_MS))
        ]
    )
