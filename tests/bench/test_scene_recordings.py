"""The scenes' sounds from recordings: of one part, and as the scenes need them."""

from pathlib import Path

import numpy as np
import pytest

from bench.gate import material, scene_recordings, scenes_speech, subset, voices
from bench.gate.scene_sounds import PART, scaled
from bench.gate.subset import RATE

PACKAGED = {
    "a": ("human-en-reader-1", "human-en-reader-3", "human-en-reader-4"),
    "b": ("caller-en-1", "caller-en-2", "caller-he-1"),
}


@pytest.fixture
def bank():
    """A bank of packaged voices: two who talk, and one who says one word."""
    clips = [_cut(name) for names in PACKAGED.values() for name in names]
    word = clips[0][0][: 30 * PART], np.ones(30, bool)
    every = [*clips, word]
    by = {"a": np.arange(3), "b": np.arange(3, 6), "w": np.array([6])}
    return voices.Bank(
        near=["a", "b"],
        words=["w"],
        babble=["a", "b"],
        ai=["b"],
        language={name: "en" for name in by},
        by=by,
        audio=np.concatenate([audio for audio, _ in every]).astype(np.float16),
        mask=np.concatenate([mask for _, mask in every]),
        ends=np.cumsum([0] + [len(mask) for _, mask in every]),
    )


def _cut(name):
    return next(voices.cut(subset.samples(name).astype(np.float32)))


@pytest.fixture
def sounds(bank, monkeypatch):
    asked = set()

    def files(cache, split, kind):
        asked.add(split)
        return [] if kind == "sneeze" else [Path(f"{kind}.wav")]

    def read(path):
        return 0.1 * np.random.default_rng(1).standard_normal(RATE + 7)

    monkeypatch.setattr(voices, "build", lambda cache, split: bank)
    monkeypatch.setattr(voices, "read", read)
    monkeypatch.setattr(material, "files", files)
    monkeypatch.setattr(material, "voices", lambda split: [])
    yield scene_recordings.recordings(Path("cache"), "dev")
    assert asked == {"dev"}


def test_the_voices_words_and_events_are_those_of_the_bank(sounds):
    assert sorted(sounds.voices) == ["a", "b"]
    assert [len(clip.mask) for clip in sounds.words["w"]] == [30]
    assert len(sounds.ai) == 3
    assert set(sounds.events) == {"cough", "bark"}
    for clips in sounds.voices.values():
        assert all(clip.mask[0] and clip.mask[-1] for clip in clips)


def test_each_ground_is_as_long_as_asked_for(sounds):
    rng = np.random.default_rng(1)
    assert {"pink", "music", "fan", "street", "babble", "television"} == set(
        sounds.grounds
    )
    for make in sounds.grounds.values():
        sound = make(3 * RATE, rng)
        assert len(sound) == 3 * RATE
        assert subset.rms(sound) == pytest.approx(1, rel=0.05)


def test_a_figure_without_a_sound_is_left_out(sounds, monkeypatch):
    monkeypatch.setattr(scenes_speech, "NOBODY_S", 1.0)
    found = scenes_speech.nobody(sounds, lambda near: np.ones(len(near) // 160, bool))
    assert set(found.values) == {"nobody_music", "nobody_babble"}


def test_a_room_sounds_as_its_quiet_does():
    rng = np.random.default_rng(1)
    time = np.arange(200 * PART) / RATE
    quiet = np.sin(2 * np.pi * 1_000 * time) + 0.01 * rng.standard_normal(len(time))

    made = scene_recordings.room(quiet.reshape(-1, PART))(4 * RATE, rng)
    power = np.abs(np.fft.rfft(made)) ** 2
    hz = np.fft.rfftfreq(len(made), 1 / RATE)
    assert power[(hz > 800) & (hz < 1_200)].sum() > 0.9 * power.sum()
    assert subset.rms(made) == pytest.approx(1, rel=1e-3)


def test_a_silent_file_is_no_event(monkeypatch):
    monkeypatch.setattr(voices, "read", lambda path: np.zeros(RATE))
    assert scene_recordings._events([Path("a")]) == []
    monkeypatch.setattr(voices, "read", lambda path: np.ones(3 * RATE))
    (event,) = scene_recordings._events([Path("a")])
    assert len(event) == 2 * RATE
    assert np.allclose(event, scaled(np.ones(2 * RATE)))
