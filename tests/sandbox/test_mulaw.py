import math

import pytest

from bridge.sandbox import mulaw
from bridge.sandbox.formats import FORMATS, FROM_ALAW


def test_every_code_survives_the_way_there_and_back():
    codes = bytes(range(256))
    back = mulaw.encode(mulaw.decode(codes))
    assert back == codes.replace(b"\x7f", b"\xff")  # there are two zeros


def test_the_codes_are_those_of_g711():
    # Table 2a of G.711: the largest magnitude, zero, and their signs.
    assert mulaw.LINEAR[0x80] == 32124 == -mulaw.LINEAR[0x00]
    assert mulaw.LINEAR[0xFF] == mulaw.LINEAR[0x7F] == 0
    assert mulaw.encode([40_000, -40_000]) == b"\x80\x00"


def test_each_sample_gets_the_nearest_code():
    for value in range(-32_124, 32_125, 7):
        near = mulaw.LINEAR[mulaw.encode_sample(value)]
        step = max(8, 2 ** (math.floor(math.log2(abs(value) + 132)) - 4))
        assert abs(near - value) <= step / 2 + 0.5


def test_levels_are_relative_to_full_scale():
    assert mulaw.level_dbfs(b"") == mulaw.level_dbfs(b"\xff" * 160) == -127
    assert mulaw.level_dbfs(b"\x80" * 160) == pytest.approx(-0.17, abs=0.01)


def test_gain_and_mixing_work_on_linear_values():
    tone = mulaw.encode([round(1000 * math.sin(n)) for n in range(800)])
    quieter = mulaw.level_dbfs(mulaw.scaled(tone, -6))
    assert quieter == pytest.approx(mulaw.level_dbfs(tone) - 6, abs=0.2)
    doubled = mulaw.level_dbfs(mulaw.mixed(tone, tone))
    assert doubled == pytest.approx(mulaw.level_dbfs(tone) + 6, abs=0.2)
    assert mulaw.mixed(tone, b"\xff" * 800) == tone


@pytest.mark.parametrize("name", list(FORMATS))
def test_every_format_measures_the_same_level(name: str):
    tone = mulaw.encode([round(4000 * math.sin(n / 4)) for n in range(1600)])
    made = FORMATS[name]
    audio = made.from_mulaw(tone)
    assert len(audio) == 200 * made.bytes_per_ms
    assert made.level_dbfs(audio) == pytest.approx(mulaw.level_dbfs(tone), abs=0.3)


def test_alaw_has_its_known_codes():
    to_alaw = FORMATS["audio/pcma"].from_mulaw
    assert to_alaw(b"\xff") == b"\xd5"  # zero, with the even bits inverted
    assert to_alaw(b"\x80\x00") == b"\xaa\x2a"
    codes = bytes(range(256))
    there = to_alaw(codes.translate(FROM_ALAW))
    # What mu-law has no step for moves to the next code, and no further.
    pairs = zip(codes, there, strict=True)
    assert all(abs((one ^ 0x55) - (other ^ 0x55)) <= 1 for one, other in pairs)


def test_pcm_of_silence_is_silence():
    assert FORMATS["audio/pcm"].level_dbfs(bytes(960)) == -127
