"""The demo's picture: what the gate measured, and what of it was let through."""

import pytest

from bridge.cli.demo.plot import draw, trace
from dsp.gate import SPEECH
from tests.bridge import demo_call


def test_trace_has_one_measure_for_each_frame_of_the_caller():
    result = demo_call.result()

    made = trace(result, demo_call.session(result))

    assert {len(column) for column in made} == {demo_call.LENGTH_MS // 20}
    assert min(made.snr) >= -10.0
    assert max(made.level) < 0.0


def test_trace_shows_speech_where_the_caller_spoke_and_nothing_before():
    result = demo_call.result()
    before = demo_call.FIRST_AT_MS // 20

    made = trace(result, demo_call.session(result))

    spoken = slice(before, before + 200)
    assert set(made.forwarded[:before]) == {0}
    assert sum(made.forwarded[spoken]) > 100
    assert SPEECH not in made.state[:before]
    assert made.state[spoken].count(SPEECH) > 100
    assert max(made.level[spoken]) > max(made.level[:before]) + 30


def test_caller_who_hears_less_than_he_says_is_no_failure():
    result = demo_call.result()
    session = demo_call.session(result)
    result.far = result.far[:1_600]

    assert len(trace(result, session).level) == demo_call.LENGTH_MS // 20


def test_picture_is_written(tmp_path):
    pytest.importorskip("matplotlib")
    result = demo_call.result()

    draw(tmp_path / "call.png", "a call", result, demo_call.session(result))

    assert (tmp_path / "call.png").read_bytes().startswith(b"\x89PNG")
