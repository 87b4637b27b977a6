"""Scenes of a caller whom nobody interrupts, and of a line on which nobody speaks.

The gate alone hears them. A frame counts as sent if it goes on then or later, as
preroll. A gate that sends everything has the best figure of every scene with a caller,
and the worst where nobody speaks: read them together.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np

from bench.gate.scene_calls import (
    Noise,
    Room,
    Spoken,
    alone,
    joined,
    one_after_another,
    quiet,
    spoken,
)
from bench.gate.scene_sounds import Clip, Generator, Mask, Sounds
from bench.gate.scene_table import Figure, Found, Scene
from bench.gate.subset import RATE
from bridge.cli.gate_trial import Recording, decide
from bridge.settings.options import CallOptions

FRAMES_A_S = 50
TALKS_S = 40.0
AGES_S = (0, 3, 5, 10, 15, 20, 30, 40)
HANDS_FREE = Room(rt60_s=0.4, direct=0.5)
TALKS_GAPS_S = (0.05, 0.25)
EARLY_S = 3.0
EARLY_TALK_S = 8.0
EARLY_GAPS_S = (0.08, 0.4)
# A caller who says one word after another, as an answer to each question.
WORD_PAUSE_S = (1.5, 3.0)
WORDS_A_CALL = 20
# A word of which more than this is sent is understood.
WORD_SENT = 0.5
ROOM_SNR_DB = 27
NOBODY_S = 60.0
NOBODY_DBOV = (-24.0, -30.0, -36.0, -42.0)


def sent(near: bytes, options: CallOptions) -> Mask:
    """Return for each frame of a call whether the gate sends it."""
    return np.array(decide(Recording("", near, b""), options)[1], bool)


def _shares(call: Spoken, options: CallOptions, ages_s: Sequence[float]) -> list[float]:
    """Return the percentages of the speech sent, by the time since its first frame."""
    is_sent = sent(call.near, options)
    is_said = call.is_said[: len(is_sent)]
    first = int(np.flatnonzero(is_said)[0])
    age_s = (np.arange(len(is_said)) - first) / FRAMES_A_S
    rows = [
        is_sent[is_said & (age_s >= start) & (age_s < end)]
        for start, end in pairwise(ages_s)
    ]
    return [100 * float(row.mean()) if len(row) else float("nan") for row in rows]


def _each(sounds: Sounds) -> Iterator[tuple[str, list[Clip], Generator]]:
    for number, (talker, clips) in enumerate(sounds.voices.items()):
        yield talker, clips, np.random.default_rng([17, number])


def talks_on(sounds: Sounds, options: CallOptions) -> Found:
    """Measure callers who talk on for 40 s: near the phone, in a room, in noise."""
    ways = {
        "talks_on_dry": (None, None),
        "talks_on_hands_free": (HANDS_FREE, None),
        "talks_on_hands_free_noise": (
            HANDS_FREE,
            Noise(sounds.grounds["pink"], snr_db=20),
        ),
    }
    values, remarks = {}, {}
    for name, (room, noise) in ways.items():
        rows, whole = [], []
        for _, clips, rng in _each(sounds):
            talk = joined(clips, TALKS_S, TALKS_GAPS_S, rng)
            call = spoken(talk, rng, begin_s=3.0, room=room, noise=noise)
            rows.append(_shares(call, options, AGES_S))
            whole += _shares(call, options, (0, TALKS_S))
        values[name] = float(np.mean(whole))
        by_age = " ".join(f"{value:.0f}" for value in np.nanmean(rows, axis=0))
        remarks[name] = f"by age {by_age}; worst voice {min(whole):.0f}"
    return Found(values, remarks)


def early(sounds: Sounds, options: CallOptions) -> Found:
    """Measure callers who speak at once, in their first 3 s."""
    values, remarks = {}, {}
    for begin_s in (0.3, 0.0):
        for snr_db in (20, 10):
            found = []
            for _, clips, rng in _each(sounds):
                talk = joined(clips, EARLY_TALK_S, EARLY_GAPS_S, rng)
                noise = Noise(sounds.grounds["pink"], snr_db)
                call = spoken(talk, rng, begin_s=begin_s, noise=noise)
                found += _shares(call, options, (0, EARLY_S))
            name = f"early_{1_000 * begin_s:.0f}_ms_{snr_db}_db"
            values[name] = float(np.mean(found))
            remarks[name] = f"worst voice {min(found):.0f}"
    return Found(values, remarks)


def words(sounds: Sounds, options: CallOptions) -> Found:
    """Measure isolated short words in the noise of their room."""
    lost = said = 0
    for number, clips in enumerate(sounds.words.values()):
        rng = np.random.default_rng([19, number])
        call = spoken(
            _words_apart(clips, rng),
            rng,
            begin_s=2.0,
            noise=Noise(sounds.grounds["pink"], ROOM_SNR_DB),
        )
        is_sent = sent(call.near, options)
        for start_s, end_s in call.turns:
            word = slice(int(start_s * FRAMES_A_S), int(end_s * FRAMES_A_S) + 1)
            said += 1
            lost += is_sent[word].mean() < WORD_SENT
    return Found({"words_lost": 100 * lost / said}, {"words_lost": f"{lost} of {said}"})


def _words_apart(clips: Sequence[Clip], rng: Generator) -> Clip:
    said: list[Clip] = []
    for _ in range(WORDS_A_CALL):
        word = clips[int(rng.integers(len(clips)))]
        pause = round(rng.uniform(*WORD_PAUSE_S) * 100)
        said += [Clip(word.audio, np.ones(len(word.mask), bool)), quiet(pause)]
    return one_after_another(said)


def nobody(sounds: Sounds, options: CallOptions) -> Found:
    """Measure what is sent of music and of babble when nobody speaks."""
    values, remarks = {}, {}
    for kind in ("music", "song", "babble"):
        found = []
        for number in range(len(NOBODY_DBOV)):
            rng = np.random.default_rng([23, number])
            sound = sounds.grounds[kind](int(NOBODY_S * RATE), rng)
            near = alone(sound, NOBODY_DBOV[number], rng)
            found.append(100 * sent(near, options).mean())
        values[f"nobody_{kind}"] = float(np.mean(found))
        by_call = " ".join(f"{value:.0f}" for value in found)
        remarks[f"nobody_{kind}"] = f"by level {by_call}"
    return Found(values, remarks)


SCENES = {
    "talks_on": Scene(
        {
            "talks_on_dry": Figure("%", 98, 99, 0.5, is_more_better=True),
            "talks_on_hands_free": Figure("%", 95, 98, 0.5, is_more_better=True),
            "talks_on_hands_free_noise": Figure("%", 93, 97, 0.5, is_more_better=True),
        },
        talks_on,
    ),
    "early": Scene(
        {
            "early_300_ms_20_db": Figure("%", 96, 99, 1.0, is_more_better=True),
            "early_300_ms_10_db": Figure("%", 90, 95, 1.0, is_more_better=True),
            "early_0_ms_20_db": Figure("%", 96, 99, 1.0, is_more_better=True),
            "early_0_ms_10_db": Figure("%", 90, 95, 1.0, is_more_better=True),
        },
        early,
    ),
    "words": Scene({"words_lost": Figure("%", 3, 1, 2.0)}, words),
    "nobody": Scene(
        {
            "nobody_music": Figure("%", 3, 1, 0.5),
            "nobody_song": Figure("%", 3, 1, 0.5),
            "nobody_babble": Figure("%", 12, 6, 0.5),
        },
        nobody,
    ),
}
