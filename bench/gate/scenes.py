"""What callers do, scene by scene, with what the figures must and should be.

Each scene measures the gate, or the pure core, in calls with ground truth. The packaged
sounds give the same figures on every machine, and a figure that is worse than recorded
beyond its tolerance fails the build. What was recorded on packaged sounds says nothing
of unheard voices: `--material` takes recordings that nothing was trained on.
"""

from collections.abc import Mapping
from pathlib import Path

import orjson

from bench.gate import scenes_barge, scenes_echo, scenes_speech, scenes_turns
from bench.gate.scene_sounds import Sounds, packaged
from bench.gate.scene_table import Found, Hears, Scene
from bridge.settings.options import CallOptions

RECORDED = Path(__file__).parent / "scenes.json"
SCENES: dict[str, Scene] = {
    **scenes_speech.SCENES,
    **scenes_echo.SCENES,
    **scenes_barge.SCENES,
    **scenes_turns.SCENES,
}


def run(
    only: str | None,
    record: bool,
    options: CallOptions,
    sounds: Sounds | None = None,
    rival: Hears | None = None,
) -> int:
    """Measure the scenes and print a line for each figure; 1 if one got worse.

    Only figures on packaged sounds are recorded and compared.
    """
    heard = packaged() if sounds is None else sounds
    old = _recorded() if sounds is None else {}
    found: dict[str, float] = {}
    print(f"{'figure':30}{'value':>8} {'unit':9}{'recorded':>9}{'must':>7}{'aim':>7}")
    for name, scene in SCENES.items():
        if only is None or name.startswith(only):
            one = scene.measure(heard, options)
            print("\n".join(lines(scene, one, old)), flush=True)
            found |= {key: round(float(value), 2) for key, value in one.values.items()}
            if rival is not None and scene.listens is not None:
                print("\n".join(rival_lines(scene.listens(heard, rival))), flush=True)
    if sounds is not None:
        return 0
    if record:
        old |= found
        RECORDED.write_bytes(orjson.dumps(old, option=orjson.OPT_INDENT_2) + b"\n")
    worse = compare(found, old)
    for line in worse:
        print(f"WORSE: {line}")
    return 1 if worse else 0


def rival_lines(found: Found) -> list[str]:
    """Return a line for each figure of a rival."""
    return [
        f"  rival's {name:20}{value:8.2f}{'':34}{found.remarks.get(name, '')}".rstrip()
        for name, value in found.values.items()
    ]


def lines(scene: Scene, found: Found, recorded: Mapping[str, float]) -> list[str]:
    """Return a line for each figure of a scene."""
    rows = []
    for name, figure in scene.figures.items():
        if name not in found.values:  # no such sound among the recordings
            continue
        old = f"{recorded[name]:.2f}" if name in recorded else "-"
        row = f"{name:30}{found.values[name]:8.2f} {figure.unit:9}{old:>9}"
        for bar in (figure.must, figure.aim):
            row += f"{'-' if bar is None else format(bar, 'g'):>7}"
        row += f"  {found.remarks.get(name, '')}"
        rows.append(row.rstrip())
    return rows


def compare(found: Mapping[str, float], recorded: Mapping[str, float]) -> list[str]:
    """Return a line for each figure worse than recorded beyond its tolerance."""
    figures = {
        name: f for scene in SCENES.values() for name, f in scene.figures.items()
    }
    worse = []
    for name, value in found.items():
        figure = figures[name]
        if name not in recorded:
            worse.append(f"{name}: {value:g}, never recorded")
        elif figure.is_worse(value, recorded[name]):
            worse.append(
                f"{name}: {value:g} {figure.unit}, recorded {recorded[name]:g}, "
                f"tolerance {figure.tolerance:g}"
            )
    return worse


def _recorded() -> dict[str, float]:
    if not RECORDED.exists():
        return {}
    found: dict[str, float] = orjson.loads(RECORDED.read_bytes())
    return found
