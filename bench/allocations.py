"""Exact counts of allocations, by a hook in C that is compiled on first use.

Python reports how many blocks are held, not how many were allocated. An object from a
free list (a float, a small tuple) is no allocation and is not counted.
"""

import ctypes
import shlex
import subprocess
import sysconfig
import tempfile
from functools import cache
from pathlib import Path
from typing import NamedTuple

from dsp.g711 import FRAME_BYTES


class Allocations(NamedTuple):
    """A number of blocks, and how many of them can hold a frame: its copies."""

    blocks: int
    copies: int


@cache
def hook() -> ctypes.PyDLL:
    """Compile and install the hook; it stays for the life of the process."""
    source = Path(__file__).with_name("allocations.c")
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder) / "allocations.so"
        compiler = shlex.split(sysconfig.get_config_var("CC") or "cc")
        include = sysconfig.get_path("include")
        flags = ["-shared", "-fPIC", "-O2", "-I", include, "-o", str(library)]
        subprocess.run([*compiler, *flags, str(source)], check=True)
        loaded = ctypes.PyDLL(str(library))
    loaded.install(ctypes.c_size_t(FRAME_BYTES))
    return loaded


def start() -> None:
    """Begin or continue to count."""
    hook().count(1)


def stop() -> None:
    """Stop counting."""
    hook().count(0)


def take() -> Allocations:
    """Return the counts and reset them."""
    found = Allocations(hook().all(), hook().large())
    hook().forget()
    return found
