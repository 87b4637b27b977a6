"""Generated telephone calls with ground truth, as training data of the learned scores.

A call has a caller, the AI, a background, single sounds and a line. `KINDS` are the
mixtures: callers who take turns with the AI, who talk on for half a minute, who
interrupt, who say single words, and calls in which nobody near speaks. Callers begin at
any moment from the first frame on, and half of them are in a room. The components of a
call are known separately, so that speech which the others cover has a low weight.

The compiled gate computes the features, so that training and production use the same
code.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.gate.acoustics import (
    FRAME,
    RATE,
    Audio,
    at_peak,
    put,
    ratio,
    rms,
    telephone,
)
from bench.gate.ai_side import echo, played
from bench.gate.callers import PART, Scene, in_some_room, spoken
from bench.gate.events import EVENTS, event
from bench.gate.lines import vary
from bench.gate.noises import noise
from bench.gate.pool import Sounds
from bench.gate.subset import mulaw
from dsp.g711 import frame_levels
from dsp.gate import NoiseGate

FAR_HEARD_DBFS = -60.0  # as in dsp/gate.pyx
LINE_DBOV = (-74.0, -60.0)
CALLER_DBOV, SNR_DB, QUIET_DBOV = (-40.0, -13.0), (0.0, 28.0), (-54.0, -24.0)
EVENT_DBOV = {
    "bump": (-32.0, -9.0),
    "keyboard": (-42.0, -20.0),
    "cough": (-32.0, -12.0),
    "sneeze": (-32.0, -12.0),
    "bark": (-36.0, -12.0),
    "baby": (-36.0, -14.0),
    "dtmf": (-20.0, -8.0),
    "ring": (-24.0, -14.0),
}
# Of the calls in which the AI talks on, so many begin with its first word, and so many
# of their callers talk over it at once.
GREETINGS = (0.4, 0.6)
# A frame within 200 ms before a turn, or after it, is no error.
GRACE_FRAMES, SHORT_GAP_FRAMES = 10, 5
ONSET_PAUSE_FRAMES = 25
COVERED_DB = 3.0


class Kind(NamedTuple):
    """A mixture of calls; each pair of a tuple is a value and its share."""

    share: float
    caller: tuple[tuple[str, float], ...]  # turns, talks_on, words, nobody
    ai: tuple[tuple[str, float], ...]  # none, gaps, talks_on, yields
    noise: tuple[tuple[str, float], ...]
    events: float  # share of the calls with single sounds
    quiet_dbov: tuple[float, float] = QUIET_DBOV  # the noise where nobody speaks
    sounds: tuple[str, ...] = EVENTS
    greetings: tuple[float, float] = GREETINGS


AROUND = (
    ("none", 0.20), ("pink", 0.12), ("fan", 0.07), ("hum", 0.05), ("street", 0.09),
    ("car", 0.06), ("kitchen", 0.06), ("station", 0.05), ("babble", 0.11),
    ("music", 0.08), ("tv", 0.08), ("tune", 0.03),
)  # fmt: skip
ALONE = (
    ("none", 0.12), ("pink", 0.02), ("fan", 0.02), ("hum", 0.03), ("street", 0.04),
    ("car", 0.02), ("kitchen", 0.06), ("station", 0.06), ("babble", 0.23),
    ("music", 0.11), ("tv", 0.26), ("tune", 0.03),
)  # fmt: skip
KINDS = (
    Kind(
        0.36,
        (("turns", 0.6), ("talks_on", 0.4)),
        (("none", 0.25), ("gaps", 0.65), ("yields", 0.1)),
        AROUND,
        0.45,
    ),
    Kind(
        0.22,
        (("turns", 1.0),),
        (("talks_on", 0.5), ("yields", 0.5)),
        AROUND,
        0.35,
    ),
    Kind(0.10, (("words", 1.0),), (("none", 0.5), ("gaps", 0.5)), AROUND, 0.3),
    Kind(0.32, (("nobody", 1.0),), (("none", 0.3), ("talks_on", 0.7)), ALONE, 0.4),
)

# For the second net: the AI talks in nearly all of the calls.
OVER_ALONE = (
    ("none", 0.20), ("pink", 0.02), ("fan", 0.02), ("hum", 0.03), ("street", 0.05),
    ("kitchen", 0.06), ("station", 0.05), ("babble", 0.14), ("music", 0.11),
    ("tv", 0.28), ("tune", 0.04),
)  # fmt: skip
OVER_KINDS = (
    Kind(
        0.19,
        (("turns", 0.6), ("talks_on", 0.4)),
        (("none", 0.25), ("gaps", 0.65), ("yields", 0.1)),
        AROUND,
        0.45,
    ),
    Kind(
        0.36,
        (("turns", 1.0),),
        (("talks_on", 0.5), ("yields", 0.5)),
        AROUND,
        0.35,
        greetings=(0.7, 0.8),
    ),
    Kind(0.05, (("words", 1.0),), (("none", 0.5), ("gaps", 0.5)), AROUND, 0.3),
    Kind(
        0.40, (("nobody", 1.0),), (("none", 0.15), ("talks_on", 0.85)), OVER_ALONE, 0.6
    ),
)
# For the second net, too: nobody speaks to the AI, but others or animals are heard.
TALK_KINDS = (
    Kind(
        1.0,
        (("nobody", 1.0),),
        (("none", 0.05), ("talks_on", 0.95)),
        (("none", 0.15), ("talk", 0.75), ("babble", 0.10)),
        0.5,
        (-42.0, -20.0),
    ),
)
EVENT_KINDS = (
    Kind(
        1.0,
        (("nobody", 1.0),),
        (("none", 0.05), ("talks_on", 0.95)),
        (("none", 0.7), ("pink", 0.1), ("street", 0.1), ("kitchen", 0.1)),
        1.0,
        sounds=("bark", "bark", "bark", "baby", "cough", "sneeze", "bump"),
    ),
)


class Calls(NamedTuple):
    """Of each call features [frames, inputs], labels [frames], weights [frames, 2]."""

    features: list[NDArray[np.float32]]
    labels: list[NDArray[np.float32]]
    weights: list[NDArray[np.float32]]


class Call(NamedTuple):
    """Both sides in mu-law, the truth by frames, and what the call is made of."""

    near: bytes
    far: bytes
    is_speech: NDArray[np.bool_]
    is_heard: NDArray[np.bool_]  # the caller is louder than the rest, or hardly softer
    caller: str
    noise: str
    snr_db: float  # infinite in silence


def generate(
    sounds: Sounds, count: int, seed: int, kinds: tuple[Kind, ...] = KINDS
) -> Calls:
    """Generate `count` calls of these kinds; return features, labels and weights."""
    calls = Calls([], [], [])
    for at in range(count):
        call = make(sounds, np.random.default_rng([seed, at, 3]), kinds)
        rows, is_played = inputs(call.near, call.far)
        labels, weights = weigh(call.is_speech, call.is_heard, is_played)
        calls.features.append(rows)
        calls.labels.append(labels)
        calls.weights.append(weights)
    return calls


def inputs(near: bytes, far: bytes) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return the score's inputs from the gate itself, and where the AI may be heard."""
    gate, levels = NoiseGate(), frame_levels(far)
    rows, is_played = [], []
    for at in range(len(near) // FRAME):
        gate.analyze(near[FRAME * at : FRAME * at + FRAME], levels[at] - 127.0)
        is_played.append(gate.far_dbfs >= FAR_HEARD_DBFS)
        rows.append(gate.features)
    return np.array(rows, np.float32), np.array(is_played)


def weigh(
    is_speech: NDArray[np.bool_],
    is_heard: NDArray[np.bool_],
    is_played: NDArray[np.bool_],
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return each frame's label, and its weight for both outputs.

    A pause of up to 100 ms counts as speech, at half the weight. The first 200 ms of a
    turn weigh double for the first output, the first 300 ms three times for the second,
    which learns from frames in which the AI may be heard.
    """
    frames = len(is_speech)
    labels = is_speech.astype(np.float32)
    weights = np.ones((frames, 2), np.float32)
    weights[:, 1] = np.where(is_speech, 0.5, 2.0)
    edges = np.flatnonzero(np.diff(is_speech.astype(int), prepend=0, append=0))
    turns = edges.reshape(-1, 2)
    last_end = -ONSET_PAUSE_FRAMES
    for at, (start, end) in enumerate(turns.tolist()):
        pause = start - last_end
        if at and pause <= SHORT_GAP_FRAMES:
            labels[last_end:start] = 1
            weights[last_end:start] = 0.5
        elif at and pause <= 2 * GRACE_FRAMES:
            weights[last_end:start] = 0.5
        if pause >= ONSET_PAUSE_FRAMES:
            weights[start : start + 10, 0] = 2.0
            weights[start : start + 15, 1] = 3.0
        weights[end : min(end + GRACE_FRAMES, frames), 0] = 0.6
        weights[end : min(end + 25, frames), 1] = 0.5
        last_end = end
    is_covered = is_speech & ~is_heard
    weights[is_covered] *= np.array([0.5, 0.1], np.float32)
    weights[:, 1] *= is_played
    return labels, weights


def make(
    sounds: Sounds, rng: np.random.Generator, kinds: tuple[Kind, ...] = KINDS
) -> Call:
    """Make one call of a kind drawn by its share."""
    kind = kinds[int(rng.choice(len(kinds), p=[kind.share for kind in kinds]))]
    scene = Scene(sounds.bank, sounds, rng, int(rng.uniform(18, 44)) * RATE)
    caller, ai = _drawn(kind.caller, rng), _drawn(kind.ai, rng)
    near, voice = np.zeros(scene.total), ""
    is_speech = np.zeros(scene.total // PART, bool)
    level_db = float(
        rng.uniform(*(kind.quiet_dbov if caller == "nobody" else CALLER_DBOV))
    )
    is_over = ai in ("talks_on", "yields")
    greetings, at_once = kind.greetings
    is_greeting = is_over and rng.random() < greetings
    if caller != "nobody":
        is_at_once = is_greeting and rng.random() < at_once
        near, is_speech, voice = spoken(scene, caller, is_at_once)
        near = in_some_room(scene, near, is_over) * ratio(level_db)
    far = played(scene, ai, is_speech, is_greeting)
    others = rng.standard_normal(scene.total) * ratio(rng.uniform(*LINE_DBOV))
    if rng.random() < 0.8:
        others += echo(scene, far)
    around = _drawn(kind.noise, rng)
    snr_db = _snr_db(caller, around, rng)
    others += _background(scene, around, level_db - snr_db, voice)
    if rng.random() < kind.events:
        others += _events(scene, is_speech, kind.sounds)
    is_said = is_speech.reshape(-1, 2).any(1)
    is_heard = _power(near) > _power(others) * ratio(-COVERED_DB) ** 2
    line = vary(near + others, rng)
    call = Call(mulaw(line), mulaw(far), is_said, is_heard, caller, around, snr_db)
    return _lost(call, rng)


def _drawn(shares: tuple[tuple[str, float], ...], rng: np.random.Generator) -> str:
    total = sum(share for _, share in shares)
    at = rng.choice(len(shares), p=[share / total for _, share in shares])
    return shares[int(at)][0]


def _snr_db(caller: str, noise: str, rng: np.random.Generator) -> float:
    if noise == "none":
        return float("inf")
    if caller == "nobody":
        return 0.0
    if caller == "words" and rng.random() < 0.6:
        return float(rng.uniform(20, 34))
    return float(rng.uniform(*SNR_DB))


def _background(scene: Scene, kind: str, level_db: float, voice: str) -> Audio:
    rng = scene.rng
    out = noise(scene.sounds, kind, scene.total, rng, voice)
    if kind == "none":
        return out
    out = telephone(out) if rng.random() < 0.7 else out
    out = out / rms(out) * ratio(level_db)
    if rng.random() < 0.25:
        step_db = rng.uniform(-10, 10)
        place = rng.uniform(0.1, 0.9) * scene.total
        rise = np.clip(
            (np.arange(scene.total) - place) / rng.uniform(400, 16_000), 0, 1
        )
        out *= 10 ** (step_db * rise / 20)
    return out


def _events(
    scene: Scene, is_speech: NDArray[np.bool_], sounds: tuple[str, ...]
) -> Audio:
    """Single sounds of one or two kinds, where the caller does not speak."""
    rng = scene.rng
    out = np.zeros(scene.total)
    kinds = rng.choice(sounds, int(rng.integers(1, 3)))
    pauses_s = (0.05, 0.6) if kinds[0] == "keyboard" else (0.4, 6.0)
    busy = np.convolve(is_speech, np.ones(41), "same") > 0
    at = int(rng.uniform(0.1, 3) * RATE)
    while at < scene.total:
        kind = str(rng.choice(kinds))
        sound = event(scene.sounds, kind, rng)
        if kind != "dtmf":
            sound = telephone(sound)
        sound = at_peak(sound, rng.uniform(*EVENT_DBOV[kind]))
        until = min(at + len(sound), scene.total)
        if not busy[at // PART : -(-until // PART)].any():
            put(out, at, sound)
        at += len(sound) + int(rng.uniform(*pauses_s) * RATE)
    return out


def _lost(call: Call, rng: np.random.Generator) -> Call:
    """In one call of 16, 1 or 2 % of the frames never arrive."""
    if rng.random() >= 0.06:
        return call
    kept = rng.random(len(call.is_speech)) >= rng.choice([0.01, 0.02])
    near, far = (
        np.frombuffer(side, np.uint8).reshape(-1, FRAME)[kept].tobytes()
        for side in (call.near, call.far)
    )
    return call._replace(
        near=near, far=far, is_speech=call.is_speech[kept], is_heard=call.is_heard[kept]
    )


def _power(x: Audio) -> Audio:
    """Mean square of each frame."""
    return np.asarray(np.mean(x.reshape(-1, FRAME) ** 2, axis=1))
