"""`python -m bench barge`: how soon callers interrupt, and false interruptions.

The AI talks all the time, at -20 dBov. Callers and noises go through the pure core
frame by frame, on simulated time. The figures are the same on every machine:

- *hold*: from the true onset to the first evidence, when the feed is held;
- *clear*: from the true onset to Twilio's `clear`, when the AI falls silent. A caller
  without a clear within 1.5 s is missed, and counts as 1.5 s in the percentiles;
- *false*: the clears and the holds during so many minutes of each noise.

The clean recording defines the onset. An onset counts if a second of quiet precedes it,
300 ms of speech follow it, and neither grace nor cooldown is in force. *heard* is
counted from the first part of the speech that the noise does not cover.

`--noises DIR` replaces the synthesised noises by recorded ones:
`<name>.ulaw`, and `<name>.far.ulaw`, which is what was played meanwhile.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import orjson
from numpy.typing import NDArray

from bench.barge_calls import Played, callers, quiet
from bench.command_line import parser_of
from bench.noises import NOISES
from bench.talk import Talk
from bridge.settings.options import CallOptions, merge
from bridge.telephony import twilio
from dsp.g711 import FRAME_MS

MISSED_MS = 1_500.0
PERCENTILES = (50, 90, 95, 99)
FRAMES_A_MINUTE = 3_000
BINS_MS = 20


class Trace(NamedTuple):
    """What happened to the AI's speech, frame by frame."""

    is_talking: NDArray[np.bool_]  # before the frame
    is_reacting: NDArray[np.bool_]  # held or silent after the frame
    is_cleared: NDArray[np.bool_]  # by the frame


def play(call: Played, options: CallOptions) -> Trace:
    """Let the AI talk through a call; after a clear, again once nobody speaks."""
    talk = Talk(options, call.far)
    rows: list[tuple[bool, bool, bool]] = []
    for at in range(len(call.frames)):
        if not talk.is_talking and call.is_free[at]:
            talk.begin()
        was_talking = talk.is_talking
        actions = talk.step(call.frame(at, lambda before: rows[before][0]))
        is_cleared = any(type(action) is twilio.Clear for action in actions)
        rows.append((was_talking, talk.is_reacting, is_cleared))
    return Trace(*np.array(rows, bool).T)


def reactions(
    call: Played, trace: Trace, options: CallOptions
) -> Iterable[dict[str, float]]:
    """Yield hold and clear, in ms, of each onset that may interrupt at once."""
    grace = options.barge_in_grace_ms // FRAME_MS
    cooldown = options.barge_in_cooldown_ms // FRAME_MS
    for onset in call.onsets:
        first = int(onset.at_s * 1e3 // FRAME_MS)
        before = trace.is_talking[max(0, first - grace - 1) : first + 1]
        if first <= grace or not before.all():
            continue
        if trace.is_cleared[max(0, first - cooldown) : first].any():
            continue
        found = {"covered_ms": float(onset.heard_s - onset.at_s) * 1e3}
        for name, rows in (
            ("hold_ms", trace.is_reacting),
            ("clear_ms", trace.is_cleared),
        ):
            at = np.flatnonzero(rows[first : first + int(MISSED_MS) // FRAME_MS])
            after_ms = (first + at[0] + 1) * FRAME_MS if len(at) else float("inf")
            found[name] = float(min(MISSED_MS, after_ms - onset.at_s * 1e3))
        yield found


def false_interruptions(call: Played, trace: Trace) -> tuple[int, int, float]:
    """Return the holds and the clears while nobody spoke, and the minutes of that."""
    begins = trace.is_reacting & ~np.concatenate([[False], trace.is_reacting[:-1]])
    free = call.is_free
    return (
        int((begins & free).sum()),
        int((trace.is_cleared & free).sum()),
        float(free.sum()) / FRAMES_A_MINUTE,
    )


def measure(
    groups: dict[str, Iterable[Played]], options: CallOptions
) -> dict[str, Any]:
    """Return the reactions and the false interruptions of each group of calls."""
    results: dict[str, Any] = {}
    for name, calls in groups.items():
        found: list[dict[str, float]] = []
        false = np.zeros(3)
        for call in calls:
            trace = play(call, options)
            found += reactions(call, trace, options)
            false += false_interruptions(call, trace)
        results[name] = {
            "reactions": found,
            "holds": int(false[0]),
            "clears": int(false[1]),
            "minutes": round(float(false[2]), 2),
        }
    return results


def table(results: dict[str, Any]) -> list[str]:
    """Return the lines of both tables."""
    lines = [f"{'ms: p50/p90/p95/p99':22}{'onsets':>7}{'hold':>19}{'clear':>19}"]
    lines[0] += f"{'clear, heard':>19}{'< 200':>7}{'missed':>7}"
    for name, found in results.items():
        rows = found["reactions"]
        if not rows:
            continue
        hold, clear = ([row[key] for row in rows] for key in ("hold_ms", "clear_ms"))
        heard = [row["clear_ms"] - row["covered_ms"] for row in rows]
        lines.append(
            f"{name:22}{len(rows):7}{_spread(hold):>19}{_spread(clear):>19}"
            f"{_spread(heard):>19}{100 * np.mean(np.array(clear) < 200):6.0f}%"
            f"{sum(ms >= MISSED_MS for ms in clear):7}"
        )
    lines.append(f"{'nobody speaks':22}{'minutes':>9}{'holds':>9}{'clears':>9}")
    for name, found in results.items():
        lines.append(
            f"{name:22}{found['minutes']:9.1f}{found['holds']:9}{found['clears']:9}"
        )
    return lines


def _spread(found: list[float]) -> str:
    return "/".join(f"{value:.0f}" for value in np.percentile(found, PERCENTILES))


def draw(path: Path, results: dict[str, Any]) -> None:
    """Draw the reactions of each group, and its false interruptions beside them."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    spoken = {
        name: one["reactions"] for name, one in results.items() if one["reactions"]
    }
    figure, axes = pyplot.subplots(1, 2, figsize=(13, 4.5))
    bins = np.arange(0, MISSED_MS + 2 * BINS_MS, BINS_MS)
    for name, rows in spoken.items():
        for key, style in (("hold_ms", ":"), ("clear_ms", "-")):
            found = np.sort([row[key] for row in rows])
            share = np.arange(1, len(found) + 1) / len(found)
            axes[0].step(found, share, style, where="post", label=f"{name}, {key}")
    axes[0].axvline(200, color="tab:red", lw=1)
    axes[0].set(xlabel="ms after the true onset", xlim=(0, bins[-1] / 2))
    axes[0].set(title="share of onsets met: feed held, and cleared")
    axes[0].grid(alpha=0.3)
    axes[0].legend(fontsize=8)
    names = [name for name in results if results[name]["minutes"]]
    for key, shift in (("holds", -0.2), ("clears", 0.2)):
        rates = [10 * results[n][key] / results[n]["minutes"] for n in names]
        axes[1].bar(np.arange(len(names)) + shift, rates, 0.4, label=key)
    axes[1].set_xticks(np.arange(len(names)), names, rotation=40, ha="right")
    axes[1].set(title="in ten minutes in which nobody speaks")
    axes[1].legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(path)
    pyplot.close(figure)


def main(argv: list[str]) -> int:
    """Measure, print and draw."""
    parser = parser_of("barge", __doc__)
    parser.add_argument("--out", type=Path, default=Path("bench/results"))
    parser.add_argument(
        "--every", type=int, default=1, help="play every n-th caller (1)"
    )
    parser.add_argument(
        "--minutes", type=float, default=10.0, help="of each noise (10)"
    )
    parser.add_argument("--noises", type=Path, metavar="DIR", help="recorded noises")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="change a setting",
    )
    args = parser.parse_args(argv)
    options = merge(CallOptions(), dict(one.split("=", 1) for one in args.set))
    groups: dict[str, Iterable[Played]] = {"callers": callers(args.every)}
    for kind in NOISES:
        groups[kind] = quiet(kind, args.minutes, args.noises)
    results = measure(groups, options)
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "barge.json").write_bytes(orjson.dumps(results))
    print("\n".join(table(results)))
    draw(args.out / "barge.png", results)
    print(f"drawn: {args.out / 'barge.png'}")
    return 0
