"""A caller who begins with the AI, on a line that has no echo."""

import numpy as np
import pytest

from bench.talk import ai_speech
from dsp.gate import ECHO, ECHOLESS, SPEECH, STATE_MASK, UNECHOED
from tests.dsp.test_echo import (
    FRAME,
    SECONDS,
    SPEAKERS,
    echoed,
    heard,
    line,
    talking,
)

LOUD = 0.03


def callers():
    """Yield the codes of each caller's frames, and which of them are loud."""
    for at, name in enumerate(SPEAKERS):
        voice = talking(name, at)
        frames = voice.reshape(-1, FRAME)
        is_loud = np.sqrt(np.mean(frames * frames, axis=1)) > LOUD
        _, codes = heard(line(at) + voice, ai_speech(SECONDS, 10 * at))
        yield codes, is_loud


def test_they_are_heard_before_it_is_known_that_there_is_no_echo():
    open_share, unechoed_share = [], []
    for codes, is_loud in callers():
        early = np.flatnonzero(is_loud)
        early = early[early < int(np.argmax(codes & ECHOLESS > 0))]
        is_open = codes & STATE_MASK == SPEECH
        open_share.append(np.mean(is_open[early]))
        unechoed_share.append(np.mean((is_open | (codes & UNECHOED > 0))[early]))
    assert min(unechoed_share) > 0.9
    assert np.mean(unechoed_share) > np.mean(open_share) + 0.05


def test_the_gate_is_open_for_them_once_it_is_known():
    for codes, is_loud in callers():
        known = int(np.argmax(codes & ECHOLESS > 0))
        assert not (codes[known + 1 :] & UNECHOED).any()
        is_open = codes & STATE_MASK == SPEECH
        late = known + 1 + np.flatnonzero(is_loud[known + 1 :])
        assert np.mean(is_open[late]) > 0.9


@pytest.mark.parametrize("delay_s", [0.1, 0.4, 0.9])
def test_an_echo_that_is_found_opens_nothing(delay_s):
    far = ai_speech(SECONDS, 1)
    _, codes = heard(line(1) + echoed(far, delay_s, -20), far)
    assert not (codes[130:] & UNECHOED).any()
    is_open = codes & STATE_MASK == SPEECH
    assert (codes[is_open] & ECHO > 0).all()
