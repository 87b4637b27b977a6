"""Mu-law: exhaustive against G.711's formula."""

import math
import struct

import pytest

from dsp.g711 import GAIN_TABLES, decode, encode, frame_levels

CODES = bytes(range(256))


def linear(code):
    """ITU-T G.711: segment, step, bias 33 in 14 bits (132 in 16)."""
    code = ~code & 0xFF
    magnitude = (((code & 15) * 2 + 33) << (code >> 4 & 7)) - 33
    return -4 * magnitude if code & 0x80 else 4 * magnitude


TABLE = [linear(code) for code in range(256)]


def test_every_code_decodes_as_the_formula_says():
    assert list(struct.unpack("<256h", decode(CODES))) == TABLE


def test_every_sample_encodes_to_the_segment_it_lies_in():
    samples = range(-32768, 32768)
    codes = encode(struct.pack("<65536h", *samples))
    for sample, code in zip(samples, codes, strict=True):
        value = TABLE[code]
        step = 8 << (~code >> 4 & 7)
        assert abs(value - max(-32635, min(32635, sample))) <= step, sample


def test_a_code_survives_a_round_trip_but_for_the_second_zero():
    survived = encode(decode(CODES))
    changed = [code for code in CODES if survived[code] != code]
    assert changed == [0x7F]
    assert survived[0x7F] == 0xFF


def test_half_a_sample_is_refused():
    with pytest.raises(ValueError, match="whole 16-bit samples, got 3 bytes"):
        encode(b"abc")


def test_levels_are_dbfs_plus_127_for_each_frame_and_the_rest():
    full = bytes([0x00, 0x80]) * 80
    levels = frame_levels(b"\xff" * 160 + full + full[:10])
    assert levels[0] == 0
    assert levels[1:] == bytes([127 - round(-20 * math.log10(32124 / 32768))] * 2)
    assert frame_levels(b"") == b""


def test_gain_is_exact_at_zero_and_half_a_db_a_step_and_never_wraps():
    assert GAIN_TABLES[0] == CODES
    for step, table in enumerate(GAIN_TABLES[1:], start=1):
        factor = 10 ** (step / 40)
        for code in range(256):
            wanted = max(-32635, min(32635, TABLE[code] * factor))
            assert abs(TABLE[table[code]] - wanted) <= max(9, abs(wanted) / 16)
            assert (TABLE[table[code]] < 0) == (TABLE[code] < 0) or TABLE[code] == 0
