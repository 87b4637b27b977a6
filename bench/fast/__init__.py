"""What the load's ends do for every frame, compiled when it is first imported.

It needs Cython and a C compiler, as building Kolbridge does; no wheel has it.
"""

import fcntl
import os
import subprocess
import sys
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
MODULES = ("beat", "wires", "frames")


def build() -> None:
    """Compile what is older than any source; raises RuntimeError with what was said."""
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
    """Return when the oldest module was made; 0 if one was not."""
    found = [HERE / f"{name}{EXTENSION_SUFFIXES[0]}" for name in MODULES]
    return min((one.stat().st_mtime if one.exists() else 0.0) for one in found)


build()
