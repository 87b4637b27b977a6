"""Generated calls as training data: features computed by the gate itself, and labels.

The calls are the evaluator's (`corpus.py` of its folder), with more voices, knocks and
lines. The compiled gate computes the features, so that training and production use the
same code.
"""

import importlib
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.gate.lines import vary
from dsp.g711 import decode, encode, frame_levels
from dsp.gate import NoiseGate

FRAME = 160
# The evaluator counts an activation in the 200 ms before a turn as no error.
GRACE_SAMPLES = 1_600
# A turn begins after half a second without speech.
ONSET_PAUSE_FRAMES, ONSET_FRAMES, ONSET_WEIGHT = 25, 10, 2.0
RATE = 8_000
# The longest time for which the AI talks; 0 leaves the evaluator's call as it is.
TALK_ON_S = (0.0, 0.0, 8.0, 20.0, 60.0)
TALK_ON_DBOV = -20.0
SHORT_GAP_FRAMES = 5  # a pause up to 100 ms counts as speech


class Calls(NamedTuple):
    """Features [frames, inputs], labels and weights [frames] of each call."""

    features: list[NDArray[np.float32]]
    labels: list[NDArray[np.float32]]
    weights: list[NDArray[np.float32]]


def evaluator(folder: Path) -> tuple[Any, Any, Any]:
    """Import the evaluator's `corpus`, `evaluate` and `sources` from its folder."""
    sys.path.append(str(folder))
    names = ("corpus", "evaluate", "sources")
    corpus, evaluate, sources = (importlib.import_module(name) for name in names)
    return corpus, evaluate, sources


def generate(folder: Path, split: dict[str, Any], seed: int) -> Calls:
    """Generate the calls of one seed; return features, labels and weights."""
    corpus, evaluate, _ = evaluator(folder)
    bank, pool = _varied_bank(corpus)(split), corpus.Pool(split)
    calls = Calls([], [], [])
    for at, condition in enumerate(corpus.conditions(np.random.default_rng(seed))):
        rng = np.random.default_rng([seed, at, 1])
        bank.rate = rng.choice([1.0, 1.0, rng.uniform(0.86, 1.16)])
        near, far, meta = corpus.make_call(str(at), condition, split, bank, pool, rng)
        near, far = _talk_on(corpus, bank, near, far, meta, rng)
        near = _disturb(corpus, pool, near, meta, evaluate, rng)
        labels, weights = label(evaluate, meta)
        calls.features.append(features(near.tobytes(), far.tobytes()))
        calls.labels.append(labels)
        calls.weights.append(weights)
    return calls


def features(near: bytes, far: bytes) -> NDArray[np.float32]:
    """Return the score's inputs from the gate itself, frame by frame."""
    gate = NoiseGate()
    levels = frame_levels(far)
    rows = []
    for at in range(len(near) // FRAME):
        gate.analyze(near[FRAME * at : FRAME * at + FRAME], levels[at] - 127.0)
        rows.append(gate.features)
    return np.array(rows, np.float32)


def label(
    evaluate: Any, meta: dict[str, Any]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return (is speech, weight) of the frames that arrived.

    A pause of up to 100 ms inside speech counts as speech, at half the weight. Shortly
    after a turn's end a frame counts as silence, at half the weight.
    """
    core, free, _, segments = evaluate.frame_truth(meta)
    labels = core.copy()
    weights = np.where(core | free, 1.0, 0.5).astype(np.float32)
    for start, _ in segments:
        weights[max(0, (start - GRACE_SAMPLES) // FRAME) : start // FRAME] = 1
    edges = np.diff(np.concatenate([[1], core.astype(int), [1]]))
    starts, ends = np.where(edges == -1)[0], np.where(edges == 1)[0]
    for start, end in zip(starts, ends, strict=True):
        if end - start <= SHORT_GAP_FRAMES and start > 0 and end < len(core):
            labels[start:end] = True
            weights[start:end] = 0.5
    arrived = np.ones(len(core), bool)
    arrived[meta["lost"]] = False
    labels, weights = labels[arrived].astype(np.float32), weights[arrived]
    _stress_onsets(labels, weights)
    return labels, weights


def _stress_onsets(labels: NDArray[np.float32], weights: NDArray[np.float32]) -> None:
    """Double the weight of a turn's first 200 ms, on which an interruption waits."""
    for start in np.flatnonzero(np.diff(labels, prepend=0) == 1):
        if not labels[max(0, start - ONSET_PAUSE_FRAMES) : start].any():
            weights[start : start + ONSET_FRAMES] *= ONSET_WEIGHT


def _varied_bank(corpus: Any) -> Any:
    class VariedBank(corpus.Bank):  # type: ignore[misc]  # the evaluator has no types
        """The speakers at another rate: another pitch and vocal tract."""

        rate = 1.0

        def clip(self, index: int) -> tuple[Any, Any]:
            audio, mask = super().clip(index)
            if self.rate == 1.0:
                return audio, mask
            audio = corpus.resample(audio, 8000, round(8000 / self.rate))
            parts = len(audio) // 80
            at = np.minimum((np.arange(parts) * self.rate).astype(int), len(mask) - 1)
            return audio, mask[at]

    return VariedBank


def _talk_on(
    corpus: Any, bank: Any, near: Any, far: Any, meta: Any, rng: Any
) -> tuple[Any, Any]:
    """Let the AI talk for long, during noise and during the caller's speech.

    In the evaluator's calls the AI is heard for a few seconds, mostly just before the
    caller speaks. A net that learns from those alone expects the caller whenever the AI
    continues to talk.
    """
    longest_s = rng.choice(TALK_ON_S)
    if not longest_s:
        return near, far
    talk, place = np.zeros(len(far)), int(rng.uniform(0, 2) * RATE)
    while place < len(far):
        count = min(int(rng.uniform(0.4, 1) * longest_s * RATE), len(far) - place)
        voice = rng.choice(bank.ai if rng.random() < 0.5 else bank.near)
        speech = corpus.speech_stream(bank, voice, count, rng, (0.1, 0.5))
        speech = corpus.tel(speech)
        level = 10 ** (TALK_ON_DBOV / 20)
        talk[place : place + count] = speech / corpus.rms(speech) * level
        place += count + int(rng.uniform(0.5, 5) * RATE)
    # The evaluator's own far audio already has its echo.
    talk[np.frombuffer(decode(far.tobytes()), "<i2") != 0] = 0
    if meta["echo"] is not None:
        path = corpus.rir(rng, 0.08, 2.0)
        late = int(rng.uniform(0.12, 0.4) * RATE)
        echo = np.convolve(talk, path)[: len(talk) - late]
        loss = corpus.rms(talk) / max(corpus.rms(echo), 1e-9)
        heard = np.frombuffer(decode(near.tobytes()), "<i2") / 32768
        heard[late:] += echo * loss * 10 ** (meta["echo"] / 20)
        near = _mulaw(heard)
    played = np.frombuffer(decode(far.tobytes()), "<i2") / 32768 + talk
    return near, _mulaw(played)


def _mulaw(x: Any) -> Any:
    pcm = np.round(x * 32768).clip(-32768, 32767).astype("<i2")
    return np.frombuffer(encode(pcm.tobytes()), np.uint8)


def _disturb(
    corpus: Any, pool: Any, near: Any, meta: Any, evaluate: Any, rng: Any
) -> Any:
    """Add knocks, coughs and tones where nobody speaks; apply the effects of a line."""
    x = np.frombuffer(decode(near.tobytes()), "<i2").astype(float) / 32768
    if not meta["lost"] and rng.random() < 0.6:
        _, free, _, _ = evaluate.frame_truth(meta)
        for _ in range(int(rng.integers(1, 7))):
            at = FRAME * int(rng.choice(np.flatnonzero(free)))
            kind = rng.choice(["bump", "bump", "bump", "cough", "dtmf"])
            sound = {
                "bump": lambda: corpus.bump(rng, pool),
                "cough": lambda: corpus.cough(rng),
                "dtmf": lambda: corpus.dtmf(rng, int(rng.integers(1, 4))),
            }[kind]()
            room = _free_run(free, at // FRAME) * FRAME
            sound = sound[:room]
            if len(sound) < 80:
                continue
            if kind != "dtmf":
                sound = corpus.tel(sound)
            x[at : at + len(sound)] += corpus.level_peak(sound, rng.uniform(-32, -9))
    return _mulaw(vary(x, rng))


def _free_run(free: Any, start: int) -> int:
    """Count the frames without speech from `start` on."""
    busy = np.flatnonzero(~free[start:])
    return int(busy[0]) if len(busy) else len(free) - start
