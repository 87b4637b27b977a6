"""Train the learned scores: fetch and cut the material, make the calls, train, write.

The first net learns from calls of every kind. The second begins with its weights, as
whole numbers, and goes on learning, mostly from calls in which the AI talks.

It needs the extra `gate-training`, sox with AMR, and for all of the material apt-get,
espeak-ng, flite and festival. `--small` trains on the packaged clips, to show that the
whole path works: its nets are loaded, and must tell a caller from a fan.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

from bench.gate import calls, manifest, material, voices
from bench.gate.calls import Calls, Kind
from bench.gate.packaged import packaged
from bench.gate.pool import of_material
from bench.gate.quantise import floats_of

ROOT = Path(__file__).parents[2]
DSP = ROOT / "dsp"
SPEECH, DOUBLE_TALK = "score.weights", "double_talk.weights"
SEEDS, CALLS_A_SEED, STEPS = range(1, 29), 100, 3_600
# Of the second net; an error of its second output costs OVER_SHARE times one of the
# first.
OVER_SEEDS, OVER_STEPS, OVER_RATE, OVER_SHARE = range(101, 121), 1_500, 2.5e-3, 1.5
SMALL_SEEDS, SMALL_CALLS, SMALL_STEPS = range(1, 3), 20, 100
# Runs with the `dsp` of another folder. A caller's mean score has to be much higher.
TOLD_APART = """
import sys
import numpy as np
from bridge.sandbox.clips import clip
from dsp import score
from dsp.gate import NoiseGate

def heard(name):
    gate, found = NoiseGate(), []
    audio = clip(name).audio
    for at in range(0, len(audio) - 159, 160):
        gate.analyze(audio[at : at + 160], -30.0)
        found.append((gate.score, gate.double_talk_score))
    return np.mean(found, axis=0)

caller, fan = heard("human-en-reader-1"), heard("noise-fan")
print(f"steps {score.ABOUT['steps']}: a caller {caller.round(2)}, a fan {fan.round(2)}")
sys.exit(bool(min(caller - fan) < 0.1))
"""
# The header's hash covers these, and the manifest of the recordings.
MADE_OF = (
    "acoustics.py", "ai_side.py", "callers.py", "calls.py", "events.py", "lines.py",
    "noises.py", "pool.py", "quantise.py", "training.py", "voices.py",
)  # fmt: skip


def run(cache: Path, out: Path = DSP) -> int:
    """Train what ships; the same recordings make the same weights, bit for bit."""
    material.fetch(cache)
    print(f"cut {len(voices.build(cache, 'train').by)} voices into clips", flush=True)
    generate = partial(_of_material, cache, calls.KINDS)
    over = partial(_of_material, cache, calls.OVER_KINDS)
    return _train(generate, over, SEEDS, OVER_SEEDS, STEPS, OVER_STEPS, out)


def run_small(out: Path) -> int:
    """Train a small net on the packaged clips, by the same path."""
    generate = partial(_of_clips, calls.KINDS)
    over = partial(_of_clips, calls.OVER_KINDS)
    seeds, steps = SMALL_SEEDS, SMALL_STEPS
    out.mkdir(parents=True, exist_ok=True)
    _train(generate, over, seeds, seeds, steps, steps // 2, out)
    return told_apart(out)


def told_apart(weights: Path) -> int:
    """Load a folder's weights into a copy of `dsp`; 0 if they tell caller from fan."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "dsp"
        shutil.copytree(DSP, copy, ignore=shutil.ignore_patterns("*.c"))
        for name in (SPEECH, DOUBLE_TALK):
            shutil.copy(weights / name, copy / name)
        command = [sys.executable, "-c", TOLD_APART]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        # The folder of the command comes before everything else that is imported.
        ran = subprocess.run(command, env=environment, cwd=folder, check=False)
        return ran.returncode


def _of_material(cache: Path, kinds: tuple[Kind, ...], seed: int) -> Calls:
    return calls.generate(of_material(cache, "train"), CALLS_A_SEED, seed, kinds)


def _of_clips(kinds: tuple[Kind, ...], seed: int) -> Calls:
    return calls.generate(packaged(), SMALL_CALLS, seed, kinds)


def _generated(generate: Callable[[int], Calls], seeds: Iterable[int]) -> Calls:
    every = Calls([], [], [])
    with ProcessPoolExecutor() as workers:
        parts = workers.map(generate, seeds)
        for seed, part in zip(seeds, parts, strict=True):
            print(f"seed {seed}: {len(part.features)} calls", flush=True)
            for kept, more in zip(every, part, strict=True):
                kept.extend(more)
    return every


def _train(
    generate: Callable[[int], Calls],
    over: Callable[[int], Calls],
    seeds: Sequence[int],
    over_seeds: Sequence[int],
    steps: int,
    over_steps: int,
    out: Path,
) -> int:
    """Train both nets, and write them to the folder `out`."""
    from bench.gate import recurrent

    here = Path(__file__).parent
    sources = [here / name for name in MADE_OF] + [manifest.PATH]
    net = recurrent.train(recurrent.Recipe(steps=steps), _generated(generate, seeds))
    recurrent.save(net, out / SPEECH, sources, seeds=[*seeds], steps=steps)
    first = floats_of(recurrent.weights_of(net), net.units, net.inputs)
    recipe = recurrent.Recipe(
        steps=over_steps, rate=OVER_RATE, double_talk_share=OVER_SHARE
    )
    net = recurrent.train(recipe, _generated(over, over_seeds), start=first)
    more = {"seeds": [*over_seeds], "steps": over_steps}
    recurrent.save(net, out / DOUBLE_TALK, sources, **more)
    print(f"wrote both to {out}; build, and run: python -m bench.gate scenes --record")
    return 0
