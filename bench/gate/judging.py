"""The evaluator's figures of this gate, with and without the score, and of rivals."""

from pathlib import Path
from typing import Any

import numpy as np

from bench.gate import corpus
from bridge.cli.gate_trial import Recording, decide
from bridge.settings.options import CallOptions, merge

RIVALS = ("webrtc3", "silero50")


def learned(near: Any, far: Any) -> tuple[Any, Any]:
    """Run the gate on one call; return (states, sent), an entry a frame."""
    return _judge(near, far, "on")


def classical(near: Any, far: Any) -> tuple[Any, Any]:
    """Run the gate without the score on one call."""
    return _judge(near, far, "off")


def _judge(near: Any, far: Any, switch: str) -> tuple[Any, Any]:
    options = merge(CallOptions(), {"GATE_SCORE": switch})
    recording = Recording("", near.tobytes(), far.tobytes())
    states, sent = decide(recording, options)
    return np.array(states), np.array(sent)


def run(folder: Path, split: str, with_rivals: bool) -> int:
    """Print the evaluator's tables for each of its groups of calls."""
    _, evaluate, _ = corpus.evaluator(folder)
    gates = ["bench.gate.judging:learned", "bench.gate.judging:classical"]
    if with_rivals:
        gates += [f"rivals:{name}" for name in RIVALS]
    judged = []
    for gate in gates:
        print(f"judging {gate.split(':')[1]}", flush=True)
        judged.append(evaluate.evaluate(gate, split, name=gate.split(":")[1]))
    for group in ("practical", "hard", "hold", "practical/level:-36", "step", "loss"):
        print(f"\n{split}, {group}\n{evaluate.table(judged, group)}")
    for group in ("practical/running", "practical/words", "practical/hebrew"):
        print(f"\n{split}, {group}\n{evaluate.table(judged, group)}")
    for document in judged:
        print(f"\n{document['gate']}: false activations a minute and leak, practical")
        for kind, figures in document["groups"]["practical"]["fa"].items():
            print(f"  {kind:6} {figures['per_min']} {figures['leak']}")
    return 0
