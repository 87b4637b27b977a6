"""Pictures of the gate: one recording frame by frame, or what settings trade."""

from pathlib import Path

from bridge.cli import gate_trial
from bridge.cli.gate_trial import FRAME_S, Figures, Recording, Trace
from bridge.cli.pictures import pyplot, save


def draw(path: Path, recording: Recording, trace: Trace) -> None:
    """Draw level, floors, SNR, score, far level, states, what was sent, and truth."""
    time = [at * FRAME_S for at in range(len(trace.states))]
    figure, axes = pyplot().subplots(
        5, 1, figsize=(14, 11), sharex=True, height_ratios=(3, 2, 2, 2, 2)
    )
    level, floors, snr, score, gate = axes
    level.semilogy(time, [max(value, 1) for value in trace.rms], lw=0.7, label="level")
    level.semilogy(time, trace.floor_rms, label="noise floor")
    level.set(ylabel="RMS", title=recording.name)
    far = level.twinx()
    far.plot(time, trace.far_dbfs, color="tab:purple", lw=0.6, label="far")
    far.set(ylabel="far, dBFS", ylim=(-130, 0))
    if trace.floors_db:
        bands = list(zip(*trace.floors_db, strict=True))
        end = len(time) * FRAME_S
        floors.imshow(
            bands, aspect="auto", origin="lower", extent=(0, end, 0.5, len(bands) + 0.5)
        )
    floors.set(ylabel="floor by band")
    snr.plot(time, trace.snr_db, lw=0.7, color="tab:green", label="SNR")
    snr.set(ylabel="dB", ylim=(-10, None))
    score.plot(time, trace.score, lw=0.7, color="tab:orange", label="score")
    score.set(ylabel="score", ylim=(-0.05, 1.05))
    gate.fill_between(time, trace.states, step="post", alpha=0.4, label="state")
    sent = [2.3 if given else float("nan") for given in trace.sent]
    gate.plot(time, sent, lw=4, color="tab:red", label="sent")
    for start, end in recording.truth or ():
        gate.axvspan(start, end, color="tab:green", alpha=0.2, lw=0)
    gate.set(yticks=(0, 1, 2), yticklabels=("silence", "maybe", "speech"))
    gate.set(xlabel="seconds; green: the caller speaks")
    for axis in (level, snr, score, gate):
        axis.legend(loc="upper right")
        axis.grid(alpha=0.25)
    save(figure, path)


def draw_trade_off(path: Path, name: str, tried: list[tuple[str, Figures]]) -> None:
    """Draw recall against leak, with a point for each value."""
    figure, axis = pyplot().subplots(figsize=(8, 6))
    leaks = [gate_trial.leak(figures) for _, figures in tried]
    recalls = [gate_trial.recall(figures) for _, figures in tried]
    axis.plot(leaks, recalls, "o-")
    for (value, _), leak, recall in zip(tried, leaks, recalls, strict=True):
        axis.annotate(value, (leak, recall), xytext=(5, 5), textcoords="offset points")
    axis.set(xlabel="forwarded without speech, %", ylabel="speech forwarded, %")
    axis.set(title=name)
    axis.grid(alpha=0.3)
    save(figure, path)
