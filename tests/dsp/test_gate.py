"""The gate: what opens it, what closes it, and what may never happen."""

import math
import random
import struct

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from bench.gate import subset
from bridge.sandbox.clips import clip
from bridge.sandbox.mulaw import mixed
from dsp.g711 import decode, encode, frame_levels
from dsp.gate import (
    CERTAIN,
    ECHO,
    FAINT,
    HINT,
    MUSIC,
    SILENCE,
    SOUND,
    SPEECH,
    STATE_MASK,
    VOICE,
    NoiseGate,
)

FRAME = 160
QUIET = [b"\xff" * FRAME]


def cut(audio):
    whole = len(audio) - len(audio) % FRAME
    return [audio[at : at + FRAME] for at in range(0, whole, FRAME)]


def mulaw(samples):
    whole = [max(-32768, min(32767, round(sample))) for sample in samples]
    return cut(encode(struct.pack(f"<{len(whole)}h", *whole)))


def noise(seconds, rms, seed=1):
    source = random.Random(seed)
    return mulaw(source.gauss(0, rms) for _ in range(int(8000 * seconds)))


def tones(seconds, peak, *hz):
    turn = 2 * math.pi / 8000
    return mulaw(
        peak * sum(math.sin(turn * f * n) for f in hz)
        for n in range(int(8000 * seconds))
    )


def states(gate, frames, far_dbfs=-127.0):
    return [gate.analyze(frame, far_dbfs) & STATE_MASK for frame in frames]


VOICE_CLIP = cut(clip("human-en-reader-1").audio)


def test_a_frame_of_another_size_is_refused():
    with pytest.raises(ValueError, match="expected a frame of 160 bytes, got 159"):
        NoiseGate().analyze(b"\xff" * 159)


@pytest.mark.parametrize("score", [True, False])
def test_what_may_be_an_onset_is_hinted_at_before_the_gate_opens(score):
    gate = NoiseGate(score=score)
    states(gate, noise(1, 40))
    codes = [gate.analyze(frame) for frame in noise(2, 40, seed=2) + VOICE_CLIP]
    opened = next(at for at, code in enumerate(codes) if code & STATE_MASK == SPEECH)
    hinted = [at for at, code in enumerate(codes[: opened + 1]) if code & HINT]

    assert hinted[-1] == opened
    assert len(hinted) > 1
    assert hinted[0] >= 100  # not in the noise


@pytest.mark.parametrize("score", [True, False])
def test_noise_under_which_a_word_has_ended_is_no_sound_of_it(score):
    gate = NoiseGate(score=score)
    states(gate, noise(2, 200))
    words = [gate.analyze(frame) for frame in VOICE_CLIP[20:80]]
    after = [gate.analyze(frame) for frame in noise(1, 200, seed=2)]

    assert all(code & STATE_MASK == SPEECH for code in words + after if code & SOUND)
    assert sum(bool(code & SOUND) for code in words) > 20
    still_open = sum(code & STATE_MASK == SPEECH for code in after)
    assert sum(bool(code & SOUND) for code in after) <= still_open - 7


def test_speech_on_a_quiet_line_opens_within_three_frames():
    gate = NoiseGate()
    states(gate, QUIET * 50)
    opened = states(gate, VOICE_CLIP)
    first = next(at for at, frame in enumerate(VOICE_CLIP) if loud(frame))
    assert SPEECH in opened[first : first + 3]


def loud(frame):
    from dsp.g711 import frame_levels

    return frame_levels(frame)[0] > 127 - 38


def test_silence_and_line_hum_and_a_fan_stay_shut():
    for name in ("noise-line-hum", "noise-fan"):
        assert set(states(NoiseGate(), cut(clip(name).audio))) == {SILENCE}
    assert set(states(NoiseGate(), QUIET * 200)) == {SILENCE}


def test_a_step_of_the_noise_is_learnt_within_three_seconds():
    gate = NoiseGate()
    states(gate, noise(3, 100))
    after = states(gate, noise(6, 1500, seed=2))
    assert SPEECH not in after[150:]
    assert 0.8 * 1500 < gate.floor_rms < 1.25 * 1500


def test_speech_during_calibration_does_not_become_the_floor():
    gate = NoiseGate()
    states(gate, VOICE_CLIP[10:60])
    assert gate.floor_rms <= 120


@pytest.mark.parametrize("name", ["caller-en-1", "caller-he-1", "human-en-reader-2"])
def test_the_floor_does_not_climb_into_a_long_turn(name):
    gate = NoiseGate()
    fan, turn = clip("noise-fan").audio, clip(name).audio
    after = turn.ljust(len(turn) + 2 * 8_000, b"\xff")
    states(gate, cut(fan[: 3 * 8_000]))
    before_rms = gate.floor_rms
    floors = []

    for near in cut(mixed(after, fan[3 * 8_000 : 3 * 8_000 + len(after)])):
        gate.analyze(near, -127.0)
        floors.append(gate.floor_rms)

    assert 20 * math.log10(max(floors) / before_rms) < 2.5


def test_the_gate_closes_after_its_hangover():
    for hangover in (0, 4, 12):
        gate = NoiseGate(hangover_frames=hangover)
        states(gate, QUIET * 50 + VOICE_CLIP[:60])
        closing = states(gate, QUIET * 30)
        assert closing.count(SPEECH) in (hangover, hangover + 1)


def test_a_click_does_not_open():
    gate = NoiseGate()
    states(gate, QUIET * 50)
    assert SPEECH not in states(gate, noise(0.02, 6000) + QUIET * 20)


@pytest.mark.parametrize("pair", [(697, 1209), (770, 1336), (852, 1477), (941, 1633)])
def test_keypad_tones_neither_open_nor_count_as_voice(pair):
    gate = NoiseGate()
    states(gate, QUIET * 50)
    codes = [gate.analyze(frame) for frame in tones(0.3, 6000, *pair)]
    assert all(code & STATE_MASK != SPEECH and not code & VOICE for code in codes[1:])


def test_the_echo_of_what_we_play_is_not_voice():
    gate = NoiseGate()
    states(gate, QUIET * 50)
    audio = clip("ai-en-offer").audio
    echo = delayed(audio, frames=10, loss_db=22)
    levels = frame_levels(audio)
    for at, frame in enumerate(cut(echo)[: len(levels)]):
        assert not gate.analyze(frame, levels[at] - 127.0) & VOICE


@pytest.mark.parametrize("delay", [10, 40, 65])
def test_an_echo_may_be_nothing_else_and_a_voice_over_it_is_more(delay):
    gate = NoiseGate()
    audio = clip("ai-en-offer").audio
    levels = frame_levels(audio)
    echo = cut(delayed(audio, frames=delay, loss_db=14))
    levels += bytes(len(echo) - len(levels))
    codes = [
        gate.analyze(frame, level - 127.0)
        for frame, level in zip(echo, levels, strict=True)
    ]
    loud = [at for at, level in enumerate(frame_levels(b"".join(echo))) if level > 80]
    known = [at for at in loud if at > delay + 150]
    assert len(known) > 80
    assert sum(not codes[at] & ECHO for at in known) <= len(known) // 20

    for _ in range(80):
        assert not gate.analyze(QUIET[0], -127.0) & CERTAIN
    assert not any(gate.analyze(frame) & ECHO for frame in VOICE_CLIP[20:60])


def delayed(audio, frames, loss_db):
    samples = struct.unpack(f"<{len(audio)}h", decode(audio))
    gain = 10 ** (-loss_db / 20)
    softer = encode(struct.pack(f"<{len(audio)}h", *(round(gain * s) for s in samples)))
    return b"\xff" * FRAME * frames + softer


def test_a_caller_who_speaks_over_us_is_voice():
    gate = NoiseGate()
    states(gate, QUIET * 50)
    levels = frame_levels(clip("ai-en-offer").audio)
    pairs = zip(VOICE_CLIP, levels, strict=False)
    assert sum(bool(gate.analyze(f, n - 127.0) & VOICE) for f, n in pairs) > 20


@pytest.mark.parametrize("score", [True, False])
def test_a_caller_over_us_becomes_certain_while_the_gate_opens(score):
    gate = NoiseGate(score=score)
    states(gate, QUIET * 50)
    levels = frame_levels(clip("ai-en-offer").audio)
    pairs = zip(VOICE_CLIP, levels, strict=False)
    codes = [gate.analyze(frame, level - 127.0) for frame, level in pairs]

    first_voice = next(at for at, code in enumerate(codes) if code & VOICE)
    certain = [at for at, code in enumerate(codes) if code & CERTAIN]
    assert first_voice < certain[0] <= first_voice + 10
    is_open = [codes[at] & STATE_MASK == SPEECH for at in certain]
    # At the end of a word the second net is certain longer than the first keeps open.
    assert sum(is_open) > 0.85 * len(certain)
    # Only a voice is certain, and every voice is at least faint.
    assert all(codes[at] & VOICE for at in certain)
    assert all(code & FAINT for code in codes if code & VOICE)
    # Loudness alone needs 100 ms of them.
    assert score or sum(bool(code & VOICE) for code in codes[: certain[0] + 1]) >= 5


def test_knocks_are_never_certain():
    gate = NoiseGate()
    states(gate, QUIET * 50)
    for seed in range(20):
        frames = noise(0.04, 6000, seed) + QUIET * 20
        assert not any(gate.analyze(frame, -20.0) & CERTAIN for frame in frames)


def test_sustained_tones_are_music_and_speech_is_not():
    gate = NoiseGate()
    chord = tones(6, 2500, 262, 330, 392)
    assert gate.analyze(chord[0]) & MUSIC == 0
    for frame in chord:
        code = gate.analyze(frame)
    assert code & MUSIC
    gate = NoiseGate()
    assert not any(gate.analyze(frame) & MUSIC for frame in VOICE_CLIP)


def test_below_the_threshold_nothing_is_voice():
    gate = NoiseGate(vad_threshold_rms=32_000)
    assert set(states(gate, QUIET * 50 + VOICE_CLIP)) == {SILENCE}


def test_gain_rises_for_a_quiet_caller_only_while_he_speaks():
    quiet = [frame.translate(bytes_quieter()) for frame in VOICE_CLIP]
    gate = NoiseGate(agc=True, vad_threshold_rms=20)
    states(gate, noise(2, 5))
    assert gate.gain_step == 0
    states(gate, quiet)
    assert 6 <= gate.gain_step <= 36


def bytes_quieter():
    from dsp.g711 import decode

    samples = struct.unpack("<256h", decode(bytes(range(256))))
    return encode(struct.pack("<256h", *(round(s / 6) for s in samples)))


@pytest.mark.parametrize("score", [True, False])
def test_what_comes_back_of_the_ai_is_no_voice_and_a_caller_over_it_is(score):
    gate = NoiseGate(score=score)
    played = VOICE_CLIP * 3
    far = [level - 127.0 for level in frame_levels(b"".join(played))]
    soft = [frame.translate(bytes_quieter()) for frame in played]
    echo = QUIET * 10 + soft[:-10]
    codes = [gate.analyze(*pair) for pair in zip(echo, far, strict=True)]
    assert sum(code & (VOICE | ECHO) == VOICE for code in codes) <= 5
    assert not any(code & CERTAIN for code in codes)

    over = [gate.analyze(*pair) for pair in zip(VOICE_CLIP, far, strict=False)]
    assert sum(bool(code & VOICE) for code in over) > 60


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.binary(min_size=FRAME, max_size=FRAME), max_size=40),
    st.floats(-200, 50) | st.just(math.nan),
)
def test_any_bytes_leave_the_state_finite(frames, far_dbfs):
    gate = NoiseGate(agc=True)
    for frame in frames:
        assert 0 <= gate.analyze(frame, far_dbfs) <= 511
    for value in (gate.rms, gate.floor_rms, gate.snr_db, gate.periodicity):
        assert math.isfinite(value)
    assert 0 <= gate.gain_step <= 36


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(1, 12)), max_size=40))
def test_it_never_flaps_faster_than_its_hangover(runs):
    gate = NoiseGate()
    heard = states(gate, QUIET * 40)
    for is_loud, frames in runs:
        heard += states(gate, VOICE_CLIP[38:50][:frames] if is_loud else QUIET * frames)
    lengths, length = [], 0
    for state in heard:
        if state == SPEECH:
            length += 1
        elif length:
            lengths.append(length)
            length = 0
    assert all(length > 4 for length in lengths)


@pytest.mark.parametrize(
    ("name", "snr_db", "frames"),
    [("human-en-reader-2", 20, 6), ("caller-en-goodbye", 10, 25)],
)
def test_a_caller_who_speaks_from_the_first_frame_on_is_soon_heard(
    name, snr_db, frames
):
    """Their voice is in the floors; without the lower bar, after 12 and 42 frames."""
    voice = subset.samples(name)
    voice = voice[int(subset.activity(voice)[0][0] * subset.RATE) :]
    noise = np.random.default_rng(1).normal(0, 10 ** (-snr_db / 20), len(voice))
    audio = subset.mulaw(0.05 * (voice / subset.active_rms(voice) + noise))
    gate = NoiseGate()
    states = [gate.analyze(frame) & STATE_MASK for frame in cut(audio)]
    assert SPEECH in states[:frames]
