"""Scenes of a caller whom nobody interrupts, and of a line on which nobody speaks.

The gate alone hears them. A frame counts as sent if it goes on then or later, as
preroll. A gate that sends everything has the best figure of every scene with a caller,
and the worst where nobody speaks: read them together.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

import numpy as np

from bench.gate.scene_calls import (
    Noise,
    Room,
    Spoken,
    alone,
    frames_said,
    joined,
    mulaw,
    one_after_another,
    quiet,
    spoken,
)
from bench.gate.scene_sounds import Clip, Generator, Mask, Sounds
from bench.gate.scene_table import Figure, Found, Hears, Scene
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


def gate(options: CallOptions) -> Hears:
    """Return the gate with these settings."""

    def hear(near: bytes) -> Mask:
        return np.array(decide(Recording("", near, b""), options)[1], bool)

    return hear


def _scene(
    figures: dict[str, Figure], listens: Callable[[Sounds, Hears], Found]
) -> Scene:
    def measure(sounds: Sounds, options: CallOptions) -> Found:
        return listens(sounds, gate(options))

    return Scene(figures, measure, listens)


def _shares(call: Spoken, hears: Hears, ages_s: Sequence[float]) -> list[float]:
    """Return the percentages of the speech sent, by the time since its first frame."""
    is_sent = hears(call.near)
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


def talks_on(sounds: Sounds, hears: Hears) -> Found:
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
            rows.append(_shares(call, hears, AGES_S))
            whole += _shares(call, hears, (0, TALKS_S))
        values[name] = float(np.mean(whole))
        by_age = " ".join(f"{value:.0f}" for value in np.nanmean(rows, axis=0))
        remarks[name] = f"by age {by_age}; worst voice {min(whole):.0f}"
    return Found(values, remarks)


def early(sounds: Sounds, hears: Hears) -> Found:
    """Measure callers who speak at once, in their first 3 s."""
    values, remarks = {}, {}
    for begin_s in (0.3, 0.0):
        for snr_db in (20, 10):
            found = []
            for _, clips, rng in _each(sounds):
                talk = joined(clips, EARLY_TALK_S, EARLY_GAPS_S, rng)
                noise = Noise(sounds.grounds["pink"], snr_db)
                call = spoken(talk, rng, begin_s=begin_s, noise=noise)
                found += _shares(call, hears, (0, EARLY_S))
            name = f"early_{1_000 * begin_s:.0f}_ms_{snr_db}_db"
            values[name] = float(np.mean(found))
            remarks[name] = f"worst voice {min(found):.0f}"
    return Found(values, remarks)


def words(sounds: Sounds, hears: Hears) -> Found:
    """Measure isolated short words in the noise of their room."""
    lost: dict[str, list[bool]] = {}
    for number, (talker, clips) in enumerate(sounds.words.items()):
        rng = np.random.default_rng([19, number])
        room = sounds.rooms.get(talker, sounds.grounds["pink"])
        apart = _words_apart(clips, rng)
        call = spoken(apart, rng, begin_s=2.0, noise=Noise(room, ROOM_SNR_DB))
        is_sent = hears(call.near)
        lost[talker] = [
            bool(
                is_sent[int(start_s * FRAMES_A_S) : int(end_s * FRAMES_A_S) + 1].mean()
                < WORD_SENT
            )
            for start_s, end_s in call.turns
        ]
    every = [one for row in lost.values() for one in row]
    worst = max(lost, key=lambda talker: np.mean(lost[talker]))
    remark = f"{sum(every)} of {len(every)}, worst {np.mean(lost[worst]):.0%} {worst}"
    return Found({"words_lost": 100 * float(np.mean(every))}, {"words_lost": remark})


def _frames(start_s: float, end_s: float) -> slice:
    return slice(int(start_s * FRAMES_A_S), int(end_s * FRAMES_A_S) + 1)


def _words_apart(clips: Sequence[Clip], rng: Generator) -> Clip:
    said: list[Clip] = []
    for _ in range(WORDS_A_CALL):
        word = clips[int(rng.integers(len(clips)))]
        pause = round(rng.uniform(*WORD_PAUSE_S) * 100)
        said += [Clip(word.audio, np.ones(len(word.mask), bool)), quiet(pause)]
    return one_after_another(said)


def as_recorded(sounds: Sounds, hears: Hears) -> Found:
    """Measure recordings as they are: their level, their noise, their first word."""
    found = []
    for audio, mask in sounds.as_recorded:
        is_sent = hears(mulaw(audio))
        is_said = frames_said(mask)[: len(is_sent)]
        found.append(100 * is_sent[: len(is_said)][is_said].mean())
    remark = f"of {len(found)}, worst {min(found):.0f}"
    return Found({"as_recorded": float(np.mean(found))}, {"as_recorded": remark})


def nobody(sounds: Sounds, hears: Hears) -> Found:
    """Measure what is sent of music and of babble when nobody speaks."""
    values, remarks = {}, {}
    for kind in ("music", "song", "babble"):
        if kind not in sounds.grounds:
            continue
        found = []
        for number in range(len(NOBODY_DBOV)):
            rng = np.random.default_rng([23, number])
            sound = sounds.grounds[kind](int(NOBODY_S * RATE), rng)
            near = alone(sound, NOBODY_DBOV[number], rng)
            found.append(100 * hears(near).mean())
        values[f"nobody_{kind}"] = float(np.mean(found))
        by_call = " ".join(f"{value:.0f}" for value in found)
        remarks[f"nobody_{kind}"] = f"by level {by_call}"
    return Found(values, remarks)


SCENES = {
    "talks_on": _scene(
        {
            "talks_on_dry": Figure("%", 98, 99, 0.5, is_more_better=True),
            "talks_on_hands_free": Figure("%", 95, 98, 0.5, is_more_better=True),
            "talks_on_hands_free_noise": Figure("%", 93, 97, 0.5, is_more_better=True),
        },
        talks_on,
    ),
    "early": _scene(
        {
            "early_300_ms_20_db": Figure("%", 96, 99, 1.0, is_more_better=True),
            "early_300_ms_10_db": Figure("%", 90, 95, 1.0, is_more_better=True),
            "early_0_ms_20_db": Figure("%", 96, 99, 1.0, is_more_better=True),
            "early_0_ms_10_db": Figure("%", 90, 95, 1.0, is_more_better=True),
        },
        early,
    ),
    "words": _scene({"words_lost": Figure("%", 3, 1, 2.0)}, words),
    "as_recorded": _scene(
        {"as_recorded": Figure("%", 95, 98, 1.0, is_more_better=True)}, as_recorded
    ),
    "nobody": _scene(
        {
            "nobody_music": Figure("%", 3, 1, 0.5),
            "nobody_song": Figure("%", 3, 1, 0.5),
            "nobody_babble": Figure("%", 12, 6, 0.5),
        },
        nobody,
    ),
}
