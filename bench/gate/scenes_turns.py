"""Scenes of where the bridge ends a caller's turn: `TURN_DETECTION=gate`.

The pure core hears callers who pause within their speech and then stop. The model's
answers are empty, so that every turn is heard to its end. A turn has ended when the
core commits it; a turn that it throws away has never ended.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from bench.gate.acoustics import ratio
from bench.gate.scene_calls import (
    Noise,
    Spoken,
    mulaw,
    one_after_another,
    quiet,
    spoken,
)
from bench.gate.scene_sounds import PART, Clip, Generator, Sounds, runs
from bench.gate.scene_table import Figure, Found, Scene
from bench.talk import Talk
from bridge.realtime import openai
from bridge.settings.options import CallOptions, merge
from dsp.g711 import FRAME_BYTES

ANSWER = mulaw(ratio(-40) * np.sin(np.arange(FRAME_BYTES) / 2))
SILENCE_MS = 500
PAUSES_S = (0.30, 0.47)
# A phrase, in parts of 10 ms, has no pause that could be one of these, and is no click.
# A longer one is cut at the next shorter pause.
PHRASE_GAP, PHRASE_LEAST, PHRASE_LONG, SHORT_GAP = 24, 40, 120, 6
# Of the speech's level: what a phrase begins and ends with at least.
CLEAR_DB = -14.0
TURN_S, AFTER_S, TURNS = 8.0, 3.5, 3
# The truth of an onset is earlier than what any listener can hear of a soft sound.
LATE_S = 0.3
NOISES = ((None, 0), ("pink", 20), ("fan", 10), ("street", 10))


class Ends(NamedTuple):
    """How the turns of one call ended."""

    pauses: int
    committed: int  # within a pause
    shares_ms: list[float]  # the bridge's share of each end
    never: int


def turns(sounds: Sounds, options: CallOptions) -> Found:
    """Measure turns that end within a pause, late, and never."""
    settings = {"TURN_DETECTION": "gate", "TURN_SILENCE_MS": str(SILENCE_MS)}
    judged = merge(options, settings)
    found = [(kind, ends(call, judged)) for kind, call in _callers(sounds)]
    every = [one for _, one in found]
    quiet_cut, quiet_pauses = _cut([one for kind, one in found if kind is None])
    committed, pauses = _cut(every)
    in_noise = [ms for kind, one in found if kind for ms in one.shares_ms]
    shares = [ms for one in every for ms in one.shares_ms]
    never = sum(one.never for one in every)
    remark = f"{committed} of {pauses} pauses, {quiet_cut} of {quiet_pauses} in quiet"
    return Found(
        {
            "turns_cut_in_pauses": 100 * committed / pauses,
            "turns_end_p99_in_noise": _p99(in_noise),
            "turns_never_ended": never,
        },
        {
            "turns_cut_in_pauses": remark,
            "turns_end_p99_in_noise": f"median of all {_median(shares):.0f} ms",
            "turns_never_ended": f"of {never + len(shares)}",
        },
    )


def _cut(calls: Sequence[Ends]) -> tuple[int, int]:
    return sum(one.committed for one in calls), sum(one.pauses for one in calls)


def _p99(values: list[float]) -> float:
    return float(np.percentile(values, 99)) if values else float("inf")


def _median(values: list[float]) -> float:
    return float(np.median(values)) if values else float("nan")


def ends(call: Spoken, options: CallOptions) -> Ends:
    """Run a call through the core and judge each of its pauses and ends."""
    commits_s = np.array(list(commits_of(call, options)))
    pauses = committed = never = 0
    shares_ms = []
    after = [start for start, _ in call.turns[1:]] + [len(call.near) / 8_000]
    for (_, end_s), next_s in zip(call.turns, after, strict=True):
        gap_s = next_s - end_s
        if PAUSES_S[0] - 0.01 <= gap_s <= PAUSES_S[1] + 0.01:
            pauses += 1
            committed += bool(
                ((commits_s > end_s) & (commits_s <= next_s + LATE_S)).any()
            )
        elif gap_s > 1:
            at = commits_s[(commits_s > end_s) & (commits_s <= next_s)]
            never += not len(at)
            shares_ms += [float(at[0] - end_s) * 1e3 - SILENCE_MS] if len(at) else []
    return Ends(pauses, committed, shares_ms, never)


def commits_of(call: Spoken, options: CallOptions) -> Iterator[float]:
    """Yield when the core commits, in s."""
    talk = Talk(options, b"")
    for frame in call.frames:
        kinds = {type(action) for action in talk.step(frame)}
        if openai.CommitAudio in kinds:
            yield talk.now
        if openai.ResponseCreate in kinds:
            talk.say(ANSWER)


def _callers(sounds: Sounds) -> Iterator[tuple[str | None, Spoken]]:
    for number, clips in enumerate(sounds.voices.values()):
        phrases = [phrase for clip in clips for phrase in phrases_of(clip)]
        for at, (kind, snr_db) in enumerate(NOISES):
            rng = np.random.default_rng([47, number, at])
            noise = Noise(sounds.grounds[kind], snr_db) if kind else None
            yield kind, spoken(_turns(phrases, rng), rng, 2.0, 0.0, noise=noise)


def phrases_of(clip: Clip) -> list[Clip]:
    """Return the parts of a clip that have no pause to be taken for an end."""
    spans: list[list[int]] = []
    for start, end in runs(clip.mask):
        if spans and not _is_cut(spans[-1][0], spans[-1][1], start):
            spans[-1][1] = end
        else:
            spans.append([start, end])
    phrases = (_without_edges(clip, start, end) for start, end in spans)
    return [phrase for phrase in phrases if len(phrase.mask) >= PHRASE_LEAST]


def _without_edges(clip: Clip, start: int, end: int) -> Clip:
    """Return a phrase from its first clear sound to its last.

    A click or a breath would begin or end it for the truth, and for nobody who listens.
    """
    audio = clip.audio[start * PART : end * PART]
    level = np.sqrt(np.mean(audio.reshape(-1, PART) ** 2, axis=1))
    clear = np.flatnonzero(level >= ratio(CLEAR_DB))
    if not len(clear):
        return quiet(0)
    first, last = int(clear[0]), int(clear[-1]) + 1
    return Clip(
        audio[first * PART : last * PART], clip.mask[start + first : start + last]
    )


def _is_cut(start: int, end: int, following: int) -> bool:
    gap = following - end
    return gap >= PHRASE_GAP or (end - start >= PHRASE_LONG and gap >= SHORT_GAP)


def _turns(phrases: Sequence[Clip], rng: Generator) -> Clip:
    """Return turns of whole phrases, each turn with quiet after it."""
    said: list[Clip] = []
    for _ in range(TURNS):
        parts = 0
        while parts < TURN_S * 100:
            phrase = phrases[int(rng.integers(len(phrases)))]
            pause = round(rng.uniform(*PAUSES_S) * 100)
            said += [phrase, quiet(pause)]
            parts += len(phrase.mask) + pause
        said[-1] = quiet(round(AFTER_S * 100))
    return one_after_another(said)


SCENES = {
    "turns": Scene(
        {
            "turns_cut_in_pauses": Figure("%", 3, 3, 1.0),
            "turns_end_p99_in_noise": Figure("ms", 150, 150, 20.0),
            "turns_never_ended": Figure("turns", 0, 0, 0.0),
        },
        turns,
    )
}
