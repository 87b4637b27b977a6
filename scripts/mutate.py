"""Puts faults into the core, one at a time, and lists those that no test finds.

    python -m scripts.mutate --sample 0.05 tests/bridge/call tests/bridge/media

Works in a copy of the checkout, with the environment that `make test` makes. Compiled
modules are compiled anew for each of their faults. A module's own tests run first, then
all that are named. A test run that takes too long counts as a fault found. Ends with 1
if faults survive.
"""

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scripts.mutants import Mutant, find

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ("bridge/call/*.py", "bridge/media/*.py*", "bridge/line/fast_path.pyx")
# The limit of a run: this many times the duration without a fault, and some seconds,
# because other work may share the machine.
SLOWER_MAX, SPARE_S = 3.0, 20.0
KILLED, LATE, SURVIVED, INVALID = "killed", "too slow", "SURVIVED", "does not compile"
NO_TESTS = 5


class Trial:
    """A copy of the checkout in which faults are tried."""

    def __init__(self, home: Path, tests: list[str]) -> None:
        self.home = home
        self.tests = tests
        self.limit_s = 600.0
        known = subprocess.check_output(["git", "ls-files"], cwd=ROOT, text=True)
        built = [*ROOT.rglob("bridge/**/*.so"), *ROOT.rglob("dsp/*.so")]
        built += [one.parent / f"{one.name.partition('.')[0]}.c" for one in built]
        paths = [ROOT / name for name in known.splitlines()] + built
        for path in filter(Path.is_file, paths):
            copy = home / path.relative_to(ROOT)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, copy)

    def measure(self) -> float:
        """Run the tests without a fault and set how long a run may take."""
        began = time.monotonic()
        if (outcome := self._test(self.tests)) != SURVIVED:
            raise SystemExit(f"without a fault: {outcome}; the tests must pass first")
        took_s = time.monotonic() - began
        self.limit_s = SPARE_S + SLOWER_MAX * took_s
        return took_s

    def outcome(self, mutant: Mutant) -> str:
        """Return the outcome of a fault."""
        with self._changed(mutant) as path:
            if self._is_compiled(path) and not self._build():
                return INVALID
            own = self._own_tests(mutant.path)
            outcome = self._test(own) if own else SURVIVED
            return outcome if outcome != SURVIVED else self._test(self.tests)

    @contextmanager
    def _changed(self, mutant: Mutant) -> Iterator[Path]:
        """Write the fault; afterwards restore the text and all builds of it."""
        path = self.home / mutant.path
        stem = path.with_suffix("")
        built = [*path.parent.glob(f"{stem.name}.*.so"), path.with_suffix(".c")]
        kept = [path, *(one for one in built if one.is_file())]
        for one in kept:
            shutil.copy2(one, f"{one}.kept")
        try:
            path.write_text(mutant.of(path.read_text()))
            yield path
        finally:
            for one in kept:
                os.replace(f"{one}.kept", one)

    def _is_compiled(self, path: Path) -> bool:
        return any(path.parent.glob(f"{path.stem}.*.so"))

    def _build(self) -> bool:
        command = [sys.executable, "setup.py", "-q", "build_ext", "--inplace"]
        return self._run(command, self.limit_s) == 0

    def _own_tests(self, path: Path) -> list[str]:
        folder = Path("tests") / path.parent
        found = sorted((self.home / folder).glob(f"test_{path.stem}*.py"))
        return [str(one.relative_to(self.home)) for one in found]

    def _test(self, tests: list[str]) -> str:
        options = ["-x", "-q", "-p", "no:cacheprovider"]
        code = self._run([sys.executable, "-m", "pytest", *options, *tests])
        if code is None:
            return LATE
        return SURVIVED if code in (0, NO_TESTS) else KILLED

    def _run(self, command: list[str], limit_s: float = 0.0) -> int | None:
        """Run a command in the copy; None if it takes too long."""
        settings = {
            "PYTHONPATH": str(self.home),
            "PYTHONDONTWRITEBYTECODE": "1",
            "KOLBRIDGE_DRAFT": "1",
        }
        try:
            return subprocess.run(
                command,
                cwd=self.home,
                env=os.environ | settings,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=limit_s or self.limit_s,
                check=False,
            ).returncode
        except subprocess.TimeoutExpired:
            return None


def all_mutants(pattern: str) -> list[Mutant]:
    """Return the faults of the sources whose names contain a pattern."""
    paths = {path for glob in SOURCES for path in ROOT.glob(glob)}
    texts = {
        path.relative_to(ROOT): path.read_text()
        for path in sorted(paths)
        if path.suffix in (".py", ".pyx") and pattern in str(path)
    }
    return [mutant for path, text in texts.items() for mutant in find(path, text)]


def drawn(mutants: list[Mutant], share: float, seed: int) -> list[Mutant]:
    """Return a share of the mutants, the same for the same seed."""
    count = round(share * len(mutants))
    return sorted(random.Random(seed).sample(mutants, count))


def arguments() -> argparse.ArgumentParser:
    """Return the arguments of the command line."""
    parser = argparse.ArgumentParser("scripts.mutate", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("tests", nargs="+", help="folders and files for pytest")
    parser.add_argument("--sample", type=float, default=1.0, help="share, 0 to 1")
    parser.add_argument("--seed", type=int, default=1, help="of the sample")
    parser.add_argument("--only", default="", help="part of a source's path")
    parser.add_argument("--list", action="store_true", help="list the faults only")
    return parser


def report(outcomes: dict[Mutant, str]) -> int:
    """Print how many faults were found, and the survivors."""
    counted = Counter(outcomes.values())
    print(", ".join(f"{count} {name}" for name, count in counted.most_common()))
    survivors = [one for one, outcome in outcomes.items() if outcome == SURVIVED]
    for one in survivors:
        print(f"  {one}")
    return 1 if survivors else 0


def main() -> int:
    """Try the faults that the command line selects."""
    asked = arguments().parse_args()
    mutants = drawn(all_mutants(asked.only), asked.sample, asked.seed)
    if asked.list:
        print(*mutants, sep="\n")
        return 0
    outcomes: dict[Mutant, str] = {}
    with tempfile.TemporaryDirectory(prefix="kolbridge-mutants-") as home:
        trial = Trial(Path(home), asked.tests)
        print(f"without a fault: {trial.measure():.0f} s; {len(mutants)} faults")
        for number, mutant in enumerate(mutants, 1):
            began = time.monotonic()
            outcomes[mutant] = trial.outcome(mutant)
            took_s = time.monotonic() - began
            place = f"{number}/{len(mutants)} {took_s:.0f} s"
            print(f"{place} {outcomes[mutant]}: {mutant}", flush=True)
    return report(outcomes)


if __name__ == "__main__":
    sys.exit(main())
