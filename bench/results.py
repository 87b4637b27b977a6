"""Where a run writes its figures: JSON under `bench/results/`, one file a run.

A file names commit, date and kind of machine, and nothing that identifies the machine.
"""

import os
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

FOLDER = Path("bench/results")


def commit() -> dict[str, Any]:
    """Return the commit that is measured, and whether files differ from it."""
    changed = _git("status", "--porcelain", "--untracked-files=no")
    return {"id": _git("rev-parse", "--short=10", "HEAD"), "is_changed": bool(changed)}


def machine() -> dict[str, Any]:
    """Return the properties of the machine on which times depend."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if "model name" in line]
    return {
        "processor": models[0] if models else platform.machine(),
        "cores": os.cpu_count(),
        "system": platform.system(),
        "python": platform.python_version(),
        "load_before": round(os.getloadavg()[0], 2),
    }


def save(kind: str, figures: dict[str, Any], about: dict[str, Any]) -> Path:
    """Write one run's figures; `about` is `machine()` from before the run."""
    now = datetime.now(UTC)
    whole = {
        "kind": kind,
        "commit": commit(),
        "date": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "machine": about,
        "figures": figures,
    }
    FOLDER.mkdir(parents=True, exist_ok=True)
    path = FOLDER / f"{now:%Y%m%d-%H%M%S-%f}-{kind}.json"
    path.write_bytes(orjson.dumps(whole, option=orjson.OPT_INDENT_2))
    return path


def _git(*arguments: str) -> str:
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, text=True)
    except OSError:
        return ""
    return done.stdout.strip()
