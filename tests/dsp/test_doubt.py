"""What goes on where a caller has stopped, and is never surely theirs: it is not."""

import pytest

from bridge.sandbox.clips import clip
from bridge.sandbox.mulaw import level_dbfs, mixed, scaled
from dsp.gate import SOUND, SPEECH, STATE_MASK, NoiseGate

FRAME = 160
QUIET = b"\xff" * FRAME * 100
SPEAKERS = ("human-en-reader-1", "human-en-reader-3")


def codes(gate, audio):
    whole = len(audio) - len(audio) % FRAME
    return [gate.analyze(audio[at : at + FRAME]) for at in range(0, whole, FRAME)]


def opened(found):
    return [code & STATE_MASK == SPEECH for code in found]


def speech_of(name):
    return clip(name).audio[: 8 * 8_000]


def fan_under(speech, under_db):
    """Return 4 s of a fan, softer than the speech."""
    fan = clip("noise-fan").audio
    gain_db = level_dbfs(speech) - under_db - level_dbfs(fan)
    return (scaled(fan, gain_db) * 4)[:32_000]


@pytest.mark.parametrize("speaker", SPEAKERS)
def test_a_fan_that_starts_as_the_caller_stops_does_not_hold_the_gate_open(speaker):
    gate, speech = NoiseGate(), speech_of(speaker)
    codes(gate, QUIET + speech)

    found = codes(gate, fan_under(speech, 1))

    assert sum(opened(found)) < 40  # without doubt 75 and 132


def test_what_is_doubted_is_no_sound_before_the_gate_closes():
    gate, speech = NoiseGate(), speech_of("human-en-reader-1")
    codes(gate, QUIET + speech)

    found = codes(gate, fan_under(speech, 0))

    last = max(at for at, code in enumerate(found) if code & SOUND)
    assert last < 12 < sum(opened(found))


@pytest.mark.parametrize("speaker", SPEAKERS)
def test_a_caller_who_goes_on_over_that_fan_is_heard(speaker):
    gate, speech = NoiseGate(), speech_of(speaker)
    fan = fan_under(speech, 9)
    codes(gate, QUIET + speech + fan)

    found = opened(codes(gate, mixed(speech[: len(fan)], fan)))

    alone = opened(codes(NoiseGate(), QUIET + speech[: len(fan)]))[100:]
    assert sum(found) > 0.9 * sum(alone)
    assert found.index(True) <= alone.index(True) + 10


def test_a_soft_voice_is_heard_once_the_fan_has_stopped():
    gate, speech = NoiseGate(), speech_of("human-en-reader-1")
    codes(gate, QUIET + speech + fan_under(speech, 0) + QUIET)

    found = opened(codes(gate, scaled(speech[:16_000], -14)))

    assert found.index(True) < 20  # 30 if it was still doubted


def test_who_speaks_at_once_over_a_fan_is_not_doubted():
    speech = speech_of("human-en-reader-3")
    fan = (fan_under(speech, -3) * 2)[: len(speech)]

    found = opened(codes(NoiseGate(), mixed(speech, fan)))

    assert sum(found[:300]) > 235  # 226 with doubt from the first frame on
