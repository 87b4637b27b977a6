"""`kolbridge gate` as a user runs it."""

import struct
import wave

import pytest

from bridge.cli.main import main
from bridge.sandbox.clips import clip
from dsp.g711 import decode, encode


def scaled(audio, factor):
    """Mu-law louder or softer, cut off at full scale."""
    samples = struct.unpack(f"<{len(audio)}h", decode(audio))
    given = [max(-32_000, min(32_000, round(factor * sample))) for sample in samples]
    return encode(struct.pack(f"<{len(given)}h", *given))


@pytest.fixture
def speech(tmp_path):
    path = tmp_path / "speech.ulaw"
    path.write_bytes(b"\xff" * 8_000 + clip("human-en-reader-1").audio)
    return path


def write_wav(path, *sides, rate=8_000):
    samples = [decode(side) for side in sides]
    frames = b"".join(
        b"".join(side[at : at + 2] for side in samples)
        for at in range(0, len(samples[0]), 2)
    )
    with wave.open(str(path), "wb") as file:
        file.setnchannels(len(sides))
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(frames)


def test_a_recording_gets_one_line_of_figures(speech, capsys):
    assert main(["gate", str(speech)]) == 0
    header, line = capsys.readouterr().out.splitlines()
    assert header.split()[0] == "recording"
    assert line.split()[0] == "speech.ulaw"
    assert float(line.split()[2]) > 50


def test_frames_are_written_one_a_line_with_the_preroll(speech, tmp_path):
    out = tmp_path / "out.txt"
    assert main(["gate", str(speech), "--frames", str(out)]) == 0
    rows = [tuple(map(int, line.split())) for line in out.read_text().splitlines()]
    opened = next(at for at, (state, _) in enumerate(rows) if state == 2)
    assert len(rows) == len(speech.read_bytes()) // 160
    assert [sent for _, sent in rows[opened - 11 : opened + 1]] == [0] + [1] * 11


def test_the_far_side_may_be_a_file_or_the_right_channel(speech, tmp_path, capsys):
    loud = scaled(clip("ai-en-offer").audio, 4)
    echo = scaled(clip("ai-en-offer").audio, 0.3)
    near = (b"\xff" * 1_600 + echo)[: len(loud)]
    write_wav(tmp_path / "both.wav", near, loud[: len(near)])
    (tmp_path / "far.ulaw").write_bytes(loud)
    (tmp_path / "near.ulaw").write_bytes(near)
    main(["gate", str(tmp_path / "both.wav")])
    main(["gate", str(tmp_path / "near.ulaw"), "--far", str(tmp_path / "far.ulaw")])
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split()[1:] == lines[3].split()[1:]
    main(["gate", str(tmp_path / "near.ulaw")])
    alone = capsys.readouterr().out.splitlines()[1]
    assert float(lines[1].split()[2]) < float(alone.split()[2]) - 10


def test_a_sweep_shows_each_value(speech, capsys):
    assert main(["gate", str(speech), "--sweep", "VAD_THRESHOLD_RMS=200,30000"]) == 0
    _, low, high, _, advice = capsys.readouterr().out.splitlines()
    assert "no recommendation" in advice
    assert float(low.split()[2]) > 50
    assert float(high.split()[2]) == 0


@pytest.fixture
def folder(tmp_path):
    """Two labelled recordings: a reader after a second of silence."""
    for name in ("one", "two"):
        audio = b"\xff" * 8_000 + clip("human-en-reader-1").audio
        (tmp_path / f"{name}.ulaw").write_bytes(audio)
        end = len(audio) / 8_000
        (tmp_path / f"{name}.txt").write_text(f"1.1\t{end:.2f}\treader\n")
    return tmp_path


def test_a_sweep_of_labelled_recordings_recommends_a_value(folder, capsys):
    picture = folder / "sweep.png"
    command = ["gate", str(folder), "--sweep", "VAD_THRESHOLD_RMS=100,30000"]
    assert main([*command, "--plot", str(picture)]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "VAD_THRESHOLD_RMS=100"
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_two_settings_are_compared_on_a_folder(folder, capsys):
    assert main(["gate", str(folder), "--ab", "VAD_THRESHOLD_RMS=30000"]) == 0
    out = capsys.readouterr().out
    assert "B is not better" in out
    recall = {line[:5]: float(line.split()[5]) for line in out.splitlines()[-4:-2]}
    assert recall["A all"] > 80
    assert recall["B all"] == 0

    command = ["gate", str(folder), "--set", "VAD_THRESHOLD_RMS=30000"]
    assert main([*command, "--ab", "VAD_THRESHOLD_RMS=100"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "VAD_THRESHOLD_RMS=100"


def test_labels_that_are_none_are_refused_by_line(folder, capsys):
    (folder / "two.txt").write_text("0.5 1.0 a\nfrom here to there\n")
    assert main(["gate", str(folder)]) == 2
    assert "two.txt:2: expected 'start end label'" in capsys.readouterr().err


def test_a_plot_is_drawn(speech, tmp_path):
    pytest.importorskip("matplotlib")
    picture = tmp_path / "gate.png"
    assert main(["gate", str(speech), "--plot", str(picture)]) == 0
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("more", "text"),
    [
        (["--set", "SNR_START_NORMAL=x"], "SNR_START_NORMAL='x': expected a number"),
        (["--set", "SNR_START_NORMAL"], "expected NAME=VALUE"),
        (["--sweep", "COLOUR=1"], "COLOUR='1': there is no such setting"),
    ],
)
def test_a_wrong_setting_is_named(speech, capsys, more, text):
    assert main(["gate", str(speech), *more]) == 2
    assert text in capsys.readouterr().err


def test_a_wrong_recording_is_named(tmp_path, capsys):
    write_wav(tmp_path / "fast.wav", b"\xff" * 800, rate=16_000)
    (tmp_path / "text.wav").write_text("hello")
    assert main(["gate", str(tmp_path / "fast.wav")]) == 2
    assert "expected 8000 Hz, 16 bit" in capsys.readouterr().err
    assert main(["gate", str(tmp_path / "text.wav")]) == 2
    assert main(["gate", str(tmp_path / "none.ulaw")]) == 2


@pytest.mark.parametrize(
    ("name", "data", "text"),
    [
        ("notes.ulaw", b"What was said.\n" * 90, "raw mu-law, got text: 'What was"),
        ("hebrew.raw", "\u05e9\u05dc\u05d5\u05dd ".encode() * 90, "got text: "),
        ("a.ulaw", b"%PDF-1.7\n" + b"\xff" * 800, "raw mu-law, got a PDF"),
        ("a.raw", b"ID3\x04" + b"\xff" * 800, "raw mu-law, got an MP3"),
        ("a.mp3", b"\xff" * 800, "got .mp3, none of .wav, .ulaw, .ul, .raw"),
        ("notes.txt", b"\xff" * 800, "got .txt, none of .wav"),
        ("caller", b"\xff" * 800, "got no suffix, none of .wav"),
        ("empty.ulaw", b"", "got 0 bytes, less than one frame"),
    ],
)
def test_what_is_no_audio_is_named(tmp_path, capsys, speech, name, data, text):
    (tmp_path / name).write_bytes(data)

    assert main(["gate", str(tmp_path / name)]) == 2
    assert text in capsys.readouterr().err
    assert main(["gate", str(speech), "--far", str(tmp_path / name)]) == 2
    assert text in capsys.readouterr().err


def test_silence_of_either_sign_is_audio(tmp_path):
    for name, data in (("a.ulaw", b"\xff" * 800), ("b.ulaw", b"\x7f" * 800)):
        (tmp_path / name).write_bytes(data)
        assert main(["gate", str(tmp_path / name)]) == 0


def test_wav_is_known_by_what_is_in_it(tmp_path, capsys):
    path = tmp_path / "cd.raw"
    write_wav(path, b"\xff" * 800, b"\xff" * 800, rate=44_100)

    assert main(["gate", str(path)]) == 2
    expected = "expected 8000 Hz, 16 bit, one or two channels, got 44100 Hz, 16 bit, 2"
    assert expected in capsys.readouterr().err


def test_wav_of_three_bytes_a_sample_is_named(tmp_path, capsys):
    with wave.open(str(tmp_path / "a.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(3)
        file.setframerate(8_000)
        file.writeframes(bytes(3 * 801))

    assert main(["gate", str(tmp_path / "a.wav")]) == 2
    assert "got 8000 Hz, 24 bit, 1 channels" in capsys.readouterr().err


def test_wav_that_was_cut_is_read_to_its_last_sample(tmp_path, capsys):
    path = tmp_path / "call.wav"
    write_wav(path, b"\xff" * 1_600, b"\xff" * 1_600)
    whole = path.read_bytes()
    path.write_bytes(whole[:-1_603])
    assert main(["gate", str(path)]) == 0
    path.write_bytes(whole[:44])
    assert main(["gate", str(path)]) == 2
    assert "expected a frame of 20 ms, got 0 samples" in capsys.readouterr().err


@pytest.mark.parametrize("place", ["environment", ".env"])
def test_the_settings_are_those_of_the_service(
    speech, tmp_path, monkeypatch, capsys, place
):
    assert main(["gate", str(speech), "--set", "VAD_THRESHOLD_RMS=3000"]) == 0
    wanted = capsys.readouterr().out
    monkeypatch.chdir(tmp_path)
    if place == ".env":
        (tmp_path / ".env").write_text("VAD_THRESHOLD_RMS=3000\nPORT=none\n")
    else:
        monkeypatch.setenv("VAD_THRESHOLD_RMS", "3000")

    assert main(["gate", str(speech)]) == 0
    found = capsys.readouterr()
    assert found.out == wanted
    assert "VAD_THRESHOLD_RMS=3000" in found.err

    assert main(["gate", str(speech), "--set", "VAD_THRESHOLD_RMS=100"]) == 0
    assert capsys.readouterr().out != wanted


@pytest.mark.parametrize(
    ("name", "text"),
    [("VAD_THRESHOLD_RMS", "loud"), (".env", "a line without a value")],
)
def test_a_wrong_setting_of_the_service_is_named(
    speech, tmp_path, monkeypatch, capsys, name, text
):
    monkeypatch.chdir(tmp_path)
    if name == ".env":
        (tmp_path / ".env").write_text(text)
    else:
        monkeypatch.setenv(name, text)

    assert main(["gate", str(speech)]) == 2
    assert name in capsys.readouterr().err
