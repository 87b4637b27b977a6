"""Lists each file that trains or judges: digest, part of the split, kind and path.

`material.sha256` has a heading for each kind, part and package, and a line a file: the
first 16 hex digits of its SHA-256, and its path. A file that is missing or of
another content is refused, because other material trains another net.

    python -m bench.gate.manifest CACHE     write the list anew from an unpacked cache
"""

import fnmatch
import hashlib
import os
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from bench.gate.packages import SPLITS, Sounds, Voice
from bench.gate.sounds import SOUNDS
from bench.gate.speakers import BY_NET, EVERYBODY

PATH = Path(__file__).with_name("material.sha256")
VOICE = "voice/"  # before the name of a voice in a kind
DIGITS = 16
SHARE = 0.15  # of the files, for `dev` and `test` each
LARGEST = 0.3  # a recording with more of the files trains
LONGEST_S = {"near": 400.0, "ai": 200.0, "words": 90.0, "babble": 60.0}
QUIETEST = 1e-3  # a file of silence
SPOKEN_NAMES = ("*_desc*",)  # Tux Paint says what a picture shows
AUDIO = (".wav", ".ogg", ".flac", ".mp3", ".raw", ".gsm")


class Entry(NamedTuple):
    """One file; the path is relative to the unpacked packages."""

    digest: str
    split: str
    kind: str
    path: str


class WrongMaterial(Exception):
    """A file is not the one that the list names."""


def entries(path: Path = PATH) -> list[Entry]:
    """Return the list's entries in its order."""
    found, split, kind, folder = [], "", "", ""
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            heading, folder = line[1:].split("] ", 1)
            split, kind = heading.split(" ")
        elif line and not line.startswith("#"):
            digest, name = line.split(" ", 1)
            found.append(Entry(digest, split, kind, f"{folder}/{name}"))
    return found


def digest(file: Path) -> str:
    """Return the first digits of a file's SHA-256."""
    return hashlib.sha256(file.read_bytes()).hexdigest()[:DIGITS]


def verify(cache: Path, listed: Iterable[Entry]) -> None:
    """Raise `WrongMaterial` if a file is missing or has another content.

    A net's voices are other bits on another processor; that is said, and accepted.
    """
    others = 0
    for entry in listed:
        file = cache / "x" / entry.path
        found = digest(file) if file.is_file() else "no file"
        if found == entry.digest:
            continue
        if not file.is_file() or entry.kind.removeprefix(VOICE) not in BY_NET:
            raise WrongMaterial(
                f"{file}: expected SHA-256 {entry.digest}…, found {found}; "
                f"another version of {entry.path.split('/')[0]} is installed, "
                "or the download was cut off"
            )
        others += 1
    if others:
        print(f"{others} sentences of the net's voices are not as listed: the weights")
        print("will be other ones than those that ship")


def write(cache: Path, path: Path = PATH) -> None:
    """Write the list of what `packages.py`, `sounds.py` and `synthesis.py` name."""
    taken: set[str] = set()
    found = [*_voice_entries(cache, taken), *_sound_entries(cache, taken)]
    parts: dict[tuple[str, str, str], list[Entry]] = {}
    for entry in sorted(found, key=lambda one: (one.kind, one.split, one.path)):
        package = entry.path.partition("/")[0]
        parts.setdefault((entry.kind, entry.split, package), []).append(entry)
    lines = ["# See manifest.py."]
    for (kind, split, _), listed in parts.items():
        folder = os.path.commonpath([os.path.dirname(e.path) for e in listed])
        lines.append(f"[{split} {kind}] {folder}")
        lines += [f"{e.digest} {e.path.removeprefix(folder + '/')}" for e in listed]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


# `voices` needs this module, and so is imported in the functions.


def _voice_entries(cache: Path, taken: set[str]) -> Iterator[Entry]:
    from bench.gate.voices import cut, read

    for voice in EVERYBODY:
        seconds, longest = 0.0, LONGEST_S[voice.roles[0]]
        for found, path in sorted(_new(cache, _of(cache, voice), taken)):
            if seconds > longest:
                break
            clips = list(cut(read(cache / "x" / path)))
            if clips and found not in taken:
                taken.add(found)
                seconds += sum(len(mask) for _, mask in clips) / 100
                yield Entry(found, voice.split, VOICE + voice.name, path)


def _sound_entries(cache: Path, taken: set[str]) -> Iterator[Entry]:
    from bench.gate.voices import read

    kinds: dict[str, list[tuple[Sounds, str, str]]] = {}
    for sounds in SOUNDS:
        paths = _find(cache, sounds.package, (sounds.pattern,), SPOKEN_NAMES)
        for found, path in _new(cache, paths, taken):
            loudest = np.abs(read(cache / "x" / path)).max()
            if loudest > QUIETEST and found not in taken:
                taken.add(found)
                kinds.setdefault(sounds.kind, []).append((sounds, found, path))
    for kind, listed in kinds.items():
        parts = divide([recording(path) for s, _, path in listed if not s.split])
        for sounds, found, path in listed:
            split = sounds.split or parts[recording(path)]
            yield Entry(found, split, kind, path)


def _new(
    cache: Path, paths: Iterable[str], taken: set[str]
) -> Iterator[tuple[str, str]]:
    for path in paths:
        found = digest(cache / "x" / path)
        if found not in taken:
            yield found, path


def recording(path: str) -> str:
    """Return what the cuts of one recording share: package, and name without number."""
    package, _, rest = path.partition("/")
    folder, _, name = rest.rpartition("/")
    stem = name.rpartition(".")[0].lower()
    if package == "bucklespring-data":
        return f"{package}/{stem.partition('-')[0]}"  # a key's stroke and release
    if package == "hydrogen-drumkits":
        return f"{package}/{folder.rpartition('/')[2]}"
    stem = re.sub(r"([-_. ]*\d+)+[a-z]?$", "", stem) or stem
    return f"{package}/{stem}"


def divide(recordings: list[str]) -> dict[str, str]:
    """Give each recording a part; a name counts as often as it has files.

    `test` and `dev` get about 15 % of the files each, in an order that has no meaning.
    """
    sizes = Counter(recordings)
    order = sorted(sizes, key=lambda name: hashlib.sha1(name.encode()).digest())
    largest = LARGEST * len(recordings)
    order.sort(key=lambda name: sizes[name] > largest)
    parts, filled = {}, {"test": 0, "dev": 0, "train": 0}
    for at, name in enumerate(order):
        goal = SHARE * len(recordings)
        short = [
            part for part in ("test", "dev") if _wants(filled[part], goal, sizes[name])
        ]
        part = short[0] if short and at + 1 < len(order) else "train"
        parts[name] = part
        filled[part] += sizes[name]
    return parts


def _wants(has: int, goal: float, more: int) -> bool:
    """Say whether a part wants a recording of `more` files, to have about `goal`."""
    return has == 0 or has + more <= 1.2 * goal


def _of(cache: Path, voice: Voice) -> list[str]:
    return _find(cache, voice.package, voice.patterns, voice.without)


def _find(
    cache: Path, package: str, patterns: Iterable[str], without: Iterable[str]
) -> list[str]:
    base = cache / "x" / package
    found = []
    for folder, _, names in os.walk(base):
        for name in names:
            file = Path(folder, name)
            path = str(file.relative_to(base))
            if file.suffix not in AUDIO or file.is_symlink():
                continue
            if not any(fnmatch.fnmatchcase(path, one) for one in patterns):
                continue
            if not any(fnmatch.fnmatchcase(path, one) for one in without):
                found.append(f"{package}/{path}")
    return sorted(found)


if __name__ == "__main__":
    assert SPLITS == ("train", "dev", "test")
    write(Path(sys.argv[1]))
