"""How well the gate hears generated calls of voices and noises it was not trained on.

`practical` calls have 10 dB SNR or better in any noise, and 5 dB in a
steady noise. `hard` are the others with a caller. In `nobody` no caller speaks.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from bench.gate import calls, rivals
from bench.gate.calls import Call
from bench.gate.pool import of_material
from bridge.cli import gate_trial
from bridge.cli.gate_trial import Figures, Recording
from bridge.settings.options import CallOptions, merge
from dsp.g711 import FRAME_MS

Gate = Callable[[Recording], tuple[list[int], list[int]]]

STEADY = ("pink", "fan", "hum", "street", "car")
SEED = 9_001


class Judged(NamedTuple):
    """One gate's figures by group, and its time a frame in us."""

    groups: dict[str, Figures]
    micros: float


def run(cache: Path, split: str, count: int, with_rivals: bool) -> int:
    """Judge the gate, with and without its score, and the rivals, on the same calls."""
    made = list(generated(cache, split, count))
    gates: dict[str, Gate] = {
        "learned": partial(_decide, switch="on"),
        "classical": partial(_decide, switch="off"),
    }
    if with_rivals:
        gates |= rivals.installed()
    judged = {}
    for name, gate in gates.items():
        judged[name] = judge(made, gate)
        print(f"judged {name}", flush=True)
    print("\n".join(table(split, judged)))
    return 0


def generated(cache: Path, split: str, count: int) -> Iterator[Call]:
    """Yield calls of a split."""
    sounds = of_material(cache, split)
    for at in range(count):
        yield calls.make(sounds, np.random.default_rng([SEED, at]))


def judge(made: Iterable[Call], gate: Gate) -> Judged:
    """Return a gate's figures over the calls of each group."""
    parts: dict[str, list[Figures]] = {}
    spent = frames = 0.0
    for call in made:
        found = recording(call)
        began = time.perf_counter()
        states, sent = gate(found)
        spent += time.perf_counter() - began
        frames += len(states)
        figures = gate_trial.figures(found, states, sent)
        for group in groups_of(call):
            parts.setdefault(group, []).append(figures)
    totals = {group: gate_trial.total(some) for group, some in parts.items()}
    return Judged(totals, 1e6 * spent / max(frames, 1))


def groups_of(call: Call) -> list[str]:
    """Return the groups to which a call belongs."""
    if call.caller == "nobody":
        return ["nobody", f"nobody, {call.noise}"]
    least_db = 5 if call.noise in STEADY else 10
    group = "practical" if call.snr_db >= least_db else "hard"
    return [group, f"{group}, {call.caller}"]


def recording(call: Call) -> Recording:
    """Return a call with its truth in seconds."""
    edges = np.flatnonzero(np.diff(call.is_speech.astype(int), prepend=0, append=0))
    truth = [(a * FRAME_MS / 1e3, b * FRAME_MS / 1e3) for a, b in edges.reshape(-1, 2)]
    return Recording(call.caller, call.near, call.far, truth)


def table(split: str, judged: dict[str, Judged]) -> list[str]:
    """Return a Markdown table of each group."""
    names = ("recall %", "leak %", "balanced error %", "false/min", "onset ms")
    head = f"| gate | {' | '.join(names)} | missed % | us a frame |"
    rule = f"|---|{'---:|' * 7}"
    lines = []
    every = sorted({group for one in judged.values() for group in one.groups})
    for group in every:
        lines += [f"\n{split}, {group}\n", head, rule]
        for name, one in judged.items():
            lines.append(_row(name, one.groups[group], one.micros))
    return lines


def _row(name: str, one: Figures, micros: float) -> str:
    cells = [
        gate_trial.recall(one),
        gate_trial.leak(one),
        gate_trial.balanced_error(one),
        gate_trial.false_a_minute(one),
        gate_trial.middle(one.onsets_ms) if one.onsets_ms else float("nan"),
        100 * one.missed / max(len(one.onsets_ms) + one.missed, 1),
        micros,
    ]
    return f"| {name} | {' | '.join(f'{cell:.1f}' for cell in cells)} |"


def _decide(found: Recording, switch: str) -> tuple[list[int], list[int]]:
    return gate_trial.decide(found, merge(CallOptions(), {"GATE_SCORE": switch}))
