"""A replayed call's picture: what the gate measured, and where the call decided."""

from math import log10
from pathlib import Path
from typing import Any

from bridge.cli.pictures import pyplot, save
from bridge.media.playout import NOTHING_DBFS
from bridge.recorder.explain import Decision
from bridge.recorder.replay import Measures

# The decisions that are drawn as a line through the picture, and their colours.
MARKED = {
    "interrupted": "tab:red",
    "AI held": "tab:orange",
    "went on": "tab:green",
    "not interrupted": "tab:purple",
    "keypad": "tab:brown",
    "ended": "black",
}
FULL_SCALE = 32_768
QUIET_RMS = 0.1
NAN = float("nan")
# One of each measure where nothing was measured.
NOTHING = (NAN, NAN, NAN, NAN, False, 0, NOTHING_DBFS, 0)


def draw(
    path: Path, title: str, parts: list[Measures], decisions: list[Decision]
) -> None:
    """Draw one call, with gaps between its parts; raises NoPicturesError."""
    measures = _joined(parts)
    time = measures.at_s
    figure, axes = pyplot().subplots(4, 1, figsize=(15, 9), sharex=True)
    level, snr, gate, playout = axes
    level.plot(time, _dbfs(measures.rms), lw=0.7, label="caller's level")
    level.plot(time, _dbfs(measures.floor_rms), lw=1.2, label="noise floor")
    level.set(ylabel="dBFS", ylim=(-90, 0), title=title)
    snr.plot(time, measures.snr_db, lw=0.7, color="tab:green", label="SNR")
    snr.set(ylabel="dB", ylim=(-10, None))
    gate.fill_between(
        time, measures.is_gate_open, step="post", alpha=0.4, label="gate open"
    )
    gate.plot(time, _given(measures), lw=4, color="tab:red", label="forwarded")
    gate.set(yticks=(0, 1), yticklabels=("shut", "open"), ylim=(0, 1.4))
    far = [_or_gap(one) for one in measures.far_dbfs]
    playout.plot(time, far, lw=0.7, label="AI, as heard")
    playout.set(ylabel="dBFS", ylim=(-90, 0), xlabel="seconds since the webhook")
    shown = set()
    for decision in decisions:
        colour = MARKED.get(decision.what)
        if colour is None:
            continue
        for axis in axes:
            axis.axvline(decision.at_s, color=colour, lw=1, ls=":")
        label = None if decision.what in shown else decision.what
        playout.plot([], [], color=colour, ls=":", label=label)
        shown.add(decision.what)
    for axis in axes:
        axis.legend(loc="upper right", fontsize=8)
        axis.grid(alpha=0.25)
    save(figure, path)


def _joined(parts: list[Measures]) -> Measures:
    """Return the measures of all parts; nothing was measured before each."""
    joined = Measures.new()
    columns: tuple[list[Any], ...] = joined
    for part in parts:
        more: tuple[list[Any], ...] = part
        for column, nothing, measured in zip(columns, NOTHING, more, strict=True):
            column += [nothing, *measured]
    return joined


def _dbfs(rms: list[float]) -> list[float]:
    return [20 * log10(max(one, QUIET_RMS) / FULL_SCALE) for one in rms]


def _given(measures: Measures) -> list[float]:
    """Return a line where frames were forwarded, and gaps elsewhere."""
    before = [0, *measures.given_frames]
    grown = zip(before, measures.given_frames, strict=False)
    return [1.2 if now > then else NAN for then, now in grown]


def _or_gap(level_dbfs: int) -> float:
    return NAN if level_dbfs == NOTHING_DBFS else float(level_dbfs)
