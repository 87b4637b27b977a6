"""Train the learned score from nothing but packages: one command, about 20 minutes.

Needs the evaluator's folder (its `corpus.py` makes the calls), apt-get for the
recordings, espeak-ng, flite, festival, sox and ffmpeg, and from PyPI what the
evaluator's requirements.txt names and torch.
"""

from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import orjson

from bench.gate import corpus, material
from bench.gate.corpus import Calls

WEIGHTS = Path(__file__).parents[2] / "dsp" / "score.weights"


def run(evaluator: Path, seeds: list[int], steps: int) -> int:
    """Fetch, synthesise, generate, train, and write the weights."""
    from bench.gate import train

    split = prepare(evaluator)
    calls = Calls([], [], [])
    with ProcessPoolExecutor() as pool:
        made = pool.map(partial(corpus.generate, evaluator, split), seeds)
        for seed, part in zip(seeds, made, strict=True):
            print(f"seed {seed}: {len(part.features)} calls", flush=True)
            for kept, more in zip(calls, part, strict=True):
                kept.extend(more)
    net = train.train(calls, steps)
    train.save(net, WEIGHTS, seeds, steps)
    print(f"wrote {WEIGHTS}; build again and run: python -m bench.gate score --record")
    return 0


def prepare(evaluator: Path) -> dict[str, Any]:
    """Bring recordings and voices into the evaluator's cache; return the split."""
    _, _, sources = corpus.evaluator(evaluator)
    cache = Path(sources.CACHE)
    sources.fetch()
    material.fetch(cache)
    voices = material.synthesise(cache)
    dev = orjson.loads((evaluator / "splits" / "dev.json").read_bytes())
    split = material.training_split(dev, voices)
    bank = Path(sources.bank_path(split["name"]))
    if not bank.exists():
        print(f"cutting {len(split['speakers'])} voices into clips", flush=True)
        sources.build_bank(split, str(bank))
    return split
