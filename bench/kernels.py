"""Kernels: ns a frame on speech, noise and digital silence, and their ratio.

The gate of this bench is a ratio within one run: digital silence costs at most 1.25
times as much as speech (subnormal numbers once made it 25 times).
"""

from collections.abc import Callable, Sequence
from time import perf_counter_ns

from bridge.sandbox.clips import clip
from dsp.g711 import decode, encode, frame_levels
from dsp.gate import NoiseGate
from dsp.resample import PcmEncoder

FRAME_BYTES = 160
SILENCE_RATIO_MAX = 1.25
# The gate has more work while the AI is heard.
AI_DBFS = -20.0


def frames_of(name: str) -> list[bytes]:
    """Return a packaged recording's whole frames."""
    audio = clip(name).audio
    whole = len(audio) - len(audio) % FRAME_BYTES
    return [audio[at : at + FRAME_BYTES] for at in range(0, whole, FRAME_BYTES)]


def signals() -> dict[str, list[bytes]]:
    """Return the three signals on which every kernel is timed."""
    return {
        "speech": frames_of("human-en-reader-1"),
        "noise": frames_of("noise-fan"),
        "silence": [b"\xff" * FRAME_BYTES] * 500,
    }


def measure(repeats: int = 9) -> dict[str, dict[str, float]]:
    """Return the lowest ns a frame of each kernel on each signal.

    The signals alternate within a repeat. The fastest repeat counts, which other
    processes disturbed least.
    """
    times: dict[str, dict[str, list[float]]] = {}
    given = signals()
    for _ in range(repeats):
        for kernel, make in KERNELS.items():
            for signal, frames in given.items():
                run = make()
                began = perf_counter_ns()
                for frame in frames:
                    run(frame)
                spent = (perf_counter_ns() - began) / len(frames)
                times.setdefault(kernel, {}).setdefault(signal, []).append(spent)
    return {
        kernel: {signal: round(min(spent), 1) for signal, spent in by.items()}
        for kernel, by in times.items()
    }


def judge(results: dict[str, dict[str, float]]) -> list[str]:
    """Return a line for each budget that is broken."""
    ratio = results["gate"]["silence"] / results["gate"]["speech"]
    if ratio <= SILENCE_RATIO_MAX:
        return []
    return [f"gate: silence costs {ratio:.2f} x speech, allowed {SILENCE_RATIO_MAX}"]


def _pcm() -> Callable[[bytes], object]:
    encoder = PcmEncoder()
    return lambda frame: encoder.encode(frame * 6)


def _gate_double_talk() -> Callable[[bytes], object]:
    gate = NoiseGate()
    return lambda frame: gate.analyze(frame, AI_DBFS)


KERNELS: dict[str, Callable[[], Callable[[bytes], object]]] = {
    "gate": lambda: NoiseGate().analyze,
    "gate_double_talk": _gate_double_talk,
    "frame_levels": lambda: frame_levels,
    "decode": lambda: decode,
    "encode": lambda: lambda frame: encode(frame + frame),
    "pcm_to_mulaw": _pcm,
}


def table(results: dict[str, dict[str, float]]) -> Sequence[str]:
    """Return the results as lines of text."""
    lines = [f"{'kernel':14}{'speech':>10}{'noise':>10}{'silence':>10}  ns a frame"]
    lines += [
        f"{kernel:14}{by['speech']:10.0f}{by['noise']:10.0f}{by['silence']:10.0f}"
        for kernel, by in results.items()
    ]
    return lines
