"""The demo's picture: one call, from the caller's level to what they heard."""

from pathlib import Path
from typing import Any, NamedTuple

from bridge.cli.demo.alignment import frames, positions
from bridge.cli.pictures import pyplot, save
from bridge.sandbox.result import CallResult
from bridge.sandbox.session import Session
from dsp.g711 import frame_levels
from dsp.gate import STATE_MASK, NoiseGate


class Trace(NamedTuple):
    """The gate's measures, frame by frame: level and floor in dBFS, SNR in dB.

    It also holds the frames that the model received, none if the model does not show
    them.
    """

    level: list[float]
    floor: list[float]
    snr: list[float]
    state: list[int]
    forwarded: list[int]


def trace(result: CallResult, session: Session | None) -> Trace:
    """Run the caller's recording through a gate with the same settings."""
    from math import log10

    given = set() if session is None else set(positions(result, session))
    far = frame_levels(result.far)
    gate = NoiseGate()
    made = Trace([], [], [], [], [])
    for at, frame in enumerate(frames(result.near)):
        code = gate.analyze(frame, (far[at] if at < len(far) else 0) - 127.0)
        made.level.append(20 * log10(max(gate.rms, 1e-1) / 32768))
        made.floor.append(20 * log10(max(gate.floor_rms, 1e-1) / 32768))
        made.snr.append(max(-10.0, gate.snr_db))
        made.state.append(code & STATE_MASK)
        made.forwarded.append(int(at in given))
    return made


def draw(path: Path, title: str, result: CallResult, session: Session | None) -> None:
    """Draw the timeline of a call."""
    made = trace(result, session)
    time = [at * 0.02 for at in range(len(made.level))]
    far = [level - 127 for level in frame_levels(result.far)]
    figure, axes = pyplot().subplots(4, 1, figsize=(15, 9), sharex=True)
    level, snr, gate, playout = axes
    level.plot(time, made.level, lw=0.7, label="caller's level")
    level.plot(time, made.floor, lw=1.2, label="noise floor")
    level.set(ylabel="dBFS", ylim=(-90, 0), title=title)
    snr.plot(time, made.snr, lw=0.7, color="tab:green", label="SNR")
    snr.axhline(8, lw=0.6, ls="--", color="grey")
    snr.set(ylabel="dB")
    gate.fill_between(time, made.state, step="post", alpha=0.4, label="gate state")
    gate.plot(
        time,
        [2.3 if sent else float("nan") for sent in made.forwarded],
        lw=4,
        color="tab:red",
        label="forwarded",
    )
    gate.set(yticks=(0, 1, 2), yticklabels=("silence", "maybe", "speech"))
    playout.plot([at * 0.02 for at in range(len(far))], far, lw=0.7, label="playout")
    playout.set(ylabel="dBFS", ylim=(-90, 0), xlabel="seconds of the call")
    for at_ms in result.clears_ms:
        _line(axes, at_ms / 1e3)
    for axis in axes:
        axis.legend(loc="upper right", fontsize=8)
        axis.grid(alpha=0.25)
    save(figure, path)


def _line(axes: Any, at_s: float) -> None:
    for axis in axes:
        axis.axvline(at_s, color="black", lw=1, ls=":")
    axes[0].annotate("interruption", (at_s, -6), fontsize=8)
