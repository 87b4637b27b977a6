"""The scenes: what their sounds are, that their truth holds, and that each can fail."""

import numpy as np
import orjson
import pytest

from bench.gate import (
    scene_sounds,
    scene_talks,
    scenes,
    scenes_barge,
    scenes_echo,
    scenes_speech,
    scenes_turns,
    subset,
)
from bench.gate.acoustics import ratio
from bench.gate.scene_calls import (
    Noise,
    Room,
    alone,
    frames_said,
    joined,
    mulaw,
    one_after_another,
    quiet,
    spoken,
)
from bench.gate.scene_sounds import PART, Clip
from bench.gate.scene_table import Figure, Found, Scene
from bridge.settings.options import CallOptions, merge
from dsp.g711 import FRAME_BYTES, decode

RATE = subset.RATE
DEAF = merge(CallOptions(), {"VAD_THRESHOLD_RMS": "10000"})


@pytest.fixture(scope="module")
def few():
    """Two of the packaged voices: enough to see that a scene can fail."""
    sounds = scene_sounds.packaged()
    names = ("human-en-reader-1", "caller-en")
    return sounds._replace(
        voices={name: sounds.voices[name] for name in names},
        words={"caller-en": sounds.words["caller-en"]},
    )


@pytest.fixture
def rng():
    return np.random.default_rng(1)


def linear(data):
    return np.frombuffer(decode(data), "<i2") / 32768


def level_db(part):
    return 20 * np.log10(subset.rms(part))


def tone(parts):
    sound = np.sqrt(2) * np.sin(np.arange(parts * PART) * 2 * np.pi * 1_000 / RATE)
    return Clip(sound, np.ones(parts, bool))


def sends_all(near):
    return np.ones(len(near) // FRAME_BYTES, bool)


def sends_none(near):
    return np.zeros(len(near) // FRAME_BYTES, bool)


# --- the sounds ---


def test_a_packaged_clip_has_an_active_rms_of_1_and_no_quiet_around_it(few):
    for clips in few.voices.values():
        for audio, mask in clips:
            assert subset.rms(audio[np.repeat(mask, PART)]) == pytest.approx(
                1, rel=0.02
            )
            assert mask[0]
            assert mask[-1]
            assert len(audio) == len(mask) * PART


def test_a_ground_has_an_rms_of_1(few, rng):
    assert {"pink", "music", "song", "babble", "television"} <= set(few.grounds)
    for make in few.grounds.values():
        sound = make(2 * RATE, rng)
        assert len(sound) == 2 * RATE
        assert subset.rms(sound) == pytest.approx(1, rel=1e-3)


def test_an_events_loudest_20_ms_have_an_rms_of_1(few):
    assert set(few.events) == {"cough", "sneeze", "bark"}
    for sounds in few.events.values():
        for sound in sounds:
            assert scene_sounds.loudest(sound) == pytest.approx(1)


def test_a_room_decays_by_60_db_within_its_reverberation_time(rng):
    click = np.zeros(RATE)
    click[0] = 1
    heard = scene_sounds.in_a_room(click, 0.4, 0.5, rng)

    early, late = heard[80:400], heard[2_880:3_200]
    assert level_db(early) - level_db(late) == pytest.approx(52.5, abs=3)
    assert not np.any(np.abs(heard[3_200:]) > 1e-12)
    reflected = np.sqrt(np.sum(heard[1:] ** 2))
    assert heard[0] / reflected == pytest.approx(0.5, rel=1e-3)


# --- the calls ---


def test_a_caller_begins_where_the_truth_says_at_the_level_asked_for(rng):
    call = spoken(tone(100), rng, begin_s=0.5, after_s=0.5)

    assert call.turns == [(0.5, 1.5)]
    assert np.flatnonzero(call.is_said).tolist() == list(range(25, 75))
    assert len(call.frames) == len(call.is_said)
    x = linear(call.near)
    assert level_db(x[: RATE // 2]) == pytest.approx(-68, abs=2)
    assert level_db(x[RATE // 2 : 3 * RATE // 2]) == pytest.approx(-26, abs=0.3)


def test_the_noise_behind_a_caller_is_as_far_below_them_as_asked_for(rng):
    noise = Noise(scene_sounds.pink, snr_db=10)
    x = linear(spoken(tone(100), rng, 2.0, room=Room(0.4, 0.5), noise=noise).near)

    assert level_db(x[: 2 * RATE]) == pytest.approx(-36, abs=1)


def test_a_frame_is_said_if_half_of_it_is_speech():
    mask = np.array([1, 1, 0, 1, 1, 0, 0, 0, 1], bool)
    assert frames_said(mask).tolist() == [True, True, True, False]


def test_a_talk_is_as_long_as_asked_for_and_pauses_between_clips(rng):
    audio, mask = joined([tone(50)], 3.0, (0.3, 0.3), rng)

    assert len(audio) == 3 * RATE
    assert scene_sounds.runs(mask) == [(0, 50), (80, 130), (160, 210), (240, 290)]
    assert not np.any(audio[50 * PART : 80 * PART])


@pytest.mark.parametrize(
    ("parts", "gap", "db", "is_kept"),
    [
        (6, 12, -23, False),  # a breath, as before the words of a packaged reader
        (9, 19, -20, False),  # the rest of a word that the recording's start cut off
        (6, 5, -23, True),  # a weak consonant, and the stop after it
        (6, 12, -12, True),  # a short sound that is no weaker than speech may be
        (20, 12, -23, True),  # a word in a low voice
    ],
)
def test_a_clip_is_trimmed_to_speech(parts, gap, db, is_kept):
    stray = Clip(tone(parts).audio * ratio(db), np.ones(parts, bool))
    pause = quiet(gap)
    clip = one_after_another([stray, pause, tone(60), pause, stray])
    trimmed = scene_sounds.trimmed(*clip)

    assert len(trimmed.mask) == (len(clip.mask) if is_kept else 60)
    assert len(trimmed.audio) == len(trimmed.mask) * PART


def test_a_sound_alone_has_the_level_asked_for(rng):
    x = linear(alone(scene_sounds.pink(RATE, rng), -30.0, rng))
    assert level_db(x) == pytest.approx(-30, abs=0.2)


def test_an_echo_comes_as_late_and_as_quiet_as_asked_for(rng):
    far = scene_sounds.pink(RATE, rng) * ratio(-20)
    echo = scene_talks.echo_of(far, -14, 0.4, rng)

    assert echo.delay == 20
    assert not np.any(echo.sound[: 20 * FRAME_BYTES])
    assert level_db(echo.sound[20 * FRAME_BYTES :]) == pytest.approx(-34, abs=1)


def test_an_interruption_belongs_to_the_sound_before_it():
    sounds_s = [(1.0, 1.5), (4.0, 4.5), (8.0, 8.5)]
    assert scene_talks.interrupting(sounds_s, [1.3, 5.0, 7.0, 9.2]) == 2


def test_a_phrase_begins_and_ends_with_a_clear_sound_and_has_no_pause():
    faint = tone(10)._replace(audio=0.01 * tone(10).audio)
    parts = [
        faint,
        tone(60),
        quiet(20),
        tone(50),
        quiet(40),
        tone(70),
        quiet(10),
        tone(5),
    ]
    audio = np.concatenate([part.audio for part in parts])
    clip = Clip(audio, np.concatenate([part.mask for part in parts]))

    found = scenes_turns.phrases_of(clip)
    assert [len(phrase.mask) for phrase in found] == [130, 85]


# --- the figures ---


def test_turns_are_judged_by_when_the_core_commits(monkeypatch):
    turns = [(1.0, 2.0), (2.4, 4.0), (4.4, 6.0), (9.0, 10.0)]
    call = scenes_turns.Spoken(b"\xff" * RATE * 13, np.zeros(650, bool), turns)
    commits = iter([2.5, 6.6])
    monkeypatch.setattr(scenes_turns, "commits_of", lambda *_: commits)

    found = scenes_turns.ends(call, CallOptions())
    assert (found.pauses, found.committed, found.never) == (2, 1, 1)
    assert found.shares_ms == [pytest.approx(100)]


@pytest.mark.parametrize("name", ["early", "words", "as_recorded"])
def test_a_scene_of_a_caller_shows_a_gate_that_sends_nothing(few, name):
    listens = scenes.SCENES[name].listens
    best = listens(few, sends_all).values
    worst = listens(few, sends_none).values
    for figure in best:
        lost = figure == "words_lost"
        assert best[figure] == (0 if lost else 100)
        assert worst[figure] == (100 if lost else 0)


def test_talking_on_is_judged_by_how_long_the_caller_talks(few):
    def sends_10_s(near):
        sent = sends_none(near)
        sent[: 13 * 50] = True  # the line, then ten seconds of talk
        return sent

    found = scenes_speech.talks_on(few, sends_10_s)
    assert 20 < found.values["talks_on_dry"] < 30
    assert found.remarks["talks_on_dry"].startswith("by age 100 100 100 0 0 0 0")


def test_a_line_without_a_caller_shows_a_gate_that_sends_everything(few, monkeypatch):
    monkeypatch.setattr(scenes_speech, "NOBODY_S", 2.0)
    assert set(scenes_speech.nobody(few, sends_all).values.values()) == {100}
    assert set(scenes_speech.nobody(few, sends_none).values.values()) == {0}


def test_a_deaf_gate_is_perfect_where_nothing_may_interrupt_and_misses_all_else(few):
    missed = scenes_barge.interrupts(few, DEAF).values
    assert missed == {"interrupts_within_200_ms": 0, "interrupts_missed": 100}
    assert scenes_barge.greeting(few, DEAF).values == {"greeting": 92}
    assert set(scenes_echo.answers(few, DEAF).values.values()) == {0}
    assert scenes_barge.pieces(few, DEAF).values == {"pieces": 0}


def test_a_gate_without_its_scores_is_worse_where_nothing_may_interrupt(
    few, monkeypatch
):
    monkeypatch.setattr(scenes_barge, "TELEVISIONS", 1)
    classical = merge(CallOptions(), {"GATE_SCORE": "off"})
    assert scenes_barge.television(few, classical).values["television"] > 5
    assert scenes_barge.events(few, classical).values["stopped_by_bark"] > 10


@pytest.mark.parametrize("score", ["on", "off"])
def test_an_echo_that_is_believed_interrupts(few, monkeypatch, score):
    monkeypatch.setattr(scenes_echo, "STRETCHES", 2)
    options = merge(CallOptions(), {"GATE_SCORE": score})
    assert scenes_echo.late_echo(few, options).values["late_echo"] == 0
    # Nothing is known as an echo if the AI's level is thought to be nothing.
    monkeypatch.setattr(scene_talks, "mulaw", lambda audio: mulaw(0 * audio))
    assert scenes_echo.late_echo(few, options).values["late_echo"] > 10


def test_the_scenes_are_the_same_every_time(few):
    first, again = (scenes_barge.pieces(few, CallOptions()) for _ in range(2))
    assert first == again


# --- what is recorded ---


def test_each_figure_is_recorded():
    recorded = orjson.loads(scenes.RECORDED.read_bytes())
    known = {name for scene in scenes.SCENES.values() for name in scene.figures}
    assert set(recorded) == known


def test_a_figure_is_worse_only_beyond_its_tolerance():
    more = Figure("%", 98, 99, 0.5, is_more_better=True)
    less = Figure("%", 3, 1, 0.5)
    assert [more.is_worse(x, 90) for x in (89.4, 89.6, 95, float("nan"))] == [
        True,
        False,
        False,
        True,
    ]
    assert [less.is_worse(x, 3) for x in (3.6, 3.4, 1)] == [True, False, False]


def test_a_run_prints_a_line_for_each_figure_and_fails_if_one_got_worse(
    monkeypatch, tmp_path, capsys
):
    value = 95.0

    def measure(sounds, options):
        return Found({"heard": value}, {"heard": "a remark"})

    def listens(sounds, hears):
        return Found({"heard": 12.0}, {})

    scene = Scene({"heard": Figure("%", 98, None, 1, True)}, measure, listens)
    monkeypatch.setattr(scenes, "SCENES", {"one": scene})
    monkeypatch.setattr(scenes, "RECORDED", tmp_path / "scenes.json")
    monkeypatch.setattr(scenes, "packaged", lambda: None)

    assert scenes.run(None, False, CallOptions()) == 1
    assert "heard: 95, never recorded" in capsys.readouterr().out
    assert scenes.run(None, True, CallOptions()) == 0
    value = 93.0
    assert scenes.run("on", False, CallOptions(), rival=sends_all) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[-3].split() == [
        "heard",
        "93.00",
        "%",
        "95.00",
        "98",
        "-",
        "a",
        "remark",
    ]
    assert lines[-2].split() == ["rival's", "heard", "12.00"]
    assert lines[-1] == "WORSE: heard: 93 %, recorded 95, tolerance 1"
    assert scenes.run("two", False, CallOptions()) == 0
