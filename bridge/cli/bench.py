"""`kolbridge bench`: benchmark results as a table, and their trend over commits.

It reads the JSON files that `python -m bench` leaves; nothing is measured here.
`bridge.cli.capacity` has `kolbridge bench capacity`, which does measure.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

import msgspec

from bridge.cli.bench_plot import Trend, draw
from bridge.cli.capacity import command as capacity
from bridge.cli.pictures import NoPicturesError

DESCRIPTION = """\
Show benchmark results as a table, and their trend over commits, from the JSON
files that `make bench` writes. This command measures nothing itself;
`kolbridge bench capacity` does."""
EXAMPLES = """examples:
  kolbridge bench                       after `make bench`
  kolbridge bench --png trend.png       also draw the trend
  kolbridge bench capacity              how many calls this machine carries
"""
RESULTS = Path("bench/results")
RUNS_SHOWN = 12
_BARS = "▁▂▃▄▅▆▇█"
# The figures that are compared over commits, by kind of result.
FOLLOWED: dict[str, tuple[str, ...]] = {
    "latency": (
        "uplink_p99_ms",
        "downlink_p99_ms",
        "uplink_p99_ratio",
        "downlink_p99_ratio",
        "cpu_us_a_call_second",
        "cpu_ratio",
    ),
    "kernels": ("gate", "frame_levels", "decode", "encode", "pcm_to_mulaw"),
    "walks": ("uplink_us", "downlink_us", "uplink_to_naive"),
    "counts": (
        "uplink_blocks",
        "uplink_copies",
        "downlink_blocks",
        "downlink_copies",
    ),
}


class Commit(msgspec.Struct, frozen=True):
    """The commit that was measured."""

    id: str
    is_changed: bool


class Result(msgspec.Struct, frozen=True):
    """One file of results."""

    kind: str
    commit: Commit
    date: str
    machine: dict[str, Any]
    figures: dict[str, Any]

    @property
    def name(self) -> str:
        """The name of the commit, with a star if files differed from it."""
        return self.commit.id + "*" * self.commit.is_changed

    def value(self, figure: str) -> float | None:
        """Return a figure; the last of several attempts counts, as in the CI gate."""
        attempts = self.figures.get("attempts")
        found = (attempts[-1] if attempts else self.figures).get(figure)
        return float(found) if isinstance(found, int | float) else None


def add_parser(subparsers: Any) -> None:
    """Add `bench` to the command line."""
    parser = subparsers.add_parser(
        "bench",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--results",
        type=Path,
        default=RESULTS,
        metavar="FOLDER",
        help=f"folder of the results ({RESULTS})",
    )
    parser.add_argument("--png", type=Path, metavar="FILE", help="draw the trend")
    parser.set_defaults(run=run)
    capacity.add_parser(
        parser.add_subparsers(metavar="[capacity]", title="what can be measured")
    )


def run(args: argparse.Namespace) -> int:
    """Print the table; return 1 if it is empty, 2 if it cannot be drawn."""
    results = read(args.results)
    found = trends(results)
    if not found:
        sys.stderr.write(f"kolbridge: no results in {args.results}; run make bench\n")
        return 1
    print("\n".join(table(results, found)))
    if args.png is not None:
        try:
            draw(args.png, found)
        except (NoPicturesError, OSError) as error:
            sys.stderr.write(f"kolbridge bench: {error}\n")
            return 2
        print(f"drawn: {args.png}")
    return 0


def read(folder: Path) -> list[Result]:
    """Return the results of a folder, oldest first; other files are skipped."""
    results = []
    for path in sorted(folder.glob("*.json")):
        try:
            results.append(msgspec.json.decode(path.read_bytes(), type=Result))
        except (msgspec.DecodeError, OSError):
            continue
    return sorted(results, key=lambda one: one.date)


def trends(results: list[Result]) -> list[Trend]:
    """Return each compared figure over the runs that have it."""
    found = []
    for kind, figures in FOLLOWED.items():
        runs = [one for one in results if one.kind == kind]
        for figure in figures:
            pairs = [(one.name, one.value(figure)) for one in runs]
            known = [(name, value) for name, value in pairs if value is not None]
            if known:
                names, values = zip(*known, strict=True)
                found.append(Trend(kind, figure, list(names), list(values)))
    return found


def table(results: list[Result], found: list[Trend]) -> list[str]:
    """Return the newest figures with the earlier ones, as lines of text."""
    last = results[-1]
    facts = "  ".join(f"{name} {value}" for name, value in last.machine.items())
    lines = [
        f"newest run: commit {last.name}, {last.date}",
        f"machine: {facts}",
        "",
        f"{'bench':10}{'figure':24}{'newest':>10}{'median':>10}{'runs':>6}  trend",
    ]
    for one in found:
        shown = one.values[-RUNS_SHOWN:]
        middle = sorted(one.values)[len(one.values) // 2]
        lines.append(
            f"{one.kind:10}{one.figure:24}{one.values[-1]:10.2f}{middle:10.2f}"
            f"{len(one.values):6}  {bars(shown)}"
        )
    return lines


def bars(values: list[float]) -> str:
    """Return a bar for each value, from zero to the largest."""
    top = max(values) or 1.0
    steps = len(_BARS) - 1
    return "".join(_BARS[round(max(value, 0.0) / top * steps)] for value in values)
