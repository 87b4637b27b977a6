"""Generated calls as training data: features by the gate itself, and labels.

The calls are the evaluator's (`corpus.py` of its folder), with more voices, knocks and
lines than it has. Features come out of the compiled gate, so that what is trained on is
what runs.
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
GRACE_SAMPLES = 1_600  # 200 ms before a turn are nobody's mistake
SHORT_GAP_FRAMES = 5  # a pause up to 100 ms is speech to a telephone


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
    """Generate one seed's calls and return what is learnt from."""
    corpus, evaluate, _ = evaluator(folder)
    bank, pool = _varied_bank(corpus)(split), corpus.Pool(split)
    calls = Calls([], [], [])
    for at, condition in enumerate(corpus.conditions(np.random.default_rng(seed))):
        rng = np.random.default_rng([seed, at, 1])
        bank.rate = rng.choice([1.0, 1.0, rng.uniform(0.86, 1.16)])
        near, far, meta = corpus.make_call(str(at), condition, split, bank, pool, rng)
        near = _disturb(corpus, pool, near, meta, evaluate, rng)
        labels, weights = label(evaluate, meta)
        calls.features.append(features(near.tobytes(), far.tobytes()))
        calls.labels.append(labels)
        calls.weights.append(weights)
    return calls


def features(near: bytes, far: bytes) -> NDArray[np.float32]:
    """Return the gate's own inputs of the score, frame by frame."""
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

    Frames within the grace after a turn weigh nothing; those before an onset count as
    not speech; a pause of up to 100 ms inside speech is speech at half the weight.
    """
    core, free, _, segments = evaluate.frame_truth(meta)
    labels = core.copy()
    weights = (core | free).astype(np.float32)
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
    return labels[arrived].astype(np.float32), weights[arrived]


def _varied_bank(corpus: Any) -> Any:
    class VariedBank(corpus.Bank):  # type: ignore[misc]  # the evaluator has no types
        """The speakers at another rate: other pitch, other vocal tract."""

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


def _disturb(
    corpus: Any, pool: Any, near: Any, meta: Any, evaluate: Any, rng: Any
) -> Any:
    """Add knocks, coughs and tones where nobody speaks, and put it on a line."""
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
    x = vary(x, rng)
    pcm = np.round(x * 32768).clip(-32768, 32767).astype("<i2")
    return np.frombuffer(encode(pcm.tobytes()), np.uint8)


def _free_run(free: Any, start: int) -> int:
    """Count the frames without speech from `start` on."""
    busy = np.flatnonzero(~free[start:])
    return int(busy[0]) if len(busy) else len(free) - start
