"""Calls in which the AI talks, as training data of the double-talk score.

Two in five have a caller, who speaks for a moment and waits. In the others nobody near
speaks, and there is a noise that must not interrupt. The AI has any voice of the split,
pauses at times, and mostly has an echo. It yields to half of the callers, and talks
again after they have finished. The net hears all frames, and learns from those in which
the AI is heard. The components of a call are known separately, so that speech which the
other components cover has a low weight.
"""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.gate import corpus
from bench.gate.corpus import FRAME, RATE, Calls
from bench.gate.lines import vary
from dsp.g711 import encode, frame_levels
from dsp.gate import NoiseGate

Audio = NDArray[np.float64]

SECONDS = 24
FAR_HEARD_DBFS = -60.0  # as in dsp/gate.pyx
PART = 80  # samples: the ground truth has parts of 10 ms
EVENTS = ("keyboard", "bump", "cough", "dtmf")
CALLER_DBOV, SNR_DB = (-38.0, -14.0), (9.0, 26.0)
QUIET_DBOV, LINE_DBOV = (-48.0, -27.0), (-72.0, -62.0)
AI_DBOV, ECHO_DB = (-27.0, -14.0), (-34.0, -16.0)
ECHOES, ECHO_S, ECHO_DELAY_S = 0.8, 12, (0.1, 0.42)
UNSTEADY_S = (3.0, 24.0)  # how long an unsteady echo path stays the same
EVENT_DBOV = {
    "keyboard": (-42.0, -22.0),
    "bump": (-32.0, -10.0),
    "cough": (-30.0, -16.0),
    "dtmf": (-18.0, -8.0),
}
TURN_S, TURN_EXCESS_S, PAUSE_S = (0.3, 0.6, 1.2, 2.5), 0.2, (1.1, 3.0)
# When an AI yields, after a turn's onset, and talks again, after its end.
YIELDS_S, RESUMES_S = (0.14, 0.6), (0.22, 1.2)
SEMITONES = [0, 3, 4, 5, 7, 10, 12, 15, 19]
# The range of playback rates of voices.
RATES = (0.86, 1.16)
# Weights: of the first 300 ms of a turn, of what follows, of half a second after it, of
# frames in which the rest is louder by COVERED_DB, and of what is no speech.
ONSET_FRAMES, ONSET_WEIGHT, LATER_WEIGHT = 15, 3.0, 0.5
AFTER_FRAMES, AFTER_WEIGHT = 25, 0.5
COVERED_DB, COVERED_WEIGHT = 3.0, 0.1
NOISE_WEIGHT = 2.0


class Kind(NamedTuple):
    """A mixture of calls.

    `spoken` is the share with a caller, in one of the noises `around`. `events` is the
    share of the others with single events; the rest has one of `noises`. If
    `is_unsteady`, the echo comes and goes. `yields` is the share of AIs that yield.
    """

    spoken: float
    around: tuple[str, ...]
    events: float
    noises: tuple[str, ...]
    is_unsteady: bool = False
    yields: float = 0.0


MIXED = Kind(
    0.6,
    ("none", "none", "pink", "fan", "street", "babble", "music", "tv"),
    0.3,
    ("none", "pink", "fan", "street", "babble", "music", "tune", "tv", "tv"),
    yields=0.5,
)
# Noises that a net trained on MIXED alone took for callers, or missed callers in.
HARD = Kind(
    0.0,
    (),
    0.1,
    ("babble",) * 4 + ("none",) * 3 + ("music",) * 3 + ("tune", "tune", "tv", "street"),
)
HUM = Kind(0.7, ("hum",), 0.0, ("hum",), yields=0.5)
UNSTEADY = Kind(0.4, MIXED.around, 0.0, ("none", "none", "none", "tv"), True, 0.5)
# The training data: a kind, its seeds, and the calls of each seed.
RECIPE = (
    (MIXED, (11, 12, 13, 14, 15, 16), 400),
    (HARD, (21, 22, 23, 24), 400),
    (HUM, (31, 32), 150),
    (UNSTEADY, (41, 42), 250),
)


class Scene(NamedTuple):
    """The evaluator's module, voices and sounds, and the random source of a call."""

    kind: Kind
    corpus: Any
    bank: Any
    pool: Any
    rng: np.random.Generator


def generate(
    folder: Path, split: dict[str, Any], kind: Kind, count: int, seed: int
) -> Calls:
    """Generate `count` calls of a kind; return features, labels and weights."""
    module, _, _ = corpus.evaluator(folder)
    bank, pool = module.Bank(split), module.Pool(split)
    calls = Calls([], [], [])
    for at in range(count):
        scene = Scene(kind, module, bank, pool, np.random.default_rng([seed, at, 2]))
        near, far, is_speech, is_heard = _call(scene)
        rows, is_played = inputs(near, far)
        calls.features.append(rows)
        calls.labels.append(is_speech.astype(np.float32))
        calls.weights.append(weigh(is_speech, is_heard) * is_played)
    return calls


def inputs(near: bytes, far: bytes) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return the score's inputs from the gate itself, and which frames count."""
    gate, levels = NoiseGate(), frame_levels(far)
    rows, is_played = [], []
    for at in range(len(near) // FRAME):
        gate.analyze(near[FRAME * at : FRAME * at + FRAME], levels[at] - 127.0)
        is_played.append(gate.far_dbfs >= FAR_HEARD_DBFS)
        rows.append(gate.double_talk_inputs)
    return np.array(rows, np.float32), np.array(is_played)


def _call(scene: Scene) -> tuple[bytes, bytes, NDArray[np.bool_], NDArray[np.bool_]]:
    """Return both sides in mu-law, and where a caller speaks and is audible."""
    rng, total = scene.rng, SECONDS * RATE
    far = _played(scene, total)
    others = rng.standard_normal(total) * _ratio(rng.uniform(*LINE_DBOV))
    near, is_speech = np.zeros(total), np.zeros(total // PART, bool)
    is_spoken = rng.random() < scene.kind.spoken
    if is_spoken:
        level_db = rng.uniform(*CALLER_DBOV)
        near, is_speech = _caller(scene, total)
        near *= _ratio(level_db)
        if rng.random() < scene.kind.yields:
            far = far * _yielding(scene, is_speech)
    if rng.random() < ECHOES:
        others += _echo(scene, far) * _presence(scene, total)
    if is_spoken:
        noise = rng.choice(scene.kind.around)
        others += _noise(scene, noise, total, level_db - rng.uniform(*SNR_DB))
        if rng.random() < 0.3:
            sounds = _events(scene, rng.choice(EVENTS), total)
            others += sounds * ~_near(is_speech)
    elif rng.random() < scene.kind.events:
        others += _events(scene, rng.choice(EVENTS), total)
    else:
        noise = rng.choice(scene.kind.noises)
        others += _noise(scene, noise, total, rng.uniform(*QUIET_DBOV))
        if rng.random() < 0.15:
            others += _events(scene, rng.choice(EVENTS), total)
    is_heard = _power(near) > _power(others) * _ratio(-COVERED_DB) ** 2
    is_said = np.asarray(is_speech.reshape(-1, 2).any(1))
    line = vary(near + others, rng)
    return _mulaw(line), _mulaw(far), is_said, is_heard


def weigh(
    is_speech: NDArray[np.bool_], is_heard: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """Return the weight of each frame: high at a turn's onset and without a caller."""
    found = np.ones(len(is_speech), np.float32)
    since, age = AFTER_FRAMES + 1, 0
    for at, speaks in enumerate(is_speech):
        if speaks:
            age = age + 1 if since <= AFTER_FRAMES else 1
            since = 0
            found[at] = ONSET_WEIGHT if age <= ONSET_FRAMES else LATER_WEIGHT
            found[at] *= 1 if is_heard[at] else COVERED_WEIGHT
        else:
            since += 1
            age += 1
            found[at] = NOISE_WEIGHT if since > AFTER_FRAMES else AFTER_WEIGHT
    return found


def _played(scene: Scene, total: int) -> Audio:
    """The AI's speech, in one voice, with short and long pauses."""
    module, bank, rng = scene.corpus, scene.bank, scene.rng
    voice = rng.choice(bank.ai + bank.near)
    far, at = np.zeros(total), int(rng.uniform(0, 1.5) * RATE)
    while at < total:
        count = min(int(rng.uniform(2, 12) * RATE), total - at)
        speech = module.speech_stream(bank, voice, count, rng, (0.05, 0.5))
        far[at : at + count] = speech
        at += count + int(rng.uniform(0.3, 2.5) * RATE)
    far = _at_rate(module, far, rng.uniform(*RATES))
    if rng.random() < 0.5:
        far = module.tel(far)
    return far / _loudness(far) * _ratio(rng.uniform(*AI_DBOV))


def _yielding(scene: Scene, is_speech: NDArray[np.bool_]) -> Audio:
    """1 while the AI talks, 0 from soon after a turn begins to soon after its end."""
    talks = np.ones(len(is_speech))
    edges = np.diff(is_speech.astype(int), prepend=0, append=0)
    silent_to = 0
    for start, end in np.flatnonzero(edges).reshape(-1, 2).tolist():
        first = start
        if start >= silent_to:
            first += int(scene.rng.uniform(*YIELDS_S) * RATE) // PART
        silent_to = end + int(scene.rng.uniform(*RESUMES_S) * RATE) // PART
        talks[first:silent_to] = 0
    return np.repeat(talks, PART)


def _echo(scene: Scene, far: Audio) -> Audio:
    """The echo: a delay and a room, mostly the same for the whole call."""
    module, rng = scene.corpus, scene.rng
    out = np.zeros(len(far))
    stretch = len(far) if rng.random() < 0.6 else ECHO_S * RATE
    if scene.kind.is_unsteady:
        stretch = int(rng.uniform(*UNSTEADY_S) * RATE)
    loss_db = rng.uniform(*ECHO_DB)
    for start in range(0, len(far) - FRAME, stretch):
        part = module.tel(far[start : start + stretch])
        path = module.rir(rng, rng.uniform(0.02, 0.15), rng.uniform(0.5, 3.0))
        sound = np.convolve(part, path)[: len(part)]
        loss_db += rng.uniform(-2, 2)
        sound *= _loudness(part) / max(_loudness(sound), 1e-9) * _ratio(loss_db)
        place = start + int(rng.uniform(*ECHO_DELAY_S) * RATE)
        room = out[place : place + len(sound)]
        room += sound[: len(room)]
    return out


def _presence(scene: Scene, total: int) -> Audio:
    """1, or alternately 1 and 0 for seconds, as when a telephone is laid down."""
    present = np.ones(total)
    at = 0
    while scene.kind.is_unsteady and at < total:
        here = int(scene.rng.uniform(1, 6) * RATE)
        gone = int(scene.rng.uniform(1, 6) * RATE)
        present[at + here : at + here + gone] = 0
        at += here + gone
    return present


def _caller(scene: Scene, total: int) -> tuple[Audio, NDArray[np.bool_]]:
    """One caller's turns, at 0 dBov while they speak, and which parts are speech."""
    module, bank, rng = scene.corpus, scene.bank, scene.rng
    # Half of the callers have running speech, as in the evaluator.
    voice = rng.choice(module._weighted(bank, rng))
    out, mask = np.zeros(total), np.zeros(total // PART, bool)
    at = int(rng.uniform(1.5, 4) * RATE)
    while at < total:
        wanted, began = rng.choice(TURN_S) * RATE, at
        gain = _ratio(rng.uniform(-2, 2))
        while at - began < wanted and at < total:
            clip, said = bank.clip(rng.choice(bank.by[voice]))
            place = at // PART * PART
            # Long clips are cut: the net learns most from a turn's beginning.
            longest = int(began + wanted + TURN_EXCESS_S * RATE) - place
            said = said[: min(total - place, longest) // PART]
            clip = module.tel(np.pad(clip, (0, PART)))[: len(said) * PART]
            said = said[: len(clip) // PART]
            clip = clip[: len(said) * PART]
            spoken = clip[np.repeat(said, PART)]
            if len(spoken):
                clip = clip / max(module.rms(spoken), 1e-9) * gain
            out[place : place + len(clip)] += clip
            mask[place // PART : place // PART + len(said)] |= said
            at = place + len(clip) + int(rng.uniform(0.08, 0.5) * RATE)
        at += int(rng.uniform(*PAUSE_S) * RATE)
    rate = rng.choice([1.0, 1.0, rng.uniform(*RATES)])
    parts = np.minimum(np.arange(len(mask)) * rate, len(mask) - 1).astype(int)
    is_known = np.arange(len(mask)) * rate < len(mask)
    return _at_rate(module, out, rate), mask[parts] & is_known


def _at_rate(module: Any, x: Audio, rate: float) -> Audio:
    """Play faster or slower, with another pitch and vocal tract; same length."""
    if rate == 1:
        return x
    y = module.resample(x, 8_000, round(8_000 / rate))[: len(x)]
    return np.pad(y, (0, len(x) - len(y)))


def _noise(scene: Scene, kind: str, total: int, level_db: float) -> Audio:
    if kind == "none":
        return np.zeros(total)
    module, rng = scene.corpus, scene.rng
    if kind in _MADE:
        sound = _MADE[kind](total, rng)
    else:
        sound = module.make_noise(kind, total, rng, scene.bank, scene.pool, None)
    if rng.random() < 0.7:
        sound = module.tel(sound)
    sound = sound / module.rms(sound) * _ratio(level_db)
    if rng.random() < 0.25:
        rise = np.clip((np.arange(total) - rng.uniform(0.2, 0.8) * total) / 400, 0, 1)
        sound *= _ratio(-6) + rise * (1 - _ratio(-6))
    return np.asarray(sound, float)


def _hum(total: int, rng: np.random.Generator) -> Audio:
    """The mains and its harmonics, each a few dB below the one before, or none."""
    time, hz = np.arange(total) / RATE, rng.choice([50, 60])
    slope_db = rng.uniform(1, 6)
    out = np.zeros(total)
    for harmonic in range(1, 20):
        tone = np.sin(2 * np.pi * hz * harmonic * time + rng.uniform(0, 6))
        out += _ratio(-slope_db * harmonic + rng.uniform(-6, 6)) * tone
    return out


def _tune(total: int, rng: np.random.Generator) -> Audio:
    """Musical notes of one instrument, one to four at a time, plucked or blown."""
    out = np.zeros(total)
    partials = rng.uniform(0, 1, 12) / np.arange(1, 13) ** rng.uniform(0, 1.5)
    attack_s, fade = rng.uniform(0.003, 0.15), rng.uniform(0.3, 6)
    tremor, beat_s = rng.choice([0, 0, 0.01]), rng.uniform(0.15, 0.8)
    lowest_hz, at = rng.uniform(90, 330), 0
    while at < total:
        time = np.arange(int(rng.uniform(1, 3) * beat_s * RATE)) / RATE
        shape = np.minimum(time / attack_s, 1) * np.exp(-fade * time)
        shape *= np.minimum(1, (time[-1] - time) / 0.01)
        for _ in range(int(rng.integers(1, 5))):
            hz = lowest_hz * 2 ** (int(rng.choice(SEMITONES)) / 12)
            cycles = hz * time + tremor * hz / 35 * np.sin(2 * np.pi * 5.5 * time)
            note = sum(
                part * np.sin(2 * np.pi * (k + 1) * cycles)
                for k, part in enumerate(partials)
                if (k + 1) * hz < 3_800
            )
            room = out[at : at + len(time)]
            room += (note * shape * rng.uniform(0.3, 1))[: len(room)]
        at += int(beat_s * int(rng.integers(1, 4)) * RATE)
    return out


_MADE = {"hum": _hum, "tune": _tune}


def _events(scene: Scene, kind: str, total: int) -> Audio:
    """Keys, knocks, coughs or tones, one after another."""
    module, rng = scene.corpus, scene.rng
    out, at = np.zeros(total), int(rng.uniform(0.5, 2) * RATE)
    pauses_s = (0.05, 0.3) if kind == "keyboard" else (0.5, 3.0)
    while at < total:
        if kind == "cough":
            sound = module.cough(rng)
        elif kind == "dtmf":
            sound = module.dtmf(rng, int(rng.integers(1, 5)))
        else:
            sound = module.bump(rng, scene.pool)
        if kind == "keyboard":
            sound = sound[: int(rng.uniform(0.05, 0.3) * RATE)]
        if kind != "dtmf":
            sound = module.tel(sound)
        sound = module.level_peak(sound, rng.uniform(*EVENT_DBOV[kind]))[: total - at]
        out[at : at + len(sound)] += sound
        at += len(sound) + int(rng.uniform(*pauses_s) * RATE)
    return out


def _near(is_speech: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Tell, sample by sample, where a turn is within 200 ms."""
    wide = np.convolve(is_speech, np.ones(41), "same") > 0
    return np.repeat(wide, PART)


def _mulaw(x: Audio) -> bytes:
    pcm = np.round(x * 32768).clip(-32768, 32767).astype("<i2")
    return encode(pcm.tobytes())


def _power(x: Audio) -> Audio:
    """Mean square of each frame."""
    return np.asarray(np.mean(x.reshape(-1, FRAME) ** 2, axis=1))


def _loudness(x: Audio) -> float:
    """RMS of the frames within 25 dB of the loudest: without the pauses."""
    power = _power(x[: len(x) // FRAME * FRAME])
    return float(np.sqrt(power[power >= power.max() / 300].mean() + 1e-20))


def _ratio(level_db: float) -> float:
    return float(10 ** (level_db / 20))
