"""Build the Cython extensions; all other settings are in pyproject.toml.

`KOLBRIDGE_CHECKED=1` makes the checked build: bounds, wraparound and C division are
checked, so that the same tests find what the release build would get wrong silently.
`KOLBRIDGE_SANITIZE=1` has the C compiler watch every access to memory and every
arithmetic that C leaves undefined; `scripts/check_kernels.sh` runs the tests of both.
`KOLBRIDGE_TRACE=1` compiles those of `bridge` so that their lines are counted, for
`scripts/measure_coverage.sh`.
`KOLBRIDGE_DRAFT=1` leaves the optimiser out, for builds that are used once.
`KOLBRIDGE_NATIVE=1` compiles for this machine's processor; never for a wheel.
"""

import os
import platform
import sys
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup

CHECKED = os.environ.get("KOLBRIDGE_CHECKED") == "1"
SANITIZE = os.environ.get("KOLBRIDGE_SANITIZE") == "1"
TRACE = os.environ.get("KOLBRIDGE_TRACE") == "1"
DRAFT = os.environ.get("KOLBRIDGE_DRAFT") == "1"
NATIVE = os.environ.get("KOLBRIDGE_NATIVE") == "1"

# Built where it could run; `dsp.fastest` asks the processor. Without FMA, so that it
# rounds as the portable build does; it was measured to be slower, too.
AVX2 = Path("dsp/gate_avx2.pyx")
HAS_AVX2_BUILD = platform.machine() == "x86_64" and sys.platform != "win32"
KERNELS = [
    path
    for folder in ("dsp", "bridge")
    for path in sorted(Path(folder).rglob("*.pyx"))
    if path != AVX2 or HAS_AVX2_BUILD
]
# Of the kernels each sample is many lines: their tests would take hours.
if TRACE:
    KERNELS = [path for path in KERNELS if path.parts[0] == "bridge"]
# The core's busiest modules; the types that make them fast are in a .pxd beside each.
PYTHON = [
    Path("bridge/media/playout.py"),
    Path("bridge/media/turn_end.py"),
    Path("bridge/media/uplink.py"),
    Path("bridge/media/voice_run.py"),
    Path("bridge/media/withheld_sound.py"),
]
DIRECTIVES = {
    "language_level": 3,
    "boundscheck": CHECKED,
    "wraparound": CHECKED,
    "cdivision": not CHECKED,
    "initializedcheck": CHECKED,
    "embedsignature": True,
    "freethreading_compatible": True,
    "linetrace": TRACE,
}
# Line tracing of what runs with and without the interpreter's lock.
MACROS = [("CYTHON_TRACE", "1"), ("CYTHON_TRACE_NOGIL", "1")] if TRACE else []
# One long sum for each sample: four times as fast on vectors.
RESAMPLE = Path("dsp/resample.pyx")
# Not -ffast-math: it drops NaN handling and switches denormals off process-wide. Sums
# are added in the order that is written, so that each build's gate decides alike.
COMPILE_ARGS = [
    "-O3",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-fno-signed-zeros",
]
LINK_ARGS = []
if DRAFT or TRACE:
    COMPILE_ARGS = ["-O0"]
if SANITIZE:
    LINK_ARGS = ["-fsanitize=address,undefined"]
    COMPILE_ARGS = ["-O1", "-g1", "-fno-sanitize-recover=all", *LINK_ARGS]
if NATIVE:
    COMPILE_ARGS.append("-march=native")

# Python means what it means elsewhere; its hints are for the reader.
PYTHON_DIRECTIVES = {
    **DIRECTIVES,
    "boundscheck": True,
    "wraparound": True,
    "cdivision": False,
    "annotation_typing": False,
}


def compile_args(path: Path) -> list[str]:
    """Return what the C compiler is told for one source."""
    if sys.platform == "win32":
        return []
    if path == RESAMPLE:
        return [*COMPILE_ARGS, "-fassociative-math"]
    return [*COMPILE_ARGS, "-mavx2"] if path == AVX2 else COMPILE_ARGS


def extensions(sources: list[Path], directives: dict[str, object]) -> list[Extension]:
    """Return what is to be compiled, translated to C."""
    found: list[Extension] = cythonize(
        [
            Extension(
                ".".join(path.with_suffix("").parts),
                [str(path)],
                define_macros=MACROS,
                extra_compile_args=compile_args(path),
                extra_link_args=LINK_ARGS,
            )
            for path in sources
        ],
        compiler_directives=directives,
        nthreads=0 if sys.platform == "darwin" else 2,
        # cythonize does not look at directives: a checked or traced build must not
        # reuse C.
        force=CHECKED or TRACE,
    )
    return found


setup(
    ext_modules=extensions(KERNELS, DIRECTIVES) + extensions(PYTHON, PYTHON_DIRECTIVES)
)
