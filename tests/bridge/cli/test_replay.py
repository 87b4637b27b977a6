"""`kolbridge replay`: the table, the picture, the verdict, and what it cannot use."""

import argparse
import shutil
import sys
from pathlib import Path

import msgspec
import pytest

from bridge.cli import main, replay
from bridge.recorder.flight_recorder import Recorder
from bridge.recorder.recording import read
from tests.bridge.recorder.test_replay import INTERRUPTION, Told, changed, first
from tests.test_recordings import FOLDER


def command(*args):
    return main.main(["replay", *map(str, args)])


def test_command_shows_the_table_and_the_verdict(capsys):
    assert command(INTERRUPTION) == 0

    said = capsys.readouterr().out
    assert "interrupted          caller speaks: item=" in said
    assert "AI held              voice 3 of 5 frames (rms=" in said
    assert said.splitlines()[-1].startswith("as recorded: ")


def test_command_draws_a_picture(tmp_path, capsys):
    picture = tmp_path / "call.png"

    assert command(INTERRUPTION, "--plot", picture) == 0
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_command_reports_the_first_difference_and_accepts_it(tmp_path, capsys):
    recording = read(INTERRUPTION)
    number = first(recording, "event", "clear")
    path = tmp_path / "call.zip"
    shutil.copy(INTERRUPTION, path)
    lacking = changed(recording, number, lambda actions: actions[1:])
    replay.rewrite(path, lacking, lacking.steps)

    assert command(path) == replay.EXIT_DIFFERENT
    said = capsys.readouterr().out
    assert f"message {number + 1}, action 1\n" in said
    assert '  recomputed: {"event":"clear"' in said

    assert command(path, "--accept") == 0
    assert command(path) == 0
    assert read(path).steps == recording.steps
    assert read(path).audio == recording.audio


def test_long_difference_is_shown_where_it_begins(tmp_path, capsys):
    recording = read(INTERRUPTION)
    number = first(recording, "type", "session.update")
    path = tmp_path / "call.zip"
    shutil.copy(INTERRUPTION, path)

    def other(actions):
        text = msgspec.json.encode(actions).replace(b"maxLength", b"minLength", 1)
        return msgspec.json.decode(text)

    lacking = changed(recording, number, other)
    replay.rewrite(path, lacking, lacking.steps)

    assert command(path) == replay.EXIT_DIFFERENT
    recorded, recomputed = capsys.readouterr().out.splitlines()[-2:]
    assert "minLength" in recorded
    assert "maxLength" in recomputed
    assert max(len(recorded), len(recomputed)) < 220


def test_picture_without_matplotlib_says_what_to_install(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)

    assert command(INTERRUPTION, "--plot", tmp_path / "x.png") == 2
    assert "kolbridge[analysis]" in capsys.readouterr().err


def test_command_explains_what_it_cannot_make_again(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)  # whose own name may be long
    told = Told()
    told.take(told.call.receive_hangup, "x" * 200)
    path = Path("call.zip")
    told.write(path, keeps_audio=False)

    assert command(path) == 0
    said = capsys.readouterr().out
    assert "ended                xxx" in said
    assert max(map(len, said.splitlines())) < 160
    assert "not made again: it was recorded without audio" in said

    assert command(path, "--accept") == replay.EXIT_UNUSABLE
    assert "cannot be made again" in capsys.readouterr().err


def test_command_says_what_it_cannot_use(tmp_path, capsys):
    assert command(tmp_path / "none.zip") == replay.EXIT_UNUSABLE
    assert command(INTERRUPTION, INTERRUPTION, "--plot", "x.png") == 2
    said = capsys.readouterr().err
    assert "none.zip" in said
    assert "--plot draws one call" in said


def test_call_is_found_by_its_id_where_calls_are_recorded(monkeypatch, capsys):
    monkeypatch.setenv("RECORD_DIR", str(FOLDER))
    assert command("interruption") == 0
    assert "interruption.zip: CA" in capsys.readouterr().out

    monkeypatch.delenv("RECORD_DIR")
    assert command("interruption") == 2
    assert "RECORD_DIR to be set" in capsys.readouterr().err


def test_help_has_examples(capsys):
    with pytest.raises(SystemExit):
        command("--help")
    assert "examples:\n  kolbridge replay" in capsys.readouterr().out


def test_empty_recording_is_no_failure(tmp_path, capsys):
    told = Told()
    told.kept = Recorder(told.plan, 0.0)
    path = tmp_path / "call.zip"
    told.write(path)

    args = argparse.Namespace(calls=[str(path)], plot=None, accept=False, fetch=False)
    assert replay.run(args) == 0
    assert "0.0 s, 0 messages" in capsys.readouterr().out
