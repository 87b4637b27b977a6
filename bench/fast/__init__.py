"""The load generator's work per frame, compiled on first import.

It needs Cython and a C compiler, as building Kolbridge does. No wheel contains it.
"""

import fcntl
import os
import subprocess
import sys
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
MODULES = ("ticker", "wires", "frames")


def build() -> None:
    """Compile the modules if a source is newer; a failure raises RuntimeError."""
    sources = [one for one in HERE.iterdir() if one.suffix in (".pyx", ".pxd", ".h")]
    with (HERE / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if _built_at() > max(one.stat().st_mtime for one in sources):
            return
        names = [str(HERE.relative_to(ROOT) / f"{name}.pyx") for name in MODULES]
        done = subprocess.run(
            [sys.executable, "-m", "Cython.Build.Cythonize", "-i", "-f", *names],
            cwd=ROOT,
            env={**os.environ, "CFLAGS": "-O3"},
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise RuntimeError(f"the load's ends do not compile:\n{done.stderr}")


def _built_at() -> float:
    """Return when the oldest module was built; 0 if one is missing."""
    found = [HERE / f"{name}{EXTENSION_SUFFIXES[0]}" for name in MODULES]
    return min((one.stat().st_mtime if one.exists() else 0.0) for one in found)


build()
