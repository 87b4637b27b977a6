"""The gate's training material: the split, the list of digests, and the clips.

The list alone is read: the packages need not be there.
"""

from collections import Counter, defaultdict
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from bench.gate import manifest, material, neural, synthesis, voices
from bench.gate.packages import NPM, PACKAGES, PYPI, SPLITS
from bench.gate.sounds import KINDS
from bench.gate.speakers import EVERYBODY

NOTICE = Path(__file__).parents[2] / "NOTICE"
ENTRIES = manifest.entries()
# Writes into the file that follows -w: at first one thing, then always another.
TWO_WAYS = """#!/bin/sh
while [ $# -gt 0 ]; do case $1 in -w) file=$2 ;; esac; shift; done
if [ -e "$file" ]; then printf right; else printf wrong; fi > "$file"
"""
RIGHT = "right"
# Says that all of the packages it is asked for are installed, but for two.
TWO_MISSING = """#!/bin/sh
shift 3
for package in "$@"; do case $package in
  flite) echo "no packages found matching flite" >&2 ;;
  sox) echo "sox config-files" ;;
  *) echo "$package installed" ;;
esac; done
exit 1
"""
# Of these kinds there are too few recordings for every part.
MISSING = {("sneeze", "dev"), ("baby", "dev"), ("baby", "test")}


@pytest.mark.parametrize("name", ["digest", "path"])
def test_train_dev_and_test_have_no_file_in_common(name):
    parts = {s: {getattr(e, name) for e in ENTRIES if e.split == s} for s in SPLITS}
    assert all(parts.values())
    for one, other in combinations(SPLITS, 2):
        assert parts[one] & parts[other] == set()


def test_no_file_is_listed_twice():
    assert len({entry.digest for entry in ENTRIES}) == len(ENTRIES)
    assert {len(entry.digest) for entry in ENTRIES} == {manifest.DIGITS}


def test_cuts_of_one_recording_are_in_one_part():
    parts = defaultdict(set)
    for entry in ENTRIES:
        # The packs of Hedgewars have an actor each, and the same names.
        is_pack = entry.path.startswith("hedgewars-data") and "/voices/" in entry.path
        if not entry.kind.startswith(manifest.VOICE) and not is_pack:
            parts[entry.kind, manifest.recording(entry.path)].add(entry.split)
    assert [of for of, found in parts.items() if len(found) > 1] == []


def test_a_pack_of_voices_coughs_and_laughs_in_its_own_part():
    parts = defaultdict(set)
    for entry in ENTRIES:
        if "hedgewars/Data/Sounds/voices/" in entry.path:
            parts[entry.path.split("/")[-2]].add(entry.split)
    assert len(parts) > 10
    assert {len(found) for found in parts.values()} == {1}


def test_a_reader_is_in_one_part():
    named = defaultdict(set)
    for voice in EVERYBODY:
        named[voice.name.removesuffix("-words")].add(voice.split)
        if voice.name.startswith(("klettres", "ktuberling", "tuxpaint")):
            named[voice.language].add(voice.split)
        if voice.name.startswith("espeak"):
            named[voice.name.partition("+")[2].removesuffix("-words")].add(voice.split)
    assert [of for of, found in named.items() if len(found) > 1] == []


def test_a_voice_is_listed_in_its_own_part_only():
    of_voice = {voice.name: voice.split for voice in EVERYBODY}
    for entry in ENTRIES:
        if entry.kind.startswith(manifest.VOICE):
            assert entry.split == of_voice[entry.kind.removeprefix(manifest.VOICE)]


def test_every_kind_is_in_every_part_as_far_as_there_are_recordings():
    found = Counter((entry.kind, entry.split) for entry in ENTRIES)
    missing = {(k, s) for k in KINDS for s in SPLITS if not found[k, s]}
    assert missing == MISSING


@pytest.mark.parametrize("split", SPLITS)
def test_each_part_has_each_role_and_hebrew(split):
    found = material.voices(split)
    assert {role for voice in found for role in voice.roles} == {
        "near",
        "words",
        "babble",
        "ai",
    }
    for role in ("near", "words"):
        assert any(v.language == "he" and role in v.roles for v in found)
    assert all(material.voice_files(Path("cache"), voice) for voice in found)


def test_there_are_25_languages_and_hebrew_is_spoken_most():
    near = [v for split in SPLITS for v in material.voices(split) if "near" in v.roles]
    languages = Counter(v.language for v in near if v.name.startswith("espeak"))
    assert len(languages) >= 25
    assert languages["he"] == max(languages.values())


def test_files_are_sorted_and_below_the_cache():
    found = material.files(Path("cache"), "train", "cough")
    assert found == sorted(found)
    assert all(str(path).startswith("cache/x/") for path in found)
    assert material.files(Path("cache"), "dev", "sneeze") == []


def test_notice_names_every_package_in_use():
    used = {entry.path.split("/")[0] for entry in ENTRIES}
    assert used == {*PACKAGES, synthesis.FOLDER, neural.FOLDER}
    notice = NOTICE.read_text()
    named = (*PACKAGES, *PYPI, *NPM)
    assert [package for package in named if package not in notice] == []


def test_every_voice_has_something_to_say():
    texts = synthesis.texts()
    for voice in synthesis.spoken():
        assert texts[voice.language] and texts[f"{voice.language} words"]
    for speaker in neural.speakers(texts):
        assert speaker.texts
        assert any(language == "he" for language, _ in speaker.texts)


def test_a_style_of_the_net_and_its_mixes_are_in_one_part():
    parts = defaultdict(set)
    for speaker in neural.speakers(synthesis.texts()):
        for style in speaker.styles:
            parts[style].add(speaker.split)
    assert len(parts) == 54
    assert {len(found) for found in parts.values()} == {1}


def test_a_synthesiser_is_asked_again_until_it_says_what_is_listed(
    tmp_path, monkeypatch
):
    """Like espeak-ng 1.51, this one says each sentence in two ways, by turns."""
    tool = tmp_path / "espeak-ng"
    tool.write_text(TWO_WAYS)
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    hebrew = next(v for v in synthesis.spoken() if v.name == "espeak-he+m2")
    synthesis.synthesise(tmp_path, lambda file: file.read_text() == RIGHT, [hebrew])
    said = list((tmp_path / "x" / synthesis.FOLDER / hebrew.name).glob("*.wav"))
    assert len(said) > 30
    assert {file.read_text() for file in said} == {RIGHT}


def _listed(tmp_path, content=b"a bark"):
    file = tmp_path / "x" / "some-package" / "dog.wav"
    file.parent.mkdir(parents=True)
    file.write_bytes(content)
    listed = tmp_path / "list"
    listed.write_text(
        f"# a list\n[dev bark] some-package\n{manifest.digest(file)} dog.wav\n"
    )
    return file, manifest.entries(listed)


def test_a_file_as_listed_is_accepted(tmp_path):
    _, listed = _listed(tmp_path)
    assert [entry[1:] for entry in listed] == [("dev", "bark", "some-package/dog.wav")]
    manifest.verify(tmp_path, listed)


def test_a_file_of_another_content_is_refused(tmp_path):
    file, listed = _listed(tmp_path)
    file.write_bytes(b"a barK")
    with pytest.raises(manifest.WrongMaterial) as refused:
        manifest.verify(tmp_path, listed)
    for part in (str(file), listed[0].digest, manifest.digest(file)):
        assert part in str(refused.value)


def test_a_net_on_another_processor_is_told_and_accepted(tmp_path, capsys):
    name = neural.SPEAKERS[0].name
    file = tmp_path / "x" / neural.FOLDER / "someone" / "s00.wav"
    entry = manifest.Entry(
        "0" * 16, "train", f"{manifest.VOICE}{name}", f"{neural.FOLDER}/someone/s00.wav"
    )
    file.parent.mkdir(parents=True)
    file.write_bytes(b"other bits")
    manifest.verify(tmp_path, [entry])
    assert (
        "1 sentences of the net's voices are not as listed" in capsys.readouterr().out
    )
    file.unlink()
    with pytest.raises(manifest.WrongMaterial, match="found no file"):
        manifest.verify(tmp_path, [entry])


def test_a_missing_file_is_refused(tmp_path):
    file, listed = _listed(tmp_path)
    file.unlink()
    with pytest.raises(manifest.WrongMaterial, match="found no file"):
        manifest.verify(tmp_path, listed)


def test_missing_packages_are_named_before_anything_is_fetched(tmp_path, monkeypatch):
    query = tmp_path / "dpkg-query"
    query.write_text(TWO_MISSING)
    query.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    cache = tmp_path / "cache"
    with pytest.raises(material.MissingPackages) as refused:
        material.fetch(cache)
    assert str(refused.value) == "first run: apt-get install flite sox"
    assert not cache.exists()


def test_parts_are_of_whole_recordings_about_70_15_and_15_percent():
    recordings = [f"one {at // 2}" for at in range(200)]
    parts = manifest.divide(recordings)
    share = Counter(parts[name] for name in recordings)
    assert share["train"] == pytest.approx(140, abs=12)
    assert share["dev"] == pytest.approx(30, abs=6)
    assert share["test"] == pytest.approx(30, abs=6)


def test_the_largest_recording_trains_and_two_are_kept_apart():
    parts = manifest.divide(["large"] * 8 + ["a", "b", "c"])
    assert parts["large"] == "train"
    assert set(manifest.divide(["a", "b"]).values()) == {"train", "test"}


def _burst(rng, seconds, level):
    return rng.normal(0, level, round(seconds * voices.RATE))


def test_the_mask_is_where_it_is_loud():
    rng = np.random.default_rng(1)
    parts = [(0.5, 1e-4), (0.4, 0.1), (0.04, 1e-4), (0.4, 0.1), (0.5, 1e-4)]
    audio = np.concatenate([_burst(rng, s, level) for s, level in parts])
    [(clip, mask)] = voices.cut(audio.astype(np.float32))

    assert len(clip) == len(mask) * voices.PART
    assert mask.sum() == pytest.approx(84, abs=2), "a gap of 40 ms counts as speech"
    _, band = voices.active_parts(clip)
    loud = band[np.repeat(mask, voices.PART)]
    assert np.sqrt(np.mean(loud**2)) == pytest.approx(1, rel=0.05)


def test_a_blip_and_silence_are_no_clips():
    rng = np.random.default_rng(2)
    quiet = _burst(rng, 1.0, 1e-5)
    blip = np.concatenate([quiet, _burst(rng, 0.02, 0.1), quiet]).astype(np.float32)
    assert list(voices.cut(blip)) == []
    assert list(voices.cut(np.zeros(voices.RATE, np.float32))) == []
    assert list(voices.cut(np.zeros(0, np.float32))) == []


def test_a_long_recording_is_cut_in_its_pauses():
    rng = np.random.default_rng(3)
    parts = [_burst(rng, 2.0, 0.1), _burst(rng, 0.4, 1e-5)] * 10
    clips = list(voices.cut(np.concatenate(parts).astype(np.float32)))
    assert len(clips) == 4
    assert sum(mask.sum() for _, mask in clips) == pytest.approx(2_000, abs=30)


def test_a_bank_gives_back_a_voices_clips():
    rng = np.random.default_rng(4)
    clips = [rng.normal(0, 1, count * voices.PART) for count in (3, 5)]
    found = {
        "audio": np.concatenate(clips).astype(np.float16),
        "mask": np.array([1, 1, 1, 1, 0, 1, 1, 1], bool),
        "ends": np.array([0, 3, 8]),
        "owners": np.array(["it-menardi", "klettres-da"]),
    }
    bank = voices._bank("dev", found)
    assert (bank.near, bank.words, bank.ai) == (["it-menardi"], ["klettres-da"], [])
    assert bank.babble == ["it-menardi"]
    audio, mask = bank.clip(int(bank.by["klettres-da"][0]))
    assert audio == pytest.approx(clips[1], abs=0.01)
    assert mask.tolist() == [True, False, True, True, True]
