"""The echo of the call: its delay is found, its level expected, its tail known."""

import numpy as np
import pytest

from bench.gate import subset
from bench.talk import ai_speech
from dsp.g711 import frame_levels
from dsp.gate import ECHO, ECHOLESS, NoiseGate

RATE, FRAME = 8_000, 160
SECONDS = 12
SPEAKERS = (
    "human-en-reader-1", "human-en-reader-2", "human-en-reader-3",
    "human-en-reader-4", "caller-en-1", "caller-he-1", "caller-he-2",
)  # fmt: skip
OVER_EXPECTED = 46  # a feature: the line's level over the echo expected


def heard(near, far):
    """Play both sides through a gate; return it and the code of each frame."""
    gate, near, far = NoiseGate(), subset.mulaw(near), subset.mulaw(far)
    levels = frame_levels(far)
    codes = [
        gate.analyze(near[FRAME * at : FRAME * at + FRAME], levels[at] - 127.0)
        for at in range(len(levels))
    ]
    return gate, np.array(codes)


def line(seed, noise_db=-60.0):
    rng = np.random.default_rng(seed)
    return rng.normal(0, 10 ** (noise_db / 20), SECONDS * RATE)


def echoed(far, delay_s, loss_db):
    late = int(delay_s * RATE)
    return np.pad(far, (late, 0))[: len(far)] * 10 ** (loss_db / 20)


@pytest.mark.parametrize("delay_s", [0.12, 0.4, 0.9, 1.4])
@pytest.mark.parametrize("loss_db", [-14, -30])
def test_the_delay_of_an_echo_is_found(delay_s, loss_db):
    far = ai_speech(SECONDS, 1)
    gate, _ = heard(line(1) + echoed(far, delay_s, loss_db), far)
    assert abs(gate.echo_delay_ms - 1_000 * delay_s) <= 20


def test_a_delay_that_changes_is_found_again():
    far = ai_speech(2 * SECONDS, 1)
    early, late = echoed(far, 0.2, -20), echoed(far, 0.7, -20)
    near = np.concatenate([early[: len(far) // 2], late[len(far) // 2 :]])
    gate, _ = heard(near + 1e-3 * np.sin(np.arange(len(near))), far)
    assert gate.echo_delay_ms == 700


@pytest.mark.parametrize("seed", range(4))
def test_no_delay_is_made_of_noise(seed):
    gate, _ = heard(line(seed, noise_db=-40), ai_speech(SECONDS, seed))
    assert gate.echo_delay_ms is None


def talking(name, seed):
    """A caller who says a clip again and again, with pauses, 6 dB under the AI."""
    rng = np.random.default_rng(seed)
    voice = subset.samples(name)
    begin = int(subset.activity(voice)[0][0] * RATE)
    out, at = np.zeros(SECONDS * RATE), 0
    while at < len(out):
        subset.put(out, at / RATE, voice[begin:] / subset.active_rms(voice) * 0.05)
        at += len(voice) - begin + int(rng.uniform(0.05, 0.5) * RATE)
    return out


def test_a_caller_over_the_ai_from_the_first_frame_on_has_no_delay():
    found = []
    for at, name in enumerate(SPEAKERS):
        for seed in range(5):
            voice = talking(name, seed)
            far = ai_speech(SECONDS, 10 * at + seed)
            gate, _ = heard(line(seed) + voice, far)
            found.append(gate.echo_delay_ms is not None)
    assert sum(found) <= 1, f"{sum(found)} of {len(found)} have an echo"


@pytest.mark.parametrize(("delay_s", "found_ms"), [(0.0, None), (0.04, 40)])
def test_what_goes_with_the_ai_at_once_is_no_echo(delay_s, found_ms):
    far = ai_speech(SECONDS, 1)
    gate, _ = heard(line(1) + echoed(far, delay_s, -6), far)
    assert gate.echo_delay_ms == found_ms


def test_a_line_has_no_echo_once_one_would_have_been_found():
    far = ai_speech(SECONDS, 1)
    _, codes = heard(line(1) + talking("human-en-reader-1", 1), far)
    is_echoless = codes & ECHOLESS > 0
    assert not is_echoless[:64].any() and is_echoless[130:].all()


@pytest.mark.parametrize("delay_s", [0.2, 0.9])
@pytest.mark.parametrize("noise_db", [-60, -46])
def test_a_line_whose_echo_is_late_or_in_noise_is_never_one_without(delay_s, noise_db):
    """At -40 dBov, 6 dB over the noise, an echo is found up to a second later."""
    for seed in range(8):
        far = ai_speech(SECONDS, seed)
        _, codes = heard(line(seed, noise_db) + echoed(far, delay_s, -20), far)
        assert not (codes & ECHOLESS).any()


@pytest.mark.parametrize("seed", [1, 3, 4, 5])
def test_soft_caller_over_a_faint_echo_is_soon_known_to_be_none(seed):
    """It was taken for louder by 8 dB for many seconds: 41 to 44 % of the frames."""
    far = ai_speech(SECONDS, seed)
    voice = 0.6 * talking("human-en-reader-1", seed)
    voice[: 3 * RATE] = voice[5 * RATE :] = 0
    _, codes = heard(line(seed) + echoed(far, 0.2, -32) + voice, far)
    level = np.sqrt(np.mean(voice.reshape(-1, FRAME) ** 2, axis=1))
    is_echo = codes[level > 10 ** (-34 / 20)] & ECHO > 0
    assert np.mean(is_echo) < 0.3


@pytest.mark.parametrize("delay_s", [0.2, 0.4, 0.9])
def test_the_tail_of_an_echo_is_echo_after_the_last_frame_played(delay_s):
    far = ai_speech(SECONDS, 2)
    frames = np.abs(far.reshape(-1, FRAME)).max(1)
    last = 350 + int(np.argmax(frames[350:400]))
    far[FRAME * (last + 1) :] = 0
    echo = echoed(far, delay_s, -14)
    _, codes = heard(line(2) + echo, far)
    frames = echo.reshape(-1, FRAME)
    is_loud = np.sqrt(np.mean(frames * frames, axis=1)) > 10 ** (-50 / 20)
    tail = last + 1 + np.flatnonzero(is_loud[last + 1 :])
    assert len(tail) >= 5
    assert np.mean(codes[tail] & ECHO > 0) > 0.9
    assert not (codes[last + 85 :] & ECHO).any()


def test_a_caller_louder_than_the_echo_is_no_echo():
    far = ai_speech(SECONDS, 3)
    voice = np.resize(subset.samples("human-en-reader-1"), len(far))
    voice = voice / subset.active_rms(subset.samples("human-en-reader-1")) * 0.1
    voice[: 6 * RATE] = 0
    _, codes = heard(line(3) + echoed(far, 0.2, -26) + voice, far)
    frames = voice.reshape(-1, FRAME)
    is_loud = np.sqrt(np.mean(frames * frames, axis=1)) > 0.05
    assert np.mean(codes[is_loud] & ECHO > 0) < 0.05


def test_a_caller_who_talks_over_the_ai_hardly_becomes_its_expected_echo():
    """6 dB under the AI, for five seconds, once an echo would have been found."""
    far = ai_speech(SECONDS, 5)
    voice = subset.samples("human-en-reader-1")
    begin = int(subset.activity(voice)[0][0] * RATE)
    voice = np.resize(voice[begin:], 5 * RATE)
    voice *= subset.rms(far) / subset.rms(voice) * 10 ** (-6 / 20)
    near = line(5)
    near[4 * RATE : 9 * RATE] += voice
    gate, near, far = NoiseGate(), subset.mulaw(near), subset.mulaw(far)
    levels = frame_levels(far)
    over_db = []
    for at in range(9 * RATE // FRAME):
        gate.analyze(near[FRAME * at : FRAME * at + FRAME], levels[at] - 127.0)
        over_db.append(gate.features[OVER_EXPECTED])
    frames = voice.reshape(-1, FRAME)
    is_loud = np.sqrt(np.mean(frames * frames, axis=1)) > subset.rms(voice)
    assert np.median(np.array(over_db[4 * RATE // FRAME :])[is_loud]) > 20


def test_while_nothing_is_played_nothing_is_echo():
    voice = subset.samples("human-en-reader-1")
    voice = voice[: len(voice) // FRAME * FRAME]
    _, codes = heard(voice, np.zeros(len(voice)))
    assert not (codes & ECHO).any()
