"""`kolbridge bench capacity`: its arguments, its progress, and its result."""

import argparse
import os
import sys
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from bridge.cli.capacity.load import LoadError
from bridge.cli.capacity.run import Cores, Plan, divided, measured
from bridge.cli.capacity.search import USED_SHARE, Bounds, Found, Limit, Step, judge
from bridge.cli.capacity.service import ServiceError
from bridge.settings.process import Settings, SettingsError, load

DESCRIPTION = """\
Measure K: how many calls one node carries on this machine, with one worker and
with WORKERS of them. The service runs as it is, on loopback, with a database,
callers and a model made for this run. No account is needed. The settings of the
environment and of .env count. The number of calls is raised until a call or a
frame is lost, the event loop is busier than MAX_BUSY_PERCENT, or frames are later
than LAG_BUDGET_MS. If the load itself is the limit, the result says "at least".
It takes about five minutes. The exit code is 1 if no call is carried well."""
EXAMPLES = """examples:
  kolbridge bench capacity
  kolbridge bench capacity --workers 4 --seconds 20
  kolbridge bench capacity --json | jq .calls_per_node

Run it on a machine like those of the nodes, with nothing else on it. The load needs
about as much processor time as the service: with fewer than two processors a worker,
the load is the limit.
"""
RULE = (
    f"the rule: {USED_SHARE:.0%} of K. The rest is for calls that open, each 8 ms of "
    "work,\nand for the calls of a node that dies."
)
SECONDS = 10.0
UP_TO = 10_000
# A load process that works less than this is late because it waits for its processor.
LOAD_FULL = 70.0
HEAD = (
    f"{'calls':>6}{'busy':>7}{'CPU a call':>12}{'up p50/p99':>16}{'down p50/p99':>16}"
    f"{'lost':>6}{'gaps':>6}{'load':>7}"
)


class Result(NamedTuple):
    """The capacity of a node with so many workers."""

    workers: int
    found: Found
    is_shared: bool

    @property
    def calls_per_node(self) -> int:
        """How many calls a node is to be given."""
        return int(self.found.calls * USED_SHARE)

    @property
    def calls_per_worker(self) -> int:
        """How many calls each of its workers is to be given."""
        return self.calls_per_node // self.workers


def add_parser(subparsers: Any) -> None:
    """Add `capacity` to `kolbridge bench`."""
    parser = subparsers.add_parser(
        "capacity",
        help="measure how many calls a node carries on this machine",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    parser.add_argument(
        "--workers",
        type=_at_least_one,
        metavar="N",
        help="workers of the node (WORKERS of the settings)",
    )
    parser.add_argument(
        "--seconds",
        type=_seconds,
        default=SECONDS,
        help=f"duration of each step ({SECONDS:g})",
    )
    parser.add_argument(
        "--up-to",
        type=_at_least_one,
        default=UP_TO,
        metavar="CALLS",
        help=f"try no more calls than this ({UP_TO})",
    )
    parser.add_argument(
        "--json", action="store_true", help="print one JSON object per line"
    )


def _at_least_one(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: expected 1 or more")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 1.0 <= seconds <= 3600.0:
        raise argparse.ArgumentTypeError(f"{text!r}: expected 1 to 3600 seconds")
    return seconds


def run(args: argparse.Namespace) -> int:
    """Print the capacity; return 1 if there is none, 2 if it cannot be measured."""
    dotenv = Path(".env")
    try:
        settings = load(os.environ, dotenv)
        results = [
            _measure(args, settings, dotenv, workers)
            for workers in sorted({1, args.workers or settings.workers})
        ]
    except (SettingsError, ServiceError, LoadError, OSError) as error:
        sys.stderr.write(f"kolbridge bench capacity: {error}\n")
        return 2
    for result in results:
        print(as_json(result) if args.json else "\n".join(as_text(result)))
    return 0 if all(one.found.calls for one in results) else 1


def _measure(
    args: argparse.Namespace, settings: Settings, dotenv: Path, workers: int
) -> Result:
    bounds = Bounds(settings.max_busy_percent, settings.lag_budget_ms)
    plan = Plan(workers, args.seconds, args.up_to, bounds)
    cores = divided(os.sched_getaffinity(0), workers)
    _tell(f"{workers_of(workers)}: {placed(cores, workers)}\n{HEAD}")
    found = measured(
        plan, os.environ, dotenv, lambda step: _tell(line_of(step, bounds))
    )
    return Result(workers, found, cores.are_shared)


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def workers_of(number: int) -> str:
    """Return `1 worker` or `4 workers`."""
    return f"{number} worker{'s' * (number > 1)}"


def placed(cores: Cores, workers: int) -> str:
    """Return which processors are used for what, and whether they are too few."""
    ours, rest = len(cores.service), len(cores.load)
    if cores.are_shared:
        return "service and load share one processor: K is too small"
    few = ": K is too small" if ours < workers else ""
    whole = ours + rest
    return f"{ours} of {whole} processors for the service, {rest} for the load{few}"


def line_of(step: Step, bounds: Bounds) -> str:
    """Return one line of progress."""
    verdict = judge(step, bounds)
    if step.refused and verdict is not None:
        return f"{step.calls:6}  not measured: {verdict.why}"
    up, down = (
        f"{p50:.1f}/{p99:.1f}" for p50, p99 in (step.uplink_ms, step.downlink_ms)
    )
    return (
        f"{step.calls:6}{step.busy_percent:5.0f} %{step.cpu_ms:9.2f} ms{up:>16}"
        f"{down:>16}{step.lost_frames:6}{step.gaps:6}"
        f"{step.load_busy_percent:5.0f} %  {'good' if verdict is None else verdict.why}"
    )


def as_text(result: Result) -> list[str]:
    """Return the result, line by line."""
    found, best = result.found, result.found.best
    if best is None:
        return [
            f"K = 0 with {workers_of(result.workers)}: {found.verdict.why}",
            "This machine carries no call well while it is so loaded.",
        ]
    about = "at least " * found.is_at_least
    lines = [
        "",
        f"K = {about}{found.calls} calls with {workers_of(result.workers)}",
        f"limited by: {limit_of(found)}",
        f"at K: {best.cpu_ms:.2f} ms of CPU a call-second, the loop "
        f"{best.busy_percent:.0f} % busy, p99 {best.uplink_ms[1]:.1f} ms to the model "
        f"and {best.downlink_ms[1]:.1f} ms to the caller",
        f"MAX_CALLS_PER_WORKER={result.calls_per_worker}",
        f"callsPerNode: {result.calls_per_node}",
        RULE,
    ]
    return lines


def limit_of(found: Found) -> str:
    """Return what keeps the node from more calls, as a sentence."""
    verdict = found.verdict
    tried = "" if found.beyond is None else f" at {found.beyond.calls} calls"
    if verdict.limit is Limit.LOAD:
        is_full = found.beyond is None or found.beyond.load_busy_percent > LOAD_FULL
        more = "with more processors" if is_full else "without other processes"
        why = f"the load, not the service: {verdict.why}{tried}"
        return f"{why}; a machine {more} would show more"
    return f"{verdict.why}{tried}"


def as_json(result: Result) -> str:
    """Return the result as one JSON object."""
    found, best = result.found, result.found.best or Step(0)
    return msgspec.json.encode(
        {
            "workers": result.workers,
            "calls": found.calls,
            "is_at_least": found.is_at_least,
            "limited_by": found.verdict.limit.value,
            "why": limit_of(found),
            "shares_processor": result.is_shared,
            "busy_percent": round(best.busy_percent, 1),
            "waited_percent": round(best.waited_percent, 1),
            "cpu_ms_a_call_second": round(best.cpu_ms, 3),
            "uplink_ms_p99": round(best.uplink_ms[1], 2),
            "downlink_ms_p99": round(best.downlink_ms[1], 2),
            "calls_per_node": result.calls_per_node,
            "max_calls_per_worker": result.calls_per_worker,
        }
    ).decode()
