"""Scenes of sounds over the talking AI: which of them stop it, and how soon.

A caller who talks must; a cough, a bark, a short "mm" and a television must not. A
gate that sends nothing has the best figures of the latter, and misses all of the
former.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from bench import barge
from bench.barge_calls import Onset, Played
from bench.gate import scene_talks, subset
from bench.gate.acoustics import ratio
from bench.gate.scene_calls import (
    AI_DBOV,
    LEVEL_DBOV,
    Noise,
    alone,
    frames_said,
    joined,
    mulaw,
    one_after_another,
    quiet,
    spoken,
    talkative,
)
from bench.gate.scene_sounds import (
    PART,
    Clip,
    Generator,
    Mask,
    Sounds,
    by_phone,
    runs,
)
from bench.gate.scene_table import Figure, Found, Scene
from bench.gate.scene_talks import FRAMES_A_S, NOBODY, echo_of
from bench.gate.subset import RATE, Audio
from bench.talk import Talk
from bridge.settings.options import CallOptions, merge
from dsp.g711 import FRAME_BYTES

# A loud frame of the caller is less than this below the level of their speech.
LOUD_DB = -6.0
LOUD_FRAMES = 92
GREETED_S, GREETING_S = 8.0, 5.0
GAPS_S = (0.05, 0.25)
TELEVISION_DBOV, TELEVISION_S, TELEVISIONS = -28.0, 60.0, 10
EVENTS, EVENT_DBOV, EVENT_PAUSE_S = 40, (-28.0, -18.0), (2.5, 3.5)
PIECES, PIECE_PARTS, PIECE_PAUSE_S = 16, (16, 29), (3.0, 3.5)
PIECE_ECHO_DB, PIECE_ECHO_S = (-30.0, -20.0), (0.06, 0.4)
FADE = RATE // 200
BARGE_PAUSE_S, BARGE_TURN_S, BARGE_TURNS = 2.6, 2.5, 4
BARGE_ECHO_DB, BARGE_ECHO_S = (-34.0, -24.0), (0.06, 0.4)
BARGE_NOISES = ((None, 0), ("pink", 20), ("fan", 10), ("street", 10))
BEGIN_S = 3.0
SOON_MS = 200


def greeting(sounds: Sounds, options: CallOptions) -> Found:
    """Measure the loud frames lost of a caller who talks over the greeting at once."""
    lost = []
    for number, clips in enumerate(sounds.voices.values()):
        for again in range(2):
            rng = np.random.default_rng([41, number, again])
            talk = Talk(options, b"")
            greeted = joined(sounds.ai, GREETING_S, GAPS_S, rng).audio
            talk.say(mulaw(greeted * ratio(AI_DBOV)))
            speech = joined(clips, GREETED_S, GAPS_S, rng)
            frames = spoken(speech, rng, after_s=2.0).frames
            heard = scene_talks.listen(talk, Played(frames, b"", [], NOBODY))
            lost.append(len(loud_frames(speech) - heard))
    return Found({"greeting": float(np.mean(lost))}, {"greeting": f"most {max(lost)}"})


def loud_frames(speech: Clip) -> set[int]:
    """Return the first loud frames of a caller."""
    whole = len(speech.audio) // FRAME_BYTES
    parts = by_phone(speech.audio)[: whole * FRAME_BYTES].reshape(whole, FRAME_BYTES)
    level = np.sqrt(np.mean(parts * parts, axis=1))
    bar = ratio(LOUD_DB) * np.sqrt(np.mean(level[frames_said(speech.mask)] ** 2))
    return {int(at) for at in np.flatnonzero(level >= bar)[:LOUD_FRAMES]}


def television(sounds: Sounds, options: CallOptions) -> Found:
    """Measure interruptions by a television at -28 dBov, in ten minutes."""
    clears = 0
    for number in range(TELEVISIONS):
        rng = np.random.default_rng([31, number])
        far = talkative(sounds.ai, TELEVISION_S, rng)
        sound = sounds.grounds["television"](int(TELEVISION_S * RATE), rng)
        near = alone(sound, TELEVISION_DBOV, rng)
        clears += len(scene_talks.cleared(near, far, options))
    return Found({"television": clears}, {})


def events(sounds: Sounds, options: CallOptions) -> Found:
    """Measure how many coughs, sneezes and barks stop the AI."""
    values, remarks = {}, {}
    for at, (kind, made) in enumerate(sounds.events.items()):
        rng = np.random.default_rng([59, at])
        some = [made[int(rng.integers(len(made)))] for _ in range(EVENTS)]
        levels = [ratio(rng.uniform(*EVENT_DBOV)) for _ in some]
        heard = [sound * level for sound, level in zip(some, levels, strict=True)]
        near, places_s = _placed(heard, EVENT_PAUSE_S, rng)
        far = talkative(sounds.ai, len(near) / RATE, rng)
        stops_s = scene_talks.cleared(near, far, options)
        count = scene_talks.interrupting(places_s, stops_s)
        values[f"stopped_by_{kind}"] = 100 * count / EVENTS
        remarks[f"stopped_by_{kind}"] = f"{count} of {EVENTS}"
    return Found(values, remarks)


def pieces(sounds: Sounds, options: CallOptions) -> Found:
    """Measure how many pieces of speech under 300 ms interrupt, where they must not."""
    settings = merge(options, {"BARGE_IN_IGNORE_BACKCHANNEL": "1"})
    count = 0
    for number, clips in enumerate(sounds.voices.values()):
        rng = np.random.default_rng([61, number])
        said = [_piece(clips, rng) for _ in range(PIECES)]
        near, places_s = _placed(said, PIECE_PAUSE_S, rng)
        far = talkative(sounds.ai, len(near) / RATE, rng)
        db, delay_s = rng.uniform(*PIECE_ECHO_DB), rng.uniform(*PIECE_ECHO_S)
        stops_s = scene_talks.cleared(
            near, far, settings, echo_of(far, db, delay_s, rng)
        )
        count += scene_talks.interrupting(places_s, stops_s)
    every = PIECES * len(sounds.voices)
    return Found({"pieces": 100 * count / every}, {"pieces": f"{count} of {every}"})


def _piece(clips: Sequence[Clip], rng: Generator) -> Audio:
    """Return 160 to 290 ms of a clip's speech, at the level of a caller."""
    parts = int(rng.integers(PIECE_PARTS[0], PIECE_PARTS[1] + 1))
    spans = [
        (clip.audio, start, end)
        for clip in clips
        for start, end in runs(clip.mask)
        if end - start >= parts
    ]
    audio, start, end = spans[int(rng.integers(len(spans)))]
    first = int(rng.integers(start, end - parts + 1))
    piece = audio[first * PART : (first + parts) * PART].copy()
    piece[:FADE] *= np.linspace(0, 1, FADE)
    piece[-FADE:] *= np.linspace(1, 0, FADE)
    return piece / subset.rms(piece) * ratio(LEVEL_DBOV)


def _placed(
    heard: Sequence[Audio], pause_s: tuple[float, float], rng: Generator
) -> tuple[bytes, list[tuple[float, float]]]:
    """Return a caller's side with these sounds, and where each is, in s."""
    places: list[tuple[float, float]] = []
    at_s = BEGIN_S
    for sound in heard:
        places.append((at_s, at_s + len(sound) / RATE))
        at_s = places[-1][1] + rng.uniform(*pause_s)
    near = np.zeros(int(at_s * RATE))
    for (start_s, _), sound in zip(places, heard, strict=True):
        subset.put(near, start_s, sound)
    ground = rng.normal(0, ratio(-68), len(near))
    return mulaw(by_phone(near) + ground), places


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
            call = spoken(talk, rng, BEGIN_S, noise=noise)
            far = talkative(sounds.ai, len(call.near) / RATE, rng)
            echo = None
            if (number + at) % 2:
                db, delay_s = rng.uniform(*BARGE_ECHO_DB), rng.uniform(*BARGE_ECHO_S)
                echo = echo_of(far, db, delay_s, rng)
            onsets = [Onset(BEGIN_S + start, BEGIN_S + start) for start in starts]
            yield Played(call.frames, mulaw(far), onsets, _free(call.is_said), echo)


def _turns(clips: Sequence[Clip], rng: Generator) -> tuple[Clip, list[float]]:
    said: list[Clip] = []
    starts: list[float] = []
    for _ in range(BARGE_TURNS):
        starts.append(sum(len(one.mask) for one in said) / 100)
        pause = round((BARGE_PAUSE_S + rng.uniform(0, 0.04)) * 100)
        said += [joined(clips, BARGE_TURN_S, GAPS_S, rng), quiet(pause)]
    return one_after_another(said), starts


def _free(is_said: Mask) -> Mask:
    """Return where nobody speaks, 200 ms from any speech."""
    around = np.ones(2 * FRAMES_A_S // 5 + 1)
    return np.asarray(np.convolve(is_said, around, "same") == 0)


SCENES = {
    "greeting": Scene({"greeting": Figure("of 92", 3, 0, 1.5)}, greeting),
    "television": Scene({"television": Figure("in 10 min", 4, 1, 1)}, television),
    "events": Scene(
        {
            "stopped_by_cough": Figure("%", 2, 0, 2.5),
            "stopped_by_sneeze": Figure("%", 2, 0, 2.5),
            "stopped_by_bark": Figure("%", 2, 0, 2.5),
        },
        events,
    ),
    "pieces": Scene({"pieces": Figure("%", 2, 0, 1.0)}, pieces),
    "interrupts": Scene(
        {
            "interrupts_within_200_ms": Figure("%", 88, 95, 2.0, is_more_better=True),
            "interrupts_missed": Figure("%", 5, 2, 1.0),
        },
        interrupts,
    ),
}
