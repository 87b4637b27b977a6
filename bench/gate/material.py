"""The training material of the scores: recorded and synthesised voices, music, noises.

`fetch` brings all of it into a cache: Debian packages, downloaded and unpacked but not
installed, and voices that installed synthesisers speak. It needs Debian 12 with flite,
festival, its voices, and espeak-ng. No recording is committed.

Each file belongs to one part of the split, `train`, `dev` or `test`, and so does each
reader. `material.sha256` lists them; `manifest.py` checks them.
"""

import subprocess
from functools import cache as once
from pathlib import Path

from bench.gate import manifest
from bench.gate.packages import PACKAGES, VOICES, Voice
from bench.gate.synthesis import SPOKEN, synthesise


def fetch(cache: Path) -> None:
    """Bring every file into `cache`; raise `WrongMaterial` if one is not as listed."""
    unpack(cache)
    synthesise(cache)
    manifest.verify(cache, manifest.entries())


def unpack(cache: Path) -> None:
    """Download and unpack the packages that `cache` does not have."""
    folder = cache / "deb"
    folder.mkdir(parents=True, exist_ok=True)
    for package in PACKAGES:
        target = cache / "x" / package
        if target.is_dir():
            continue
        print(f"fetching {package}", flush=True)
        subprocess.run(["apt-get", "download", package], cwd=folder, check=True)
        found = next(folder.glob(f"{package}_*.deb"))
        partial = target.with_name(f"{package}.partial")
        partial.mkdir(parents=True, exist_ok=True)
        subprocess.run(["dpkg-deb", "-x", str(found), str(partial)], check=True)
        partial.rename(target)


def files(cache: Path, split: str, kind: str) -> list[Path]:
    """Return the files of a kind of sound in one part of the split, sorted."""
    return sorted(cache / "x" / path for path in _paths().get((split, kind), ()))


def voices(split: str) -> list[Voice]:
    """Return the voices of one part of the split that have files."""
    return [
        voice
        for voice in (*VOICES, *SPOKEN)
        if voice.split == split and (split, manifest.VOICE + voice.name) in _paths()
    ]


def voice_files(cache: Path, voice: Voice) -> list[Path]:
    """Return the files of a voice, sorted."""
    return files(cache, voice.split, manifest.VOICE + voice.name)


@once
def _paths() -> dict[tuple[str, str], list[str]]:
    found: dict[tuple[str, str], list[str]] = {}
    for entry in manifest.entries():
        found.setdefault((entry.split, entry.kind), []).append(entry.path)
    return found
