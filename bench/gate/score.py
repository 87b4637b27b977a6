"""The small set, with and without the score, compared with the recorded figures.

A build fails if a figure is worse than recorded by more than its tolerance. The
tolerances are about the effect of a change in the last bit of a sum. No figure depends
on time or on the machine's load.
"""

from pathlib import Path

import orjson

from bench.gate import subset
from bridge.cli import gate_trial
from bridge.settings.options import CallOptions, merge

RECORDED = Path(__file__).parent / "recorded.json"
# In the figure's own unit: percent, a minute, ms, onsets.
TOLERANCES = {
    "balanced_error": 0.4,
    "leak": 0.5,
    "lost": 0.6,
    "false_a_minute": 0.4,
    "onset_ms": 10.0,
    "end_ms": 20.0,
    "missed": 1.0,
}


def run(record: bool) -> int:
    """Score both gates and print a table; 1 if a figure is worse than recorded."""
    recordings = list(subset.recordings())
    found = {
        name: figures_of(recordings, merge(CallOptions(), {"GATE_SCORE": switch}))
        for name, switch in (("learned", "on"), ("classical", "off"))
    }
    recorded = found if record else orjson.loads(RECORDED.read_bytes())
    print(f"{'':12}" + "".join(f"{name:>17}" for name in TOLERANCES))
    for gate, figures in found.items():
        cells = (
            f"{value:>8.2f} ({recorded[gate][name]:6.2f})"
            for name, value in figures.items()
        )
        print(f"{gate:12}" + "".join(cells))
    print("in brackets: as recorded")
    if record:
        RECORDED.write_bytes(orjson.dumps(found, option=orjson.OPT_INDENT_2) + b"\n")
    worse = compare(found, recorded)
    for line in worse:
        print(f"WORSE: {line}")
    return 1 if worse else 0


def figures_of(
    recordings: list[gate_trial.Recording], options: CallOptions
) -> dict[str, float]:
    """Return the figures over all recordings."""
    together = gate_trial.total(
        gate_trial.figures(recording, *gate_trial.decide(recording, options))
        for recording in recordings
    )
    return {
        "balanced_error": round(gate_trial.balanced_error(together), 3),
        "leak": round(gate_trial.leak(together), 3),
        "lost": round(100 - gate_trial.recall(together), 3),
        "false_a_minute": round(gate_trial.false_a_minute(together), 3),
        "onset_ms": round(gate_trial.middle(together.onsets_ms), 1),
        "end_ms": round(gate_trial.middle(together.ends_ms), 1),
        "missed": float(together.missed),
    }


def compare(
    found: dict[str, dict[str, float]], recorded: dict[str, dict[str, float]]
) -> list[str]:
    """Return a line for each figure worse than recorded beyond its tolerance."""
    return [
        f"{gate} {name}: {figures[name]:g}, recorded {recorded[gate][name]:g}, "
        f"tolerance {tolerance:g}"
        for gate, figures in found.items()
        for name, tolerance in TOLERANCES.items()
        if figures[name] > recorded[gate][name] + tolerance
    ]
