"""The budgets of `bench/budget.toml`, and which figures break them."""

import sys
import tomllib
from pathlib import Path
from typing import Any

BUDGETS: dict[str, dict[str, float]] = tomllib.loads(
    Path(__file__).with_name("budget.toml").read_text()
)


def latency(attempt: dict[str, Any]) -> list[str]:
    """Return a line for each budget that one attempt of the load run breaks."""
    return _over("latency", attempt)


def kernels(ratios: dict[str, float]) -> list[str]:
    """Return a line for each kernel whose ratio to the reference is over its budget."""
    return _over("kernels", ratios)


def counts(found: dict[str, float]) -> list[str]:
    """Return a line for each count per frame that is over its budget."""
    return _over("counts", found)


def report(broken: list[str]) -> int:
    """Print the broken budgets; return the exit code."""
    for line in broken:
        print(f"over budget: {line}", file=sys.stderr)
    return 1 if broken else 0


def _over(part: str, found: dict[str, Any]) -> list[str]:
    """Return a line for each figure over its budget, missing, or not a number."""
    return [
        f"{part}: {name} {found.get(name)}, allowed {allowed:g}"
        for name, allowed in BUDGETS[part].items()
        if not found.get(name, float("nan")) <= allowed
    ]
