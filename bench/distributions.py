"""Figures of many calls as distributions: a table and a plot."""

from pathlib import Path
from typing import Any

import numpy as np
import orjson

PERCENTILES = (1, 50, 90, 99)
BINS = 40


def report(out: Path, name: str, results: dict[str, Any], digits: int = 0) -> None:
    """Print, draw and write the results; `values` are the distributions."""
    out.mkdir(parents=True, exist_ok=True)
    (out / f"{name}.json").write_bytes(orjson.dumps(results))
    print("\n".join(table(results["values"], digits)))
    draw(out / f"{name}.png", results["values"])
    print(f"drawn: {out / name}.png")


def table(values: dict[str, list[float]], digits: int = 0) -> list[str]:
    """Return the percentiles of each name's values as lines of text."""
    lines = [f"{'ms':16}" + "".join(f"{f'p{p}':>8}" for p in PERCENTILES)]
    for name, found in values.items():
        spread = np.percentile(found, PERCENTILES)
        lines.append(f"{name:16}" + "".join(f"{ms:8.{digits}f}" for ms in spread))
    return lines


def draw(path: Path, values: dict[str, list[float]]) -> None:
    """Draw the distributions side by side, each with its 99th percentile."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(
        1, len(values), figsize=(5 * len(values), 4), squeeze=False
    )
    for axis, (name, found) in zip(axes[0], values.items(), strict=True):
        axis.hist(found, bins=BINS)
        p99 = float(np.percentile(found, 99))
        axis.axvline(p99, color="tab:red", lw=1, label=f"p99 {p99:.1f} ms")
        axis.set(xlabel="ms", title=name)
        axis.legend()
    figure.tight_layout()
    figure.savefig(path)
    pyplot.close(figure)
