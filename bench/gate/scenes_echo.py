"""Scenes of the AI's own echo, late and loud.

A gate that sends nothing has the best figures of `late_echo` and `loud_echo`, and the
worst of `answers`: read them together.
"""

import numpy as np

from bench.barge_calls import Played
from bench.cases import cut
from bench.gate import scene_talks
from bench.gate.scene_calls import joined, mulaw, spoken, talkative
from bench.gate.scene_sounds import Sounds
from bench.gate.scene_table import Figure, Found, Scene
from bench.gate.scene_talks import NOBODY, echo_of
from bench.gate.subset import RATE
from bench.talk import Talk
from bridge.settings.options import CallOptions
from dsp.g711 import FRAME_MS

STRETCH_S, STRETCHES = 30.0, 20  # ten minutes
LATE_ECHO_DB, LATE_S = -20.0, (0.7, 1.0)
LOUD_ECHO_S = 0.4
SENTENCE_S, LISTENS_S, SENTENCES = 5.0, 4.0, 2
CALLS = 8
# How long after the AI's last word the caller begins to answer, and for how long.
ANSWER_AFTER_S, ANSWER_S = (0.2, 1.0), 3.0
GAPS_S = (0.05, 0.25)


def late_echo(sounds: Sounds, options: CallOptions) -> Found:
    """Measure false interruptions by an echo 0.7 to 1.0 s late, in ten minutes."""
    clears = 0
    for number in range(STRETCHES):
        rng = np.random.default_rng([29, number])
        far = talkative(sounds.ai, STRETCH_S, rng)
        echo = echo_of(far, LATE_ECHO_DB, rng.uniform(*LATE_S), rng)
        near = scene_talks.line(STRETCH_S, rng)
        clears += len(scene_talks.cleared(near, far, options, echo))
    return Found({"late_echo": clears}, {})


def loud_echo(sounds: Sounds, options: CallOptions) -> Found:
    """Measure how much of the AI's loud, late echo the model is given, each call.

    The AI says a sentence and listens, twice. Nobody speaks.
    """
    values, remarks = {}, {}
    for db in (-14, -10):
        found = []
        for number in range(CALLS):
            rng = np.random.default_rng([37, number])
            talk, frames = Talk(options, b""), 0
            for _ in range(SENTENCES):
                sentence = talkative(sounds.ai, SENTENCE_S, rng)
                far = np.pad(sentence, (0, int(LISTENS_S * RATE)))
                near = cut(scene_talks.line(SENTENCE_S + LISTENS_S, rng))
                echo = echo_of(far, db, LOUD_ECHO_S, rng)
                talk.say(mulaw(sentence))
                call = Played(near, b"", [], NOBODY, echo)
                frames += len(scene_talks.listen(talk, call))
            found.append(frames * FRAME_MS / 1e3)
        name = f"loud_echo_{-db}_db"
        values[name] = float(np.mean(found))
        heard = sum(seconds > 0 for seconds in found)
        remarks[name] = f"in {heard} of {len(found)} calls, at most {max(found):.1f} s"
    return Found(values, remarks)


def answers(sounds: Sounds, options: CallOptions) -> Found:
    """Measure callers who answer while the AI's loud echo may still be heard."""
    values, remarks = {}, {}
    for db in (-20, -14):
        found = []
        for number, clips in enumerate(sounds.voices.values()):
            rng = np.random.default_rng([53, number])
            begin_s = SENTENCE_S + rng.uniform(*ANSWER_AFTER_S)
            answer = joined(clips, ANSWER_S, GAPS_S, rng)
            said = spoken(answer, rng, begin_s, after_s=2.0)
            sentence = talkative(sounds.ai, SENTENCE_S, rng)
            far = np.pad(sentence, (0, len(said.near) - len(sentence)))
            echo = echo_of(far, db, LOUD_ECHO_S, rng)
            talk = Talk(options, b"")
            talk.say(mulaw(sentence))
            heard = scene_talks.listen(talk, Played(said.frames, b"", [], NOBODY, echo))
            frames = set(np.flatnonzero(said.is_said).tolist())
            found.append(100 * len(frames & heard) / len(frames))
        name = f"answers_echo_{-db}_db"
        values[name] = float(np.mean(found))
        remarks[name] = f"worst voice {min(found):.0f}"
    return Found(values, remarks)


SCENES = {
    "late_echo": Scene({"late_echo": Figure("in 10 min", 1, 0, 1)}, late_echo),
    "loud_echo": Scene(
        {
            "loud_echo_14_db": Figure("s/call", 0, 0, 0.05),
            "loud_echo_10_db": Figure("s/call", 0, 0, 0.1),
        },
        loud_echo,
    ),
    "answers": Scene(
        {
            "answers_echo_20_db": Figure("%", None, None, 1.0, is_more_better=True),
            "answers_echo_14_db": Figure("%", None, None, 1.0, is_more_better=True),
        },
        answers,
    ),
}
