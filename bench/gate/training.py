"""Train the learned scores: fetch and cut the material, make the calls, train, write.

The first net learns from calls of every kind: in half of each batch from parts of them,
in the other half from whole ones, with its state. The second begins with the weights,
as whole numbers, of a first net that has learned less, from parts alone, and goes on
learning, mostly from calls in which the AI talks. (Begun with the whole first net it
heard fewer callers.)

It needs the extra `gate-training`, and what `material.NEEDED` names; sox with AMR
suffices for `--small`, which trains on the packaged clips, to show that the whole path
works: its nets are loaded, and must tell a caller from a fan.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from bench.gate import calls, manifest, material, voices
from bench.gate.calls import Calls, Kind
from bench.gate.packaged import packaged
from bench.gate.pool import of_material
from bench.gate.quantise import Trained, floats_of

if TYPE_CHECKING:
    from bench.gate import recurrent

ROOT = Path(__file__).parents[2]
DSP = ROOT / "dsp"
SPEECH, DOUBLE_TALK = "score.weights", "double_talk.weights"
SEEDS, CALLS_A_SEED, STEPS = range(1, 45), 100, 6_000
# The share of each batch in which its state goes on through whole calls.
CARRIED = 0.5
# Of the net with which the second begins: so many of the seeds, and steps.
BASE_SEEDS, BASE_STEPS = 28, 3_600
# Deviations of a feature, the same in all frames: other lines and voices.
OFFSET, OVER_OFFSET = 0.1, 0.15
# Of the second net; an error of its second output costs OVER_SHARE times one of the
# first.
OVER_SEEDS, TALK_SEEDS, EVENT_SEEDS = range(101, 131), range(201, 213), range(301, 309)
OVER_STEPS, OVER_SHARE = 2_400, 1.5
# Of a net that goes on learning.
LATER_RATE = 2.5e-3
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
    "noises.py", "pool.py", "quantise.py", "speakers.py", "training.py", "voices.py",
)  # fmt: skip


class Part(NamedTuple):
    """The training of one net: kinds of calls with their seeds, and the steps."""

    calls: tuple[tuple[tuple[Kind, ...], range], ...]
    steps: int

    @property
    def seeds(self) -> list[int]:
        """Return the seeds of all kinds, in their order."""
        return [seed for _, seeds in self.calls for seed in seeds]


Generate = Callable[[tuple[Kind, ...], int], Calls]


def run(cache: Path, out: Path = DSP) -> int:
    """Train both nets. The same recordings make the same weights, bit for bit."""
    material.fetch(cache)
    print(f"cut {len(voices.build(cache, 'train').by)} voices into clips", flush=True)
    base = Part(((calls.KINDS, SEEDS[:BASE_SEEDS]),), BASE_STEPS)
    first = Part(((calls.KINDS, SEEDS),), STEPS)
    others = (calls.TALK_KINDS, TALK_SEEDS), (calls.EVENT_KINDS, EVENT_SEEDS)
    second = Part(((calls.OVER_KINDS, OVER_SEEDS), *others), OVER_STEPS)
    return _train(partial(_of_material, cache), base, first, second, out)


def run_small(out: Path) -> int:
    """Train a small net on the packaged clips, by the same path."""
    first = Part(((calls.KINDS, SMALL_SEEDS),), SMALL_STEPS)
    # Of so few calls, too few would have a caller with the other kinds.
    second = Part(((calls.OVER_KINDS, SMALL_SEEDS),), SMALL_STEPS // 2)
    out.mkdir(parents=True, exist_ok=True)
    _train(_of_clips, first._replace(steps=SMALL_STEPS // 2), first, second, out)
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


def _made(workers: Executor, generate: Generate, part: Part) -> Iterator[Calls]:
    """Begin to make a part's calls; yield those of each seed, in their order."""
    every = [(kinds, seed) for kinds, seeds in part.calls for seed in seeds]
    return workers.map(generate, *zip(*every, strict=True))


def _collected(part: Part, made: Iterable[Calls]) -> Calls:
    every = Calls([], [], [])
    for seed, calls_of_seed in zip(part.seeds, made, strict=True):
        print(f"seed {seed}: {len(calls_of_seed.features)} calls", flush=True)
        for kept, more in zip(every, calls_of_seed, strict=True):
            kept.extend(more)
    return every


def _train(generate: Generate, base: Part, first: Part, second: Part, out: Path) -> int:
    """Train both nets, and write them to the folder `out`.

    The calls of the second are made while the first is trained.
    """
    with ProcessPoolExecutor() as workers:
        of_first = _made(workers, generate, first)
        of_second = _made(workers, generate, second)
        # Imported once the workers run: they need no PyTorch.
        from bench.gate import recurrent

        every = _collected(first, of_first)
        some = len(every.features) * len(base.seeds) // len(first.seeds)
        recipe = recurrent.Recipe(steps=base.steps, offset=OFFSET)
        begun = recurrent.train(recipe, Calls(*(part[:some] for part in every)))
        recipe = recurrent.Recipe(steps=first.steps, offset=OFFSET, carried=CARRIED)
        net = recurrent.train(recipe, every)
        _save(net, out / SPEECH, first)
        recipe = recurrent.Recipe(
            steps=second.steps,
            rate=LATER_RATE,
            double_talk_share=OVER_SHARE,
            offset=OVER_OFFSET,
        )
        every = _collected(second, of_second)
        net = recurrent.train(recipe, every, start=_floats(begun))
    _save(net, out / DOUBLE_TALK, second)
    print(f"wrote to {out}; build, and run: python -m bench.gate scenes --record")
    return 0


def _floats(net: "recurrent.Net") -> Trained:
    """Return a net's weights as the whole numbers that ship stand for them."""
    from bench.gate import recurrent

    return floats_of(recurrent.weights_of(net), net.units, net.inputs)


def _save(net: "recurrent.Net", path: Path, part: Part) -> None:
    from bench.gate import recurrent

    here = Path(__file__).parent
    sources = [here / name for name in MADE_OF] + [manifest.PATH]
    recurrent.save(net, path, sources, seeds=part.seeds, steps=part.steps)
