"""`python -m bench kernels`: the kernels' cost as ratios to a fixed work.

The reference work is a recursive filter: a chain of sums, each of which needs the last,
like most of the gate. A busy hyper-thread slows both alike. FFTs and Python loops are
slowed by half as much again, MD5 hardly. The two alternate, and each is judged by its
fastest rounds, which other processes disturbed least.
"""

from collections.abc import Callable
from itertools import cycle, islice
from time import perf_counter_ns, sleep

import numpy as np
from scipy.signal import lfilter

from bench import budget, kernels, results
from bench.kernels import KERNELS, frames_of

ROUNDS = 600
ATTEMPTS = 3
CHUNK_FRAMES = 20
# The share of the rounds that are faster than the round that counts.
FASTEST = 0.02
# About 30 us, similar to 20 frames of the gate.
_SAMPLES = np.random.default_rng(1).normal(size=6_000)
_FORWARD, _BACK = np.array([1.0, 0.5]), np.array([1.0, 0.3, 0.2])

Kernel = Callable[[], Callable[[bytes], object]]


def ratio(make: Kernel, rounds: int = ROUNDS) -> float:
    """Return the cost of CHUNK_FRAMES frames of speech, in units of the reference."""
    run, speech = make(), cycle(frames_of("human-en-reader-1"))
    ours, fixed = [], []
    for _ in range(rounds):
        chunk = list(islice(speech, CHUNK_FRAMES))
        began = perf_counter_ns()
        for frame in chunk:
            run(frame)
        turned = perf_counter_ns()
        lfilter(_FORWARD, _BACK, _SAMPLES)
        fixed.append(perf_counter_ns() - turned)
        ours.append(turned - began)
    return round(_fast(ours) / _fast(fixed), 3)


def measure(rounds: int = ROUNDS) -> dict[str, float]:
    """Return the ratio of every kernel."""
    return {name: ratio(make, rounds) for name, make in KERNELS.items()}


def _fast(times_ns: list[int]) -> int:
    return sorted(times_ns)[int(len(times_ns) * FASTEST)]


def main(argv: list[str]) -> int:
    """Print times and ratios and write JSON; 1 if three attempts break a budget."""
    about = results.machine()
    by_kernel = kernels.measure()
    print("\n".join(kernels.table(by_kernel)))
    tried: list[dict[str, float]] = []
    while len(tried) < ATTEMPTS and (not tried or budget.kernels(tried[-1])):
        sleep(1.0 if tried else 0.0)
        tried.append(measure())
        print("  ".join(f"{name} {value:.2f}" for name, value in tried[-1].items()))
    results.save("kernels", {"ns": by_kernel, "attempts": tried}, about)
    return budget.report(kernels.judge(by_kernel) + budget.kernels(tried[-1]))
