from typing import Any

import pytest

from bridge.sandbox.clips import clip
from bridge.sandbox.mulaw import encode_sample, level_dbfs
from bridge.sandbox.vad import Edge, Vad

LOUD = b"\x80" * 160
QUIET = b"\xff" * 160


def server_vad(now_ms: int = 0, **more: Any) -> Vad:
    settings = {"type": "server_vad", "silence_duration_ms": 200} | more
    return Vad(settings, level_dbfs, 160, now_ms)


def test_a_click_opens_no_turn():
    vad = server_vad()
    assert vad.feed((LOUD * 2 + QUIET) * 20) == []


def test_speech_opens_a_turn_and_silence_in_audio_closes_it():
    vad = server_vad(prefix_padding_ms=100)
    audio = QUIET * 20 + LOUD * 10 + QUIET * 9
    assert vad.feed(audio) == [Edge(True, 300)]
    assert vad.is_open
    assert vad.feed(b"") == []
    assert vad.feed(QUIET) == [Edge(False, 800)]


def test_padding_never_reaches_into_the_turn_before():
    vad = server_vad(prefix_padding_ms=5000)
    edges = vad.feed((LOUD * 5 + QUIET * 10) * 2)
    assert edges == [Edge(True, 0), Edge(False, 300), Edge(True, 300), Edge(False, 600)]


def test_any_cut_of_the_audio_gives_the_same_turns():
    audio = clip("human-en-reader-1").audio + QUIET * 30
    whole = server_vad().feed(audio)
    for size in (1, 77, 160, 4001):
        vad = server_vad()
        pieces = (audio[i : i + size] for i in range(0, len(audio), size))
        assert [edge for piece in pieces for edge in vad.feed(piece)] == whole


def test_a_higher_threshold_needs_louder_speech():
    murmur = bytes([encode_sample(73)]) * 160
    assert -55 < level_dbfs(murmur) < -50
    assert server_vad(threshold=0.4).feed(murmur * 10)
    assert not server_vad(threshold=0.9).feed(murmur * 10)


@pytest.mark.parametrize(
    "name",
    [
        *(f"caller-{language}-{n}" for language in ("en", "he") for n in "12"),
        *(f"human-en-reader-{n}" for n in "1234"),
        "caller-en-interrupts",
        "caller-he-interrupts",
        "human-en-command-1",
        "human-en-command-2",
    ],
)
def test_each_recording_of_a_caller_is_one_turn(name: str):
    vad = server_vad(silence_duration_ms=500)
    edges = vad.feed(clip(name).audio + QUIET * 40)
    assert [edge.is_start for edge in edges] == [True, False]


def test_closing_a_turn_lets_the_next_begin():
    vad = server_vad(now_ms=1000)
    vad.feed(LOUD * 5)
    vad.close_turn()
    assert vad.feed(QUIET * 20) == []
    assert vad.feed(LOUD * 3) == [Edge(True, 1200)]
