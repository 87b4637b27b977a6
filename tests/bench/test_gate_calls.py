"""The generated calls: their bytes, their truth, and what a line does to them."""

import numpy as np
import pytest

from bench.gate import ai_side, callers, calls, lines, noises
from bench.gate.acoustics import FRAME, RATE, at_peak, pink, rms, room
from bench.gate.calls import Calls
from bench.gate.events import EVENTS, event
from bench.gate.lines import through_codec
from bench.gate.packaged import packaged
from bench.gate.speakers import BY_RULES
from dsp.g711 import decode


def rng(*seed):
    return np.random.default_rng(seed or 1)


def levels_db(audio):
    parts = audio[: len(audio) // FRAME * FRAME].reshape(-1, FRAME)
    return 10 * np.log10(np.mean(parts * parts, axis=1) + 1e-12)


def linear(side):
    return np.frombuffer(decode(side), "<i2") / 32768


@pytest.fixture(scope="module", autouse=True)
def no_codec():
    """Calls without codecs, which need more than the tests install."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lines, "through_codec", lambda x, codec: x)
        yield


@pytest.fixture(scope="module")
def made():
    return [calls.make(packaged(), rng(5, at)) for at in range(24)]


def test_a_seed_makes_the_same_call_and_another_seed_another(made):
    again = calls.make(packaged(), rng(5, 0))
    assert (again.near, again.far) == (made[0].near, made[0].far)
    assert made[0].near != made[1].near


def test_both_sides_and_the_truth_are_as_long_as_each_other(made):
    for call in made:
        frames = len(call.is_speech)
        assert len(call.near) == len(call.far) == FRAME * frames
        assert len(call.is_heard) == frames


def test_where_nobody_speaks_no_frame_is_speech(made):
    alone = [call for call in made if call.caller == "nobody"]
    assert alone
    assert not any(call.is_speech.any() for call in alone)
    assert all(call.is_speech.any() for call in made if call.caller == "talks_on")


def test_the_truth_is_where_the_caller_is_loud(made):
    clear = [call for call in made if call.snr_db > 15 and call.caller != "nobody"]
    assert clear
    for call in clear:
        level = levels_db(linear(call.near))
        heard = call.is_speech & call.is_heard
        assert level[heard].mean() > level[~call.is_speech].mean() + 3


def test_callers_begin_at_any_moment_from_the_first_frame_on():
    source = rng(3)
    begins_s = np.array([callers._beginning(source) / RATE for _ in range(400)])
    for first, end, least in ((0, 0.1, 40), (0.1, 2, 100), (2, 5.01, 150)):
        assert np.sum((begins_s >= first) & (begins_s < end)) > least


def test_one_caller_talks_on_and_another_says_words():
    source = rng(4)
    scene = callers.Scene(packaged().bank, packaged(), source, 40 * RATE)
    shares = {}
    for way in ("talks_on", "words"):
        shares[way] = np.mean([callers.spoken(scene, way)[1].mean() for _ in range(6)])
    assert shares["talks_on"] > 0.6 > shares["words"]


def test_a_whisper_keeps_the_level_and_loses_the_pitch():
    time = np.arange(RATE) / RATE
    voiced = sum(np.sin(2 * np.pi * 125 * k * time) / k for k in range(2, 24))
    out = callers._whispered(voiced, rng(1))
    late = 64  # samples: one period

    def periodic(x):
        return float(np.corrcoef(x[late:-late], x[2 * late :])[0, 1])

    assert periodic(voiced) > 0.95
    assert periodic(out[: len(voiced)]) < 0.5
    assert abs(20 * np.log10(rms(out) / rms(voiced))) < 6


@pytest.mark.parametrize("kinds", [calls.TALK_KINDS, calls.EVENT_KINDS])
def test_who_is_only_heard_around_is_no_caller(kinds):
    made = [calls.make(packaged(), rng(3, at), kinds) for at in range(4)]
    assert not any(call.is_speech.any() for call in made)
    assert any(np.abs(linear(call.far)).max() > 0.01 for call in made)
    loudest = [levels_db(linear(call.near)).max() for call in made]
    assert max(loudest) > -45


def test_the_events_of_a_kind_are_its_own(monkeypatch):
    heard = set()

    def record(sounds, kind, rng):
        heard.add(kind)
        return event(sounds, kind, rng)

    monkeypatch.setattr(calls, "event", record)
    for at in range(6):
        calls.make(packaged(), rng(4, at), calls.EVENT_KINDS)
    assert "bark" in heard
    assert heard <= set(calls.EVENT_KINDS[0].sounds)


def test_others_in_the_room_are_as_often_recorded_as_callers(monkeypatch):
    """With one recorded voice of 31, most of what is heard is that voice."""
    drawn = []

    def record(bank, voice, count, rng, pauses_s):
        drawn.append(voice)
        return rng.standard_normal(count)

    sounds = packaged()
    synthesised = sorted(BY_RULES)[:30]
    bank = sounds.bank._replace(near=["reader", *synthesised], babble=[])
    monkeypatch.setattr(sounds, "bank", bank)
    monkeypatch.setattr(noises, "speech", record)
    for at in range(60):
        noises.noise(sounds, "talk", RATE, rng(at))
    assert 0.55 < drawn.count("reader") / len(drawn) < 0.78


def test_an_echo_is_later_and_softer_than_what_was_played():
    source = rng(6)
    scene = callers.Scene(packaged().bank, packaged(), source, 20 * RATE)
    delays_s = []
    for _ in range(30):
        far = np.zeros(scene.total)
        far[RATE : RATE + 4_000] = pink(4_000, source)
        out = ai_side.echo(scene, far)
        if not out.any():
            continue
        first = int(np.flatnonzero(np.abs(out) > 0.05 * np.abs(out).max())[0])
        delays_s.append(first / RATE - 1)
        assert np.sum(out**2) < np.sum(far**2)
    assert min(delays_s) < 0.42 < 0.6 < max(delays_s) < 1.6


def test_an_ai_that_yields_is_silent_while_the_caller_speaks():
    scene = callers.Scene(packaged().bank, packaged(), rng(7), 30 * RATE)
    is_speech = np.zeros(scene.total // callers.PART, bool)
    is_speech[1_000:1_300] = True
    shape = ai_side._shape(scene, is_speech, (0.14, 0.7), (0.22, 1.2))
    assert shape[: 1_000 * callers.PART].all()
    assert not shape[1_075 * callers.PART : 1_300 * callers.PART].any()
    assert shape[-1]


def test_weights_follow_turns_pauses_and_what_covers_them():
    is_speech = np.zeros(400, bool)
    is_speech[100:150] = is_speech[153:200] = is_speech[300:340] = True
    is_heard = np.ones(400, bool)
    is_heard[320:] = False
    is_played = np.ones(400, bool)
    is_played[:50] = False
    labels, weights = calls.weigh(is_speech, is_heard, is_played)

    assert labels[100:200].all()  # a pause of three frames is speech,
    assert (weights[150:153, 0] == 0.5).all()  # at half the weight
    assert (weights[100:110, 0] == 2).all()
    assert (weights[300:315, 1] == 3).all()
    assert not weights[:50, 1].any()
    assert weights[250, 1] == 2
    assert weights[330].tolist() == pytest.approx([0.5, 0.05])
    assert (weights[200:210, 0] == 0.6).all()


@pytest.mark.parametrize("kind", noises.KINDS)
def test_each_noise_fills_its_time(kind):
    sound = noises.noise(packaged(), kind, 3 * RATE, rng(8))
    assert len(sound) == 3 * RATE
    assert np.isfinite(sound).all()
    assert sound.any() == (kind != "none")


@pytest.mark.parametrize("kind", EVENTS)
def test_each_event_is_a_sound(kind):
    sound = event(packaged(), kind, rng(9))
    assert 80 <= len(sound) < 10 * RATE
    assert np.isfinite(sound).all()
    assert abs(levels_db(at_peak(np.pad(sound, (0, 160)), -20.0)).max() + 20) < 1.5


def test_a_room_decays_by_its_time():
    path = room(rng(1), 0.4, 1.0)
    assert len(path) == int(0.4 * RATE)
    assert rms(path) * np.sqrt(len(path)) == pytest.approx(1)
    early, late = np.sum(path[1:800] ** 2), np.sum(path[-800:] ** 2)
    assert 10 * np.log10(early / late) > 40


def test_effects_of_a_line_keep_the_length_and_do_what_they_say():
    x = 0.1 * np.sin(2 * np.pi * 500 * np.arange(5 * RATE) / RATE)
    x[2 * RATE : 3 * RATE] *= 1e-3
    assert len(lines.riding(x, rng(1))) == len(x)
    muted = lines.muted(x, -50.0)
    assert not muted[int(2.5 * RATE) : int(2.9 * RATE)].any()
    assert np.array_equal(muted[: 2 * RATE], x[: 2 * RATE])
    hidden = lines.concealed(x, rng(2))
    assert 0.005 < np.mean((hidden != x).reshape(-1, FRAME).any(1)) < 0.15


@pytest.mark.parametrize("codec", ["gsm", "opus 6"])
def test_a_codec_changes_the_call_but_not_what_is_said(codec):
    pytest.importorskip("soundfile")
    x = 0.2 * np.sin(2 * np.pi * 500 * np.arange(2 * RATE) / RATE)
    y = through_codec(x, codec)
    assert len(y) == len(x)
    assert not np.allclose(x, y)
    assert abs(20 * np.log10(rms(y[RATE:]) / rms(x))) < 3


def test_features_labels_and_weights_go_together():
    found = calls.generate(packaged(), 2, 1)
    assert isinstance(found, Calls)
    for rows, labels, weights in zip(*found, strict=True):
        assert rows.shape == (len(labels), 48)
        assert weights.shape == (len(labels), 2)
        assert np.isfinite(rows).all()
