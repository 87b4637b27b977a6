"""Every recorded call in `tests/recordings` is answered today as it was then.

A file moved there is a test. Where an answer has changed on purpose, look at what
`kolbridge replay FILE` says, and then take it as right with `--accept`.
"""

from pathlib import Path

import pytest

from bridge.recorder.recording import read
from bridge.recorder.replay import Replay

FOLDER = Path(__file__).parent / "recordings"
FILES = sorted(FOLDER.glob("*.zip"))


def test_there_are_recordings():
    assert len(FILES) >= 2


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_recorded_call_is_answered_as_it_was(path):
    recording = read(path)
    assert recording.why_not_replayed == ""

    replay = Replay(recording)
    decisions = list(replay.run())

    assert replay.difference is None, f"see: kolbridge replay {path}"
    assert len(replay.steps) == len(recording.steps)
    assert decisions[-1].what == "ended"
