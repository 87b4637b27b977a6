"""A television behind the AI's speech interrupts once or twice, and then no more."""

import numpy as np
import pytest

from bench.gate import scene_sounds, scene_talks
from bench.gate.acoustics import ratio
from bench.gate.scene_calls import alone, mulaw, talkative
from bench.gate.scene_sounds import by_phone
from bench.gate.scenes_barge import TELEVISION_DBOV
from bench.gate.subset import RATE, active_rms, samples
from bridge.settings.options import CallOptions
from dsp.g711 import decode

SECONDS = 60


def television(number, voice=None):
    """Return when a minute of one interrupts the AI, with a voice at its end."""
    sounds, rng = scene_sounds.packaged(), np.random.default_rng([31, number])
    far = talkative(sounds.ai, SECONDS, rng)
    sound = sounds.grounds["television"](SECONDS * RATE, rng)
    near = alone(sound, TELEVISION_DBOV, rng)
    if voice is not None:
        line = np.frombuffer(decode(near), "<i2") / 32_768
        line[-len(voice) :] += by_phone(voice)
        near = mulaw(line)
    return scene_talks.cleared(near, far, CallOptions())


def test_a_television_that_has_been_heard_hardly_interrupts():
    """These two interrupted seven times after their first ten seconds."""
    late = [at for number in (6, 7) for at in television(number) if at > 10]
    assert len(late) <= 2


@pytest.mark.parametrize("name", ["human-en-reader-2", "caller-en-1", "caller-he-1"])
def test_a_caller_who_is_louder_than_the_television_interrupts(name):
    """8 dB louder; held to the whole of the rise, none of these does."""
    voice = samples(name)[: 5 * RATE]
    begin_s = SECONDS - len(voice) / RATE
    voice = voice / active_rms(voice) * ratio(TELEVISION_DBOV + 8)
    assert any(at > begin_s for at in television(6, voice))
