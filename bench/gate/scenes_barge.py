"""Scenes in which the AI talks: through the pure core, on simulated time.

The AI talks at -20 dBov. What is measured is what the core does: Twilio's `clear`, and
the audio that the model is given.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from bench import barge
from bench.barge_calls import Echo, Onset, Played
from bench.cases import cut
from bench.gate import subset
from bench.gate.scene_calls import (
    LINE_DBOV,
    Noise,
    alone,
    amplitude,
    frames_said,
    joined,
    mulaw,
    one_after_another,
    quiet,
    spoken,
    talkative,
)
from bench.gate.scene_sounds import (
    Clip,
    Generator,
    Mask,
    Sounds,
    by_phone,
    in_room,
)
from bench.gate.scene_table import Figure, Found, Scene
from bench.gate.subset import RATE, Audio
from bench.talk import Talk
from bridge.call.plan import Action
from bridge.media.uplink import SILENCE
from bridge.realtime import openai
from bridge.settings.options import CallOptions
from bridge.telephony import twilio
from dsp.g711 import FRAME_BYTES, FRAME_MS

FRAMES_A_S = 50
# A loudspeaker's echo: short reverberation, mostly direct sound.
ECHO_RT60_S, ECHO_DIRECT = 0.12, 2.0
STRETCH_S, STRETCHES = 30.0, 20
LATE_ECHO_DB, LATE_S = -20.0, (0.7, 1.0)
LOUD_ECHO_S = 0.4
SENTENCE_S, LISTENS_S, SENTENCES = 5.0, 4.0, 2
LOUD_ECHO_CALLS = 8
# A loud frame of the caller: at least this much under the level of their speech.
LOUD_DB = -6.0
LOUD_FRAMES = 92
GREETED_S = 8.0
TELEVISION_DBOV, TELEVISION_S = -28.0, 60.0
BARGE_PAUSE_S, BARGE_TURN_S, BARGE_TURNS = 2.6, 2.5, 4
BARGE_ECHO_DB, BARGE_ECHO_S = (-34.0, -24.0), (0.06, 0.4)
BARGE_NOISES = ((None, 0), ("pink", 20), ("fan", 10), ("street", 10))
SOON_MS = 200
NOBODY = np.zeros(0, bool)


def _echo(far: Audio, db: float, delay_s: float, rng: Generator) -> Echo:
    sound = by_phone(in_room(far, ECHO_RT60_S, ECHO_DIRECT, rng))
    sound *= subset.rms(far) / subset.rms(sound) * amplitude(db)
    late = int(delay_s * FRAMES_A_S)
    late_sound = np.pad(sound, (late * FRAME_BYTES, 0))[: len(sound)]
    return Echo(late_sound, late)


def _line(seconds: float, rng: Generator) -> bytes:
    return mulaw(rng.normal(0, amplitude(LINE_DBOV), int(seconds * RATE)))


def _over_ai(
    near: bytes, far: Audio, onsets: list[Onset], is_free: Mask, echo: Echo | None
) -> Played:
    return Played(cut(near), mulaw(far), onsets, is_free, echo)


def late_echo(sounds: Sounds, options: CallOptions) -> Found:
    """Measure false interruptions by an echo 0.7 to 1.0 s late, in ten minutes."""
    clears = 0
    for number in range(STRETCHES):
        rng = np.random.default_rng([29, number])
        far = talkative(sounds.ai, STRETCH_S, rng)
        echo = _echo(far, LATE_ECHO_DB, rng.uniform(*LATE_S), rng)
        near = _line(STRETCH_S, rng)
        is_free = np.ones(len(near) // FRAME_BYTES, bool)
        trace = barge.play(_over_ai(near, far, [], is_free, echo), options)
        clears += int(trace.is_cleared.sum())
    return Found({"late_echo": float(clears)}, {})


def television(sounds: Sounds, options: CallOptions) -> Found:
    """Measure interruptions by a television at -28 dBov, in ten minutes."""
    clears = []
    for number in range(10):
        rng = np.random.default_rng([31, number])
        far = talkative(sounds.ai, TELEVISION_S, rng)
        sound = sounds.grounds["television"](int(TELEVISION_S * RATE), rng)
        near = alone(sound, TELEVISION_DBOV, rng)
        is_free = np.ones(len(near) // FRAME_BYTES, bool)
        trace = barge.play(_over_ai(near, far, [], is_free, None), options)
        clears.append(int(trace.is_cleared.sum()))
    return Found({"television": float(sum(clears))}, {})


def loud_echo(sounds: Sounds, options: CallOptions) -> Found:
    """Measure how much of the AI's loud, late echo the model is given, each call."""
    values, remarks = {}, {}
    for db in (-14, -10):
        found = []
        for number in range(LOUD_ECHO_CALLS):
            rng = np.random.default_rng([37, number])
            found.append(_echo_given(sounds, options, db, rng))
        name = f"loud_echo_{-db}_db"
        values[name] = float(np.mean(found))
        heard = sum(seconds > 0 for seconds in found)
        remarks[name] = f"in {heard} of {len(found)} calls, at most {max(found):.1f} s"
    return Found(values, remarks)


def _echo_given(
    sounds: Sounds, options: CallOptions, db: float, rng: Generator
) -> float:
    """Return the seconds of sound that the model is given while nobody speaks.

    The AI says a sentence and listens, and so on. What was cleared has no echo.
    """
    talk = Talk(options, b"")
    frames = 0
    for _ in range(SENTENCES):
        sentence = talkative(sounds.ai, SENTENCE_S, rng)
        far = np.pad(sentence, (0, int(LISTENS_S * RATE)))
        near = cut(_line(SENTENCE_S + LISTENS_S, rng))
        echo = _echo(far, db, LOUD_ECHO_S, rng)
        talk.say(mulaw(sentence))
        frames += _frames_given(talk, Played(near, b"", [], NOBODY, echo))
    return frames * FRAME_MS / 1e3


def _frames_given(talk: Talk, call: Played) -> int:
    """Return the frames with sound that the model is given of a call."""
    is_played = [True] * len(call.frames)
    given = 0
    for at in range(len(call.frames)):
        actions = talk.step(call.frame(at, is_played.__getitem__))
        given += sum(one.audio != SILENCE for one in _given(actions))
        if any(type(one) is twilio.Clear for one in actions):
            is_played[at + 1 :] = [False] * len(is_played[at + 1 :])
    return given


def _given(actions: Sequence[Action]) -> Iterator[openai.AppendAudio]:
    return (one for one in actions if type(one) is openai.AppendAudio)


def greeting(sounds: Sounds, options: CallOptions) -> Found:
    """Measure the loud frames lost of a caller who talks over the greeting at once."""
    lost = [
        _lost_over_greeting(sounds, options, clips, np.random.default_rng([41, n, at]))
        for at, clips in enumerate(sounds.voices.values())
        for n in range(2)
    ]
    return Found({"greeting": float(np.mean(lost))}, {"greeting": f"most {max(lost)}"})


def _lost_over_greeting(
    sounds: Sounds, options: CallOptions, clips: list[Clip], rng: Generator
) -> int:
    talk = Talk(options, b"")
    talk.say(mulaw(joined(sounds.ai, 5.0, (0.1, 0.3), rng).audio * amplitude(-20)))
    speech = joined(clips, GREETED_S, (0.05, 0.25), rng)
    frames = spoken(speech, rng, after_s=2.0).frames
    loud = _loud_frames(speech)
    places = {id(frame): at for at, frame in enumerate(frames)}
    given = set()
    for frame in frames:
        given |= {places.get(id(one.audio)) for one in _given(talk.step(frame))}
    return len(set(loud) - given)


def _loud_frames(speech: Clip) -> list[int]:
    whole = len(speech.audio) // FRAME_BYTES
    parts = by_phone(speech.audio)[: whole * FRAME_BYTES].reshape(whole, FRAME_BYTES)
    level = np.sqrt(np.mean(parts * parts, axis=1))
    bar = amplitude(LOUD_DB) * np.sqrt(np.mean(level[frames_said(speech.mask)] ** 2))
    return [int(at) for at in np.flatnonzero(level >= bar)[:LOUD_FRAMES]]


def interrupts(sounds: Sounds, options: CallOptions) -> Found:
    """Measure how soon callers interrupt, in quiet and at 10 dB or better."""
    found = [
        row["clear_ms"]
        for call in _interrupting(sounds)
        for row in barge.reactions(call, barge.play(call, options), options)
    ]
    soon = 100 * float(np.mean(np.array(found) < SOON_MS))
    missed = 100 * float(np.mean(np.array(found) >= barge.MISSED_MS))
    remark = f"of {len(found)} onsets, median {np.median(found):.0f} ms"
    return Found(
        {"interrupts_within_200_ms": soon, "interrupts_missed": missed},
        {"interrupts_within_200_ms": remark},
    )


def _interrupting(sounds: Sounds) -> Iterator[Played]:
    for number, clips in enumerate(sounds.voices.values()):
        for at, (kind, snr_db) in enumerate(BARGE_NOISES):
            rng = np.random.default_rng([43, number, at])
            noise = Noise(sounds.grounds[kind], snr_db) if kind else None
            talk, starts = _turns(clips, rng)
            call = spoken(talk, rng, begin_s=3.0, after_s=1.0, noise=noise)
            far = talkative(sounds.ai, len(call.near) / RATE, rng)
            echo = None
            if number % 2:
                db, delay_s = rng.uniform(*BARGE_ECHO_DB), rng.uniform(*BARGE_ECHO_S)
                echo = _echo(far, db, delay_s, rng)
            onsets = [Onset(3.0 + start, 3.0 + start) for start in starts]
            yield _over_ai(call.near, far, onsets, _free(call.is_said), echo)


def _turns(clips: list[Clip], rng: Generator) -> tuple[Clip, list[float]]:
    said: list[Clip] = []
    starts: list[float] = []
    for _ in range(BARGE_TURNS):
        starts.append(sum(len(one.mask) for one in said) / 100)
        pause = round((BARGE_PAUSE_S + rng.uniform(0, 0.04)) * 100)
        said += [joined(clips, BARGE_TURN_S, (0.05, 0.25), rng), quiet(pause)]
    return one_after_another(said), starts


def _free(is_said: Mask) -> Mask:
    """Return where nobody speaks, 200 ms from any speech."""
    around = np.ones(2 * FRAMES_A_S // 5 + 1)
    return np.asarray(np.convolve(is_said, around, "same") == 0)


SCENES = {
    "late_echo": Scene({"late_echo": Figure("in 10 min", 1, 0, 1)}, late_echo),
    "loud_echo": Scene(
        {
            "loud_echo_14_db": Figure("s/call", 0, 0, 0.05),
            "loud_echo_10_db": Figure("s/call", 0, 0, 0.1),
        },
        loud_echo,
    ),
    "greeting": Scene({"greeting": Figure("of 92", 3, 0, 1.5)}, greeting),
    "television": Scene({"television": Figure("in 10 min", 4, 1, 1)}, television),
    "interrupts": Scene(
        {
            "interrupts_within_200_ms": Figure("%", 88, 95, 2.0),
            "interrupts_missed": Figure("%", 5, 2, 1.0),
        },
        interrupts,
    ),
}
