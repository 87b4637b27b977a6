"""The picture of `kolbridge bench`: each figure over the commits that were measured."""

from pathlib import Path
from typing import NamedTuple

from bridge.cli.pictures import pyplot, save


class Trend(NamedTuple):
    """One figure over the runs, oldest first: commits and values."""

    kind: str
    figure: str
    commits: list[str]
    values: list[float]


def draw(path: Path, trends: list[Trend]) -> None:
    """Draw one panel per bench; each figure is drawn relative to its first value."""
    kinds = list(dict.fromkeys(one.kind for one in trends))
    figure, axes = pyplot().subplots(
        len(kinds), 1, figsize=(10, 3 * len(kinds)), squeeze=False
    )
    for axis, kind in zip(axes[:, 0], kinds, strict=True):
        for one in (one for one in trends if one.kind == kind):
            first = one.values[0] or 1.0
            label = f"{one.figure}: {one.values[-1]:g}"
            drawn = [value / first for value in one.values]
            axis.plot(range(len(drawn)), drawn, marker="o", label=label)
        longest = max((one for one in trends if one.kind == kind), key=_length)
        axis.set_xticks(range(len(longest.commits)), longest.commits, rotation=45)
        axis.set(title=kind, ylabel="to the first run", ylim=(0, None))
        axis.legend(fontsize="small", loc="center left", bbox_to_anchor=(1.0, 0.5))
    save(figure, path)


def _length(trend: Trend) -> int:
    return len(trend.commits)
