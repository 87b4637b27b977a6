"""The AI of a generated call: its speech, and its echo on the caller's line."""

import numpy as np
from numpy.typing import NDArray

from bench.gate.acoustics import (
    FRAME,
    RATE,
    Audio,
    in_room,
    put,
    ratio,
    rms,
    room,
    telephone,
)
from bench.gate.callers import PART, Scene
from bench.gate.pool import speech

AI_DBOV = (-28.0, -13.0)
# How late an echo comes, and how often; its level under what was played.
ECHO_S = ((0.04, 0.42), (0.42, 1.0), (1.0, 1.45))
ECHO_SHARES, ECHO_DB = (0.65, 0.25, 0.1), (-36.0, -11.0)


def played(
    scene: Scene, way: str, is_speech: NDArray[np.bool_], is_greeting: bool = False
) -> Audio:
    """The AI's speech, in one voice: while the caller pauses, on and on, or not.

    A greeting begins with the call.
    """
    bank, rng = scene.bank, scene.rng
    far = np.zeros(scene.total)
    if way == "none":
        return far
    voice, rate = str(rng.choice([*bank.ai, *bank.near])), rng.uniform(0.9, 1.1)
    level = ratio(rng.uniform(*AI_DBOV))
    at = 0
    if not is_greeting:
        at = int(rng.uniform(0, 1.0 if rng.random() < 0.6 else 4) * RATE)
    while at < scene.total:
        count = min(int(rng.uniform(1.5, 12) * RATE), scene.total - at)
        said = speech(bank, voice, int(count * rate) + 1, rng, (0.05, 0.5))
        said = np.interp(np.arange(count) * rate, np.arange(len(said)), said)
        far[at : at + count] = said * level
        at += count + int(rng.uniform(0.3, 3.0) * RATE)
    if way == "gaps":
        far *= _shape(scene, is_speech, (-0.35, 0.25), (0.2, 1.2))
    elif way == "yields":
        far *= _shape(scene, is_speech, (0.14, 0.7), (0.22, 1.2))
    return telephone(far) if rng.random() < 0.5 else far


def _shape(
    scene: Scene,
    is_speech: NDArray[np.bool_],
    yields_s: tuple[float, float],
    resumes_s: tuple[float, float],
) -> Audio:
    """1 while the AI talks, 0 from about a turn's beginning to after its end."""
    talks = np.ones(len(is_speech))
    edges = np.diff(is_speech.astype(int), prepend=0, append=0)
    silent_to = 0
    for start, end in np.flatnonzero(edges).reshape(-1, 2).tolist():
        first = start
        if start >= silent_to:
            first = max(0, start + int(scene.rng.uniform(*yields_s) * RATE) // PART)
        silent_to = end + int(scene.rng.uniform(*resumes_s) * RATE) // PART
        talks[first:silent_to] = 0
    return np.repeat(talks, PART)


def echo(scene: Scene, far: Audio) -> Audio:
    """The echo: a delay and a room, mostly the same for a call; some drift or stop."""
    rng = scene.rng
    out = np.zeros(len(far))
    if not far.any():
        return out
    is_unsteady = rng.random() < 0.15
    stretch = len(far) if rng.random() < 0.6 else 12 * RATE
    if is_unsteady:
        stretch = int(rng.uniform(3, 24) * RATE)
    loss_db = rng.uniform(*ECHO_DB)
    which = int(rng.choice(len(ECHO_S), p=ECHO_SHARES))
    delay_s = rng.uniform(*ECHO_S[which])
    for start in range(0, len(far) - FRAME, stretch):
        part = far[start : start + stretch]
        sound = in_room(part, room(rng, rng.uniform(0.02, 0.3), rng.uniform(0.3, 3)))
        loss_db += rng.uniform(-2, 2)
        sound *= rms(part) / max(rms(sound), 1e-9) * ratio(loss_db)
        if is_unsteady and rng.random() < 0.4:
            sound *= 0
        put(out, start + int(delay_s * RATE), sound)
        delay_s = max(0.02, delay_s + rng.uniform(-0.06, 0.06))
    return telephone(out)
