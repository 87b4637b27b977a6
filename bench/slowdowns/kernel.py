"""The gate analyzes three of ten frames twice: 30 % more work in the same code."""

import sys
from collections.abc import Callable

from bench import kernels
from bench.slowdowns import go_on
from dsp.gate import NoiseGate


def slow_gate() -> Callable[[bytes], object]:
    """Return a gate's `analyze` that costs 30 % more."""
    analyze, again = NoiseGate().analyze, NoiseGate().analyze
    number = 0

    def run(frame: bytes) -> object:
        nonlocal number
        number += 1
        if number % 10 < 3:
            again(frame)
        return analyze(frame)

    return run


def apply() -> None:
    """Patch the list of kernels."""
    kernels.KERNELS["gate"] = slow_gate


if __name__ == "__main__":
    apply()
    sys.exit(go_on())
