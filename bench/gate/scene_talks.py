"""Calls in which the AI talks, through the pure core on simulated time.

The AI talks at -20 dBov. Its echo arises only of what was played: after Twilio's
`clear` it ends with the echo's delay.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from bench import barge
from bench.barge_calls import Echo, Played
from bench.cases import cut
from bench.gate import subset
from bench.gate.acoustics import ratio
from bench.gate.scene_calls import LINE_DBOV, mulaw
from bench.gate.scene_sounds import Generator, by_phone, in_a_room
from bench.gate.subset import RATE, Audio
from bench.talk import Talk
from bridge.call.plan import Action
from bridge.media.uplink import SILENCE
from bridge.realtime import openai
from bridge.settings.options import CallOptions
from bridge.telephony import twilio
from dsp.g711 import FRAME_BYTES

FRAMES_A_S = 50
# A loudspeaker's echo: short reverberation, mostly direct sound.
ECHO_RT60_S, ECHO_DIRECT = 0.12, 2.0
# An interruption this long after a sound is still by that sound.
AFTER_S = 0.6
NOBODY = np.zeros(0, bool)


def echo_of(far: Audio, db: float, delay_s: float, rng: Generator) -> Echo:
    """Return the echo of what the AI says, `db` of its level and so much later."""
    sound = by_phone(in_a_room(far, ECHO_RT60_S, ECHO_DIRECT, rng))
    sound *= subset.rms(far) / subset.rms(sound) * ratio(db)
    late = int(delay_s * FRAMES_A_S)
    late_sound = np.pad(sound, (late * FRAME_BYTES, 0))[: len(sound)]
    return Echo(late_sound, late)


def line(seconds: float, rng: Generator) -> bytes:
    """Return the call of a caller's side that is silent."""
    return mulaw(rng.normal(0, ratio(LINE_DBOV), int(seconds * RATE)))


def cleared(
    near: bytes, far: Audio, options: CallOptions, echo: Echo | None = None
) -> list[float]:
    """Return when the AI is interrupted, in s; it talks on at once."""
    frames = cut(near)
    call = Played(frames, mulaw(far), [], np.ones(len(frames), bool), echo)
    found = np.flatnonzero(barge.play(call, options).is_cleared)
    return [(int(at) + 1) / FRAMES_A_S for at in found]


def interrupting(
    sounds_s: Sequence[tuple[float, float]], cleared_s: Sequence[float]
) -> int:
    """Return how many of the sounds, with start and end in s, interrupted."""
    return sum(
        any(start < at <= end + AFTER_S for at in cleared_s) for start, end in sounds_s
    )


def given(actions: Sequence[Action]) -> Iterator[bytes]:
    """Yield the frames with sound that the model is given."""
    for action in actions:
        if type(action) is openai.AppendAudio and action.audio != SILENCE:
            yield action.audio


def listen(talk: Talk, call: Played) -> set[int]:
    """Run a call in which the AI has begun to talk; return the frames given."""
    is_played = [True] * len(call.frames)
    heard: set[int] = set()
    frames: list[bytes] = []
    places: dict[int, int] = {}
    for at in range(len(call.frames)):
        frames.append(call.frame(at, is_played.__getitem__))
        places[id(frames[-1])] = at
        actions = talk.step(frames[-1])
        heard |= {places[id(one)] for one in given(actions) if id(one) in places}
        if any(type(one) is twilio.Clear for one in actions):
            is_played[at + 1 :] = [False] * len(is_played[at + 1 :])
    return heard
