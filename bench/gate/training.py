"""Train the learned score from packages alone: one command, about 20 minutes.

It needs the evaluator's folder (its `corpus.py` makes the calls), apt-get for the
recordings, espeak-ng, flite, festival, sox and ffmpeg, and from PyPI the evaluator's
requirements.txt and torch.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import orjson

from bench.gate import corpus, material
from bench.gate.corpus import Calls

WEIGHTS = Path(__file__).parents[2] / "dsp" / "score.weights"
DOUBLE_TALK_WEIGHTS = WEIGHTS.with_name("double_talk.weights")


def run(evaluator: Path, seeds: list[int], steps: int) -> int:
    """Fetch, synthesise, generate, train, and write the weights."""
    from bench.gate import recurrent, train

    split = prepare(evaluator)
    calls = _generated(partial(corpus.generate, evaluator, split), seeds)
    net = recurrent.train(train.RECIPE, calls, steps)
    recurrent.save(net, WEIGHTS, train.MADE_OF, seeds=seeds, steps=steps)
    print(f"wrote {WEIGHTS}; build again and run: python -m bench.gate score --record")
    return 0


def run_double_talk(evaluator: Path, steps: int) -> int:
    """Do the same for the double-talk score."""
    from bench.gate import double_talk, recurrent, train_double_talk

    split = prepare(evaluator, unheard)
    calls = Calls([], [], [])
    for kind, seeds, count in double_talk.RECIPE:
        make = partial(double_talk.generate, evaluator, split, kind, count)
        _add(calls, _generated(make, seeds))
    net = recurrent.train(train_double_talk.RECIPE, calls, steps)
    made_of = (*train_double_talk.MADE_OF, WEIGHTS)
    count = len(calls.features)
    recurrent.save(net, DOUBLE_TALK_WEIGHTS, made_of, calls=count, steps=steps)
    print(f"wrote {DOUBLE_TALK_WEIGHTS}; build again and run: python -m bench barge")
    return 0


def _generated(generate: Callable[[int], Calls], seeds: Sequence[int]) -> Calls:
    calls = Calls([], [], [])
    with ProcessPoolExecutor() as pool:
        made = pool.map(generate, seeds)
        for seed, part in zip(seeds, made, strict=True):
            print(f"seed {seed}: {len(part.features)} calls", flush=True)
            _add(calls, part)
    return calls


def _add(calls: Calls, part: Calls) -> None:
    for kept, more in zip(calls, part, strict=True):
        kept.extend(more)


def unheard(split: dict[str, Any]) -> dict[str, Any]:
    """Remove the recorded voices and sounds that `material` adds, for evaluation."""
    voices = {
        *material.VOICES,
        *(f"klettres-{name}" for name in material.LETTERS),
        *(f"ktub-{name}" for name in material.WORDS),
    }
    split["name"] = "training-double-talk"
    split["speakers"] = {
        name: one for name, one in split["speakers"].items() if name not in voices
    }
    split["music"] = [one for one in split["music"] if one not in material.MUSIC[:3]]
    for kind, names in material.NOISE.items():
        sounds = [("lincity-ng-data", f"*sounds/{name}.wav") for name in names]
        split["noise"][kind] = [s for s in split["noise"][kind] if s not in sounds]
    bumps = split["noise"]["bump"]
    split["noise"]["bump"] = [one for one in bumps if one not in material.BUMPS[:3]]
    return split


def prepare(
    evaluator: Path, choose: Callable[[dict[str, Any]], dict[str, Any]] = dict
) -> dict[str, Any]:
    """Bring recordings and voices into the evaluator's cache; return the split."""
    _, _, sources = corpus.evaluator(evaluator)
    cache = Path(sources.CACHE)
    sources.fetch()
    material.fetch(cache)
    voices = material.synthesise(cache)
    dev = orjson.loads((evaluator / "splits" / "dev.json").read_bytes())
    split = choose(material.training_split(dev, voices))
    bank = Path(sources.bank_path(split["name"]))
    if not bank.exists():
        print(f"cutting {len(split['speakers'])} voices into clips", flush=True)
        sources.build_bank(split, str(bank))
    return split
