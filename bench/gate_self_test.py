"""`python -m bench self-test`: each slow-down of `bench.slowdowns` turns its gate red.

python -m bench self-test --beside-cpu-hog 20   an honest build and a busy neighbour
"""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from bench import budget
from bench.command_line import parser_of

# Which gate detects which slow-down, and by which budget.
BITES = (
    ("sleep", ["latency", "--server", "bench.slowdowns.sleep"], "bench"),
    ("hop", ["counts"], "bench.slowdowns.hop"),
    ("kernel", ["kernels"], "bench.slowdowns.kernel"),
)
HONEST = (["counts"], ["kernels"], ["latency"])
_BURN = "while True: pass"


def gate(words: list[str], module: str = "bench") -> tuple[int, list[str]]:
    """Run one gate as a process; return its exit code and output."""
    done = subprocess.run(
        [sys.executable, "-m", module, *words], capture_output=True, text=True
    )
    return done.returncode, done.stderr.splitlines()


@contextmanager
def cpu_hog() -> Iterator[int]:
    """Keep one core busy; yield the process that does it."""
    neighbour = subprocess.Popen([sys.executable, "-c", _BURN])
    try:
        yield neighbour.pid
    finally:
        neighbour.kill()
        neighbour.wait()


def self_test() -> list[str]:
    """Apply each slow-down; return a line for each that its gate misses."""
    broken = []
    for name, words, module in BITES:
        code, said = gate(words, module)
        over = [line for line in said if line.startswith("over budget: ")]
        print(f"{name}: {'red' if code == 1 and over else 'not seen'}")
        print("\n".join(f"  {line}" for line in over))
        if code != 1 or not over:
            broken.append(f"self-test: {words[0]} does not see {name}: {said[-3:]}")
    return broken


def beside_cpu_hog(runs: int) -> list[str]:
    """Run the unpatched gates beside a CPU hog; return a line for each failure."""
    broken = []
    with cpu_hog():
        for number in range(1, runs + 1):
            found = [(words[0], *gate(words)) for words in HONEST]
            red = [f"{name}: {said[-3:]}" for name, code, said in found if code]
            print(f"run {number}: {red if red else 'green'}", flush=True)
            broken += [
                f"self-test: run {number} beside a CPU hog: {line}" for line in red
            ]
    return broken


def main(argv: list[str]) -> int:
    """Run one of the two; 1 if a gate misses a slow-down or fails without one."""
    parser = parser_of("self-test", __doc__)
    parser.add_argument("--beside-cpu-hog", type=int, default=0, metavar="RUNS")
    runs = parser.parse_args(argv).beside_cpu_hog
    return budget.report(beside_cpu_hog(runs) if runs else self_test())
