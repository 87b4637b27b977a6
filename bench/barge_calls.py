"""The calls of `bench.barge`: packaged callers, and nine noises."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench import noises
from bench.cases import RATE, Case, cases, cut
from bench.gate import acoustics, subset
from bench.talk import ai_speech
from dsp.g711 import FRAME_BYTES, decode

# This close to speech nothing counts as false: breath before it, reverberation after.
AROUND_S = 0.2
ECHO_DB = -20.0
ECHO_DELAYS_S = (0.12, 0.4)
ECHO_STRETCH_S = 20
ECHO_ROOM_S, ECHO_DIRECT = 0.08, 2.0


class Onset(NamedTuple):
    """When a caller begins in the clean recording, and is audible in noise; in s."""

    at_s: float
    heard_s: float


class Echo(NamedTuple):
    """The AI's echo while it talks, and its delay in frames."""

    sound: subset.Audio
    delay: int


class Played(NamedTuple):
    """One call: what the caller sends, what the AI says, and the ground truth."""

    frames: list[bytes]
    far: bytes
    onsets: list[Onset]
    is_free: NDArray[np.bool_]  # nobody speaks, frame by frame
    echo: Echo | None = None  # of the speech whose echo is not in the frames

    def frame(self, at: int, is_talking: Callable[[int], bool]) -> bytes:
        """Return the caller's frame, with the echo if the AI talked when it arose."""
        if self.echo is None or at < self.echo.delay:
            return self.frames[at]
        if not is_talking(at - self.echo.delay):
            return self.frames[at]
        sound = self.echo.sound[at * FRAME_BYTES : (at + 1) * FRAME_BYTES]
        return subset.mulaw(_linear(self.frames[at]) + sound)


def callers(every: int) -> Iterator[Played]:
    """Yield every n-th packaged caller, in noise, while the AI talks."""
    for number, case in enumerate(list(cases())[::every]):
        yield _caller(case, number)


def _caller(case: Case, seed: int) -> Played:
    seconds = len(case.frames) * FRAME_BYTES / RATE
    far = subset.mulaw(ai_speech(seconds, seed))
    free = _free(len(case.frames), case.speech)
    return Played(case.frames, far, [Onset(case.onset_s, case.heard_onset_s)], free)


def quiet(kind: str, minutes: float, recorded: Path | None = None) -> Iterator[Played]:
    """Yield one call of a noise while the AI talks and nobody speaks."""
    if recorded is not None:
        near, far = _read(recorded, kind, int(minutes * 60 * RATE))
    else:
        near = noises.make(kind, minutes * 60, seed=1)
        far = ai_speech(minutes * 60, seed=1)
        if kind == noises.ECHO:
            near = near + echo(far, seed=1)
        near, far = subset.mulaw(near), subset.mulaw(far)
    frames = cut(near)
    yield Played(frames, far, [], np.ones(len(frames), bool))


def _read(folder: Path, kind: str, count: int) -> tuple[bytes, bytes]:
    near = (folder / f"{kind}.ulaw").read_bytes()[:count]
    played = folder / f"{kind}.far.ulaw"
    if played.exists():
        return near, played.read_bytes()[:count]
    return near, subset.mulaw(ai_speech(len(near) / RATE, seed=1))


def echo(far: subset.Audio, seed: int) -> subset.Audio:
    """Return the AI's echo at -20 dB, with another delay and room every 20 s."""
    rng = np.random.default_rng(seed)
    out = np.zeros(len(far))
    for start in range(0, len(far), ECHO_STRETCH_S * RATE):
        part = far[start : start + ECHO_STRETCH_S * RATE]
        path = acoustics.room(rng, ECHO_ROOM_S, ECHO_DIRECT)
        sound = acoustics.in_room(part, path)
        place = start + int(rng.uniform(*ECHO_DELAYS_S) * RATE)
        room = out[place : place + len(sound)]
        room += sound[: len(room)] * 10 ** (ECHO_DB / 20)
    return out


def _linear(data: bytes) -> Any:
    return np.frombuffer(decode(data), "<i2") / 32768


def _free(frames: int, turns: list[tuple[float, float]]) -> NDArray[np.bool_]:
    free = np.ones(frames, bool)
    for start, end in turns:
        first = max(0, int((start - AROUND_S) * 50))
        free[first : int((end + AROUND_S) * 50) + 1] = False
    return free
