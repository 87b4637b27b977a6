"""The timeline of a recorded call: sound, words, gate, decisions, on one time axis."""

import wave
from pathlib import Path

import msgspec
import pytest

from bridge.recorder import timeline_process
from bridge.recorder.recording import (
    Recording,
    RecordingError,
    fingerprint,
    read,
    rewrite,
)
from bridge.recorder.timeline import SECONDS_MAX, Timeline, make, peaks
from bridge.recorder.tracks import AiTrack, spans

RECORDINGS = Path("tests/recordings")
INTERRUPTION = RECORDINGS / "interruption.zip"


def test_a_call_has_words_sound_and_decisions_on_one_axis():
    timeline, sound = make([INTERRUPTION], replays=True)

    kinds = [one.kind for one in timeline.moments]
    assert {"interrupted", "clear", "tool", "tool done", "keypad", "mark"} <= {*kinds}
    (cleared,) = [one.at_s for one in timeline.moments if one.kind == "clear"]
    cut = next(one for one in timeline.words.values() if one[0].text == "On")
    said = [one.text for one in cut if one.at_s is not None]
    assert said == ["On", "Tuesday"]
    assert max(one.at_s for one in cut if one.at_s is not None) < cleared
    assert len(sound.ai) == len(sound.caller)
    # What was cleared was never heard.
    heard = sound.ai[round(cleared * 8000) : round((cleared + 0.5) * 8000)]
    assert set(heard) == {0xFF}
    assert not timeline.why_noted
    for begin, end in (*timeline.gate, *timeline.given):
        assert 0 <= begin < end <= timeline.seconds


def test_what_was_given_stands_where_it_was_said():
    """Preroll and withheld speech are sent late, and belong to an earlier time."""
    timeline, _ = make([INTERRUPTION], replays=True)

    for (gate, _), (given, _) in zip(timeline.gate, timeline.given, strict=True):
        assert 0 < gate - given < 0.5


def test_todays_other_decisions_are_named_and_the_rest_is_as_noted(tmp_path):
    other = tmp_path / "other.zip"
    recording = read(INTERRUPTION)
    steps = list(recording.steps)
    at = next(n for n, one in enumerate(steps) if one.actions and n > 100)
    steps[at] = msgspec.structs.replace(steps[at], actions=[])
    rewrite(other, recording, steps)

    timeline, sound = make([other], replays=True)
    assert "decides otherwise" in timeline.why_noted
    assert [one.what for one in timeline.notes][-1] == "ended"
    assert len(sound.ai) > 0


def test_a_recording_without_audio_has_its_notes(tmp_path):
    silent = tmp_path / "silent.zip"
    recording = read(INTERRUPTION)
    header = msgspec.structs.replace(recording.header, has_audio=False)
    rewrite(silent, Recording(header, recording.steps, {}), recording.steps)

    timeline, _ = make([silent], replays=True)
    assert not timeline.has_audio
    assert timeline.why_noted == "it was recorded without audio"
    assert "interrupted" in [one.what for one in timeline.notes]
    assert timeline_process.main([str(tmp_path), str(silent)]) == 0
    assert not (tmp_path / timeline_process.SOUND_FILE).exists()


def test_a_call_beyond_the_limit_has_no_picture(tmp_path):
    long = tmp_path / "long.zip"
    recording = read(INTERRUPTION)
    last = recording.steps[-1]
    last = msgspec.structs.replace(last, now=last.now + SECONDS_MAX)
    rewrite(long, recording, [*recording.steps[:-1], last])

    with pytest.raises(RecordingError, match="at most"):
        make([long], replays=False)


def test_the_process_writes_a_picture_and_a_stereo_sound(tmp_path, capsys):
    assert timeline_process.main([str(tmp_path), str(INTERRUPTION), "--noted"]) == 0
    text = (tmp_path / timeline_process.TIMELINE_FILE).read_bytes()
    timeline = msgspec.json.decode(text, type=Timeline)
    assert timeline.gate == []
    assert timeline.why_noted == "it could not be made again"
    with wave.open(str(tmp_path / timeline_process.SOUND_FILE)) as sound:
        assert (sound.getnchannels(), sound.getframerate()) == (2, 8000)
        assert abs(sound.getnframes() / 8000 - timeline.seconds) < 1

    broken = tmp_path / "broken.zip"
    broken.write_bytes(b"x")
    assert timeline_process.main([str(tmp_path), str(broken)]) == 2
    assert "expected a recorded call" in capsys.readouterr().err


def test_peaks_are_one_for_each_20_ms():
    assert peaks(b"\xff" * 160 + b"\x80" * 161) == [0, 250, 250]


def test_spans_join_what_is_near():
    assert list(spans([0, 160, 4000], 160)) == [(0.0, 0.04), (0.5, 0.52)]
    assert list(spans([], 160)) == []


def test_the_same_frame_belongs_to_the_item_that_plays():
    """Silence stands in several items."""
    track = AiTrack()
    for item in ("a", "b"):
        track.total_frames[item] = 0
        track._add(item, b"\xff" * 160)
    silence = {"bytes": 160, "hash": next(iter(track._frames))}
    track._current = "a"
    track.send(0, silence)
    track.send(0, silence)

    assert track.places == {"a": [0], "b": [160]}


def test_an_operator_is_heard_where_the_ai_is():
    recording = read(INTERRUPTION)
    said = b"\x10" * 160
    audio = {**recording.audio, "operator.ulaw": b"\xff" * 160 + said}
    recording = Recording(recording.header, recording.steps, audio)
    track = AiTrack()
    where = {"at": 160, **fingerprint(said)}
    track.join(recording, where)
    track.join(recording, fingerprint(said))
    track.send(0, where)

    assert bytes(track.audio) == said
    assert track.places == {}
