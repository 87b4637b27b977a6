import math
import struct
from pathlib import Path

import pytest

from bridge.sandbox.mulaw import encode, level_dbfs
from bridge.sandbox.recording import RecordingError, read_recording


def wav(data: bytes, coding: int, rate_hz: int, bits: int, channels: int = 1) -> bytes:
    frame = channels * bits // 8
    form = struct.pack(
        "<HHIIHH", coding, channels, rate_hz, rate_hz * frame, frame, bits
    )
    chunks = b"".join(
        name + struct.pack("<I", len(body)) + body + b"\x00" * (len(body) % 2)
        for name, body in ((b"fmt ", form), (b"LIST", b"abc"), (b"data", data))
    )
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WAVE" + chunks


def tone(rate_hz: int, hz: float = 1000, seconds: float = 0.2) -> list[int]:
    turn = 2 * math.pi * hz / rate_hz
    return [round(8000 * math.sin(turn * n)) for n in range(round(seconds * rate_hz))]


def pcm16(samples: list[int]) -> bytes:
    return struct.pack(f"<{len(samples)}h", *samples)


def read(tmp_path: Path, content: bytes, name: str = "a.wav") -> bytes:
    (tmp_path / name).write_bytes(content)
    clip = read_recording(tmp_path / name)
    assert clip.name == "a"
    return clip.audio


def test_raw_mulaw_is_taken_as_it_is(tmp_path: Path):
    assert read(tmp_path, b"\x12\x34", "a.ulaw") == b"\x12\x34"
    assert read(tmp_path, wav(b"\x12\x34\x56", 7, 8000, 8)) == b"\x12\x34\x56"


def test_pcm_at_8_khz_is_only_encoded(tmp_path: Path):
    samples = tone(8000)
    assert read(tmp_path, wav(pcm16(samples), 1, 8000, 16)) == encode(samples)


@pytest.mark.parametrize("rate_hz", [16_000, 22_050, 44_100, 48_000, 6_000])
def test_other_rates_keep_the_tone_and_its_level(tmp_path: Path, rate_hz: int):
    audio = read(tmp_path, wav(pcm16(tone(rate_hz)), 1, rate_hz, 16))
    assert abs(len(audio) - 1600) <= 1
    middle = audio[400:1200]
    assert level_dbfs(middle) == pytest.approx(level_dbfs(encode(tone(8000))), abs=0.3)


def test_what_telephones_cannot_carry_is_filtered_out(tmp_path: Path):
    audio = read(tmp_path, wav(pcm16(tone(48_000, hz=6000)), 1, 48_000, 16))
    assert level_dbfs(audio[400:1200]) < -60


def test_channels_are_mixed_and_other_codings_read(tmp_path: Path):
    samples = tone(8000)
    stereo = [value for sample in samples for value in (sample, sample)]
    assert read(tmp_path, wav(pcm16(stereo), 1, 8000, 16, 2)) == encode(samples)
    wide = b"".join(struct.pack("<i", sample << 8)[:3] for sample in samples)
    assert read(tmp_path, wav(wide, 1, 8000, 24)) == encode(samples)
    assert read(tmp_path, wav(b"\x80" * 40, 1, 8000, 8)) == b"\xff" * 40
    assert level_dbfs(read(tmp_path, wav(b"\xd5" * 80, 6, 8000, 8))) < -70


@pytest.mark.parametrize(
    ("content", "name", "message"),
    [
        (b"", "a.ulaw", "empty file"),
        (b"ID3", "a.wav", "expected a RIFF header"),
        (b"RIFF\x04\x00\x00\x00WAVE", "a.wav", "expected a WAV file"),
        (wav(b"\x00\x00", 3, 8000, 32), "a.wav", "got coding 3 with 32 bits"),
        (wav(b"\x00\x00", 1, 0, 16), "a.wav", "expected channels and a sample rate"),
    ],
)
def test_what_cannot_be_spoken_is_refused(
    tmp_path: Path, content: bytes, name: str, message: str
):
    with pytest.raises(RecordingError, match=message):
        read(tmp_path, content, name)


def test_a_missing_file_is_refused(tmp_path: Path):
    with pytest.raises(RecordingError, match="expected an audio file"):
        read_recording(tmp_path / "none.wav")
