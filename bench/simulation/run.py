"""`python -m bench simulate`: seeded calls; every invariant is checked at every step.

One call in five is run again, and goes on in another process at a random moment.

A broken invariant prints its seed. `python -m bench simulate --seed N` runs that call
again, step by step.
"""

import os
import sys
import traceback
from collections import Counter
from collections.abc import Iterator
from multiprocessing import get_context
from time import perf_counter
from typing import NamedTuple

from bench.command_line import parser_of
from bench.simulation import moved
from bench.simulation.world import World

CHUNK = 50
# Of so many calls, one is run once more, and its process dies in it.
MOVED_EVERY = 5
# How many of a failed call's steps are shown.
STORY_LINES = 40
COUNTED = (
    "barge_ins",
    "barge_ins_false",
    "late_deltas",
    "digits",
    "tool_calls",
    "reopened_sessions",
    "changed_sessions",
    "failed_standbys",
    "takeovers",
    "operator_hints",
)


class Outcome(NamedTuple):
    """The outcome of one seed; `broken` names the broken invariant, if any."""

    seed: int
    broken: str | None
    seconds: float
    steps: int
    reason: str
    counted: tuple[int, ...]


def run_seed(seed: int) -> Outcome:
    """Run one call to its end; any error counts as a broken invariant."""
    world = World(seed)
    broken = None
    try:
        world.run()
        if seed % MOVED_EVERY == 0:
            moved.run(seed)
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        broken = f"{type(error).__name__}: {error} ({where.name}:{where.lineno})"
    counters = world.call.counters
    return Outcome(
        seed,
        broken,
        world.now,
        world.invariants.steps,
        world.call.ending.reason,
        tuple(getattr(counters, name) for name in COUNTED),
    )


def run_chunk(first: int) -> list[Outcome]:
    """Run CHUNK seeds from `first` on."""
    return [run_seed(seed) for seed in range(first, first + CHUNK)]


def run_many(calls: int, first: int = 0) -> Iterator[list[Outcome]]:
    """Run calls on every core; yield outcomes, a chunk at a time."""
    firsts = range(first, first + calls, CHUNK)
    with get_context("spawn").Pool(os.cpu_count()) as pool:
        yield from pool.imap_unordered(run_chunk, firsts)


def tell(seed: int) -> int:
    """Run one call and print its steps; 1 if an invariant breaks."""
    world = World(seed)
    world.story = []
    try:
        world.run()
    except Exception as error:
        print("\n".join(world.story[-STORY_LINES:]))
        print(f"seed {seed}: {type(error).__name__}: {error}")
        traceback.print_exc(limit=-4)
        return 1
    print("\n".join(world.story))
    if seed % MOVED_EVERY == 0:
        moved.run(seed)
    print(f"seed {seed}: every invariant holds")
    return 0


def main(argv: list[str]) -> int:
    """Run the command; 1 if an invariant is broken in any call."""
    parser = parser_of("simulate", __doc__)
    parser.add_argument("--calls", type=int, default=10_000, help="how many (10000)")
    parser.add_argument("--first", type=int, default=0, help="the first seed (0)")
    parser.add_argument("--seed", type=int, help="run this one call and tell its story")
    args = parser.parse_args(argv)
    if args.seed is not None:
        return tell(args.seed)
    began, failed, done = perf_counter(), list[Outcome](), 0
    seconds, steps, line = 0.0, 0, ""
    reasons, counted = Counter[str](), [0] * len(COUNTED)
    for outcomes in run_many(args.calls, args.first):
        for one in outcomes:
            done += 1
            seconds += one.seconds
            steps += one.steps
            reasons[one.reason] += 1
            counted = [a + b for a, b in zip(counted, one.counted, strict=True)]
            if one.broken is not None:
                failed.append(one)
                print(f"\nseed {one.seed}: {one.broken}", file=sys.stderr)
        spent_s = perf_counter() - began
        line = f"{done} calls, {len(failed)} broken, {spent_s:.0f} s"
        if sys.stderr.isatty():
            print(f"\r{line}", end="", file=sys.stderr, flush=True)
    print(f"\r{line}", file=sys.stderr)
    print(f"{done} calls, {seconds / 3_600:.1f} h of talk, {steps} steps checked")
    print(" ".join(f"{a}={b}" for a, b in zip(COUNTED, counted, strict=True)))
    print(" ".join(f"{reason}={many}" for reason, many in reasons.most_common()))
    if failed:
        worst = min(failed, key=lambda one: one.seconds)
        print(f"again: python -m bench simulate --seed {worst.seed}", file=sys.stderr)
    return 1 if failed else 0
